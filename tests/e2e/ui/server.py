"""A real API server of Airflow, whose database has the DAGs, runs and reports that a test puts there."""

from __future__ import annotations

import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import create_engine

from airflow_guardrails.demo.processes import Processes, free_port
from tests.support.airflow_rows import AirflowRows

HERE = Path(__file__).parent
# User -> role. What the last three may not do is in restricted_auth.py.
USERS = {
    "admin": "admin",
    "user": "user",
    "viewer": "viewer",
    "one_dag": "admin",
    "no_xcoms": "admin",
    "no_plugins": "viewer",
}
_PASSWORD = secrets.token_hex(8)
_START_SECONDS = 180


class Server(AirflowRows):
    """
    A running API server, and what is in its database.

    :param base_url: with the path prefix, without a trailing slash.
    :param database: URL of the database, as for SQLAlchemy.
    """

    def __init__(self, base_url: str, database: str) -> None:
        super().__init__(create_engine(database))
        self.base_url = base_url
        # One for all requests: each new one reads the certificates of all authorities.
        self._client = httpx.Client(trust_env=False, timeout=60)
        self._tokens: dict[str, str] = {}

    def token(self, user: str = "admin") -> str:
        """Log in."""
        if user not in self._tokens:
            entry = {"username": user, "password": _PASSWORD}
            answer = self._client.post(f"{self.base_url}/auth/token", json=entry)
            answer.raise_for_status()
            self._tokens[user] = answer.json()["access_token"]
        return self._tokens[user]

    def cookie(self, user: str = "admin") -> dict[str, str]:
        """The cookie of a user's session, for Playwright's ``context.add_cookies([...])``."""
        return {"name": "_token", "value": self.token(user), "url": self.base_url}

    def get(self, path: str, user: str | None = "admin", **more: Any) -> httpx.Response:
        """GET a path below the base URL, such as ``/airflow-guardrails/api/rollouts``."""
        return self.request("GET", path, user, **more)

    def request(self, method: str, path: str, user: str | None = "admin", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token(user)}"} if user else {}
        headers |= more.pop("headers", {})
        # Cookies of one user must not get into the requests of another.
        self._client.cookies.clear()
        return self._client.request(method, f"{self.base_url}{path}", headers=headers, **more)


def start_server(
    processes: Processes, home: Path, *, prefix: str = "", database: str | None = None
) -> Server:
    """
    Start an API server and wait until it answers.

    :param prefix: path under which Airflow is served, such as ``/airflow``.
    :param database: default: an SQLite of its own in *home*.
    """
    port = free_port()
    base_url = f"http://127.0.0.1:{port}{prefix}"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dags").mkdir(exist_ok=True)
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(dict.fromkeys(USERS, _PASSWORD)))
    database = database or f"sqlite:///{home / 'airflow.db'}"
    env = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": "restricted_auth.RestrictedAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{user}:{role}" for user, role in USERS.items()
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__API__BASE_URL": base_url,
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "PYTHONPATH": ":".join([str(HERE), *filter(None, sys.path)]),
    }
    airflow = [sys.executable, "-m", "airflow"]
    processes.run(f"migrate-{port}", [*airflow, "db", "migrate"], env=env, timeout=_START_SECONDS)
    options = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    name = f"api-server-{port}"
    processes.start(name, [*airflow, "api-server", *options], env=env)
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(base_url):
        processes.check()
        assert time.monotonic() < deadline, processes.last_lines(name)
        time.sleep(0.2)
    return Server(base_url, database)


def _answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/api/v2/monitor/health", trust_env=False).is_success
    except httpx.TransportError:
        return False
