"""A real Airflow for the demo: four components in one folder, by default with SQLite."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from airflow_guardrails.demo.processes import DemoError, Processes, free_port

_OWN_FOLDERS = frozenset({"airflow", "logs"})


@contextlib.contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """
    Lock and empty *home*, readable by its owner only, until the ``with`` block ends.

    :raises DemoError: if another demo uses it, or if it holds anything that no demo has put there.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY)
    try:
        _lock(handle, home)
        _empty(home)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, home: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"another demo runs in {home}: stop it, or choose another --home") from None


def _empty(home: Path) -> None:
    if foreign := sorted({entry.name for entry in home.iterdir()} - _OWN_FOLDERS):
        raise DemoError(f"{home} contains {foreign[0]}, which is not from a demo: choose another --home")
    for name in _OWN_FOLDERS:
        shutil.rmtree(home / name, ignore_errors=True)


_MIGRATE_TIMEOUT = 180
_START_TIMEOUT = 240
_POLL_SECONDS = 0.5
_PAUSES = (1, 2, 4)
_FINISHED = ("success", "failed")


class Airflow:
    """
    Starts an Airflow and calls its REST API.

    :param home: AIRFLOW_HOME.
    :param dags: folder of the DAGs.
    :param env: environment variables of its processes; they override the settings of the demo.
    """

    def __init__(self, processes: Processes, *, home: Path, dags: Path, env: dict[str, str]) -> None:
        self._processes = processes
        self._home = home
        self._port = free_port()
        self._token = ""
        self.url = f"http://127.0.0.1:{self._port}"
        self._env = self._settings(dags) | env

    def start(self) -> None:
        """Create the database and start all components."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._processes.run(
            "airflow-db-migrate", _cli("db", "migrate"), env=self._env, timeout=_MIGRATE_TIMEOUT
        )
        for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
            self.start_component(component)

    def start_component(self, component: str, *, name: str | None = None) -> None:
        """Start one component; *name* distinguishes it from one that runs already."""
        # Log servers listen on every interface. On one machine the API server reads the log files itself.
        options = {
            "api-server": ("--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"),
            "scheduler": ("--skip-serve-logs",),
            "triggerer": ("--skip-serve-logs",),
        }.get(component, ())
        self._processes.start(f"airflow-{name or component}", _cli(component, *options), env=self._env)

    def wait_until_ready(self, dag_id: str) -> None:
        """
        Wait until all components are healthy and the DAG is parsed.

        :raises DemoError: after 240 seconds, if a process ended, or if a DAG cannot be imported.
        """
        deadline = time.monotonic() + _START_TIMEOUT
        while not (self._healthy() and self._knows(dag_id)):
            self._processes.check()
            if time.monotonic() > deadline:
                raise DemoError(
                    f"Airflow was not ready after {_START_TIMEOUT} s.{self._processes.last_lines()}"
                )
            time.sleep(_POLL_SECONDS)

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Start a run of a DAG."""
        self._call(f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf})

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float, each: Callable[[], None]) -> str:
        """
        Wait until a run ends and return its state; call *each* after every poll.

        :param timeout: seconds.
        :raises DemoError: if the run does not end in time, or if a process ended.
        """
        for state in self._states(dag_id, run_id, timeout):
            each()
            if state in _FINISHED:
                return state
        raise DemoError(f"Run {run_id} did not end within {timeout:.0f} s.{self._processes.last_lines()}")

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return task id -> state; the state is None before the task is scheduled."""
        listed = self._call(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return {task["task_id"]: task["state"] for task in listed["task_instances"]}

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """Return an XCom of a task, or None if there is none."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}?deserialize=true"
        try:
            return self._call(path)["value"]
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise

    def log(self, dag_id: str, run_id: str, task_id: str, *, tried: int = 1) -> str:
        """Return the log of one try of a task, one message in a line."""
        return "\n".join(_message(line) for line in self._log_lines(dag_id, run_id, task_id, tried))

    def error(self, dag_id: str, run_id: str, task_id: str, *, tried: int = 1) -> str:
        """Return the error that ended one try of a task, or an empty string."""
        errors = [text for line in self._log_lines(dag_id, run_id, task_id, tried) for text in _errors(line)]
        return errors[-1] if errors else ""

    def task_page(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return the URL of a task in Airflow's UI."""
        return f"{self.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}"

    def _log_lines(self, dag_id: str, run_id: str, task_id: str, tried: int) -> list[Any]:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{tried}"
        lines: list[Any] = self._call(path)["content"]
        return lines

    def _states(self, dag_id: str, run_id: str, timeout: float) -> Iterator[str]:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._processes.check()
            yield self._call(f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
            time.sleep(_POLL_SECONDS)

    def _healthy(self) -> bool:
        try:
            parts = self._call("/monitor/health")
        except (OSError, urllib.error.URLError):
            return False
        return all(
            parts[name]["status"] == "healthy"
            for name in ("metadatabase", "scheduler", "triggerer", "dag_processor")
        )

    def _knows(self, dag_id: str) -> bool:
        try:
            self._call(f"/dags/{dag_id}")
        except urllib.error.HTTPError:
            self._stop_at_import_errors()
            return False
        return True

    def _stop_at_import_errors(self) -> None:
        errors = self._call("/importErrors")["import_errors"]
        if errors:
            raise DemoError("\n".join(f"{error['filename']}:\n{error['stack_trace']}" for error in errors))

    def _call(self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.url}/api/v2{path}"
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - our own
        try:
            # A POST is not repeated, because the server may already have carried it out.
            return _get_json(request) if body else _get_json_with_retries(request)
        except urllib.error.HTTPError as error:
            # The first call has no token yet.
            if error.code != HTTPStatus.UNAUTHORIZED or self._token:
                raise
        entry = urllib.request.Request(f"{self.url}/auth/token")  # noqa: S310 - our own
        self._token = _get_json(entry)["access_token"]
        return self._call(path, body, method=method)

    def _settings(self, dags: Path) -> dict[str, str]:
        # Secrets are new in each demo. SQLite and few workers are enough for a laptop.
        return {
            "AIRFLOW_HOME": str(self._home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # Only the runs that the demo triggers, not those of the DAGs' schedules.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self._home / "logs"),
        }


def _message(line: Any) -> str:
    return "\n".join([str(line.get("event", "")), *_errors(line)]) if isinstance(line, dict) else str(line)


def _errors(line: Any) -> list[str]:
    if not isinstance(line, dict):
        return []
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or ()]
    # An error of this package is logged by its name and text, without its traceback.
    return [*errors, f"{line['error']}: {line['event']}"] if isinstance(line.get("error"), str) else errors


def _cli(*words: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *words]


def _get_json_with_retries(request: urllib.request.Request) -> Any:
    """Send a request again after a server error: SQLite may be locked while all components write."""
    for pause in _PAUSES:
        try:
            return _get_json(request)
        except urllib.error.HTTPError as error:
            if error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
        except TimeoutError:
            pass
        time.sleep(pause)
    return _get_json(request)


def _get_json(request: urllib.request.Request) -> Any:
    # No proxy: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)
