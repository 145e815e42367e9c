"""A real API server of Airflow, whose database has the DAGs, runs and reports that a test puts there."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import create_engine, delete, select
from sqlalchemy.orm import Session

from airflow_guardrails.demo.processes import Processes, free_port

HERE = Path(__file__).parent
BUNDLE = "dags-folder"
KEY_BY_KIND = {"rollout": "rollout_report", "shadow_test": "shadow_test_report"}
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


@dataclass(kw_only=True)
class Server:
    """
    A running API server.

    :param base_url: with the path prefix, without a trailing slash.
    :param database: URL of the database, as for SQLAlchemy.
    """

    base_url: str
    database: str
    _tokens: dict[str, str] = field(default_factory=dict)
    _tasks: dict[str, dict[str, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = create_engine(self.database)

    # What a test asks for.

    def token(self, user: str = "admin") -> str:
        """Log in."""
        if user not in self._tokens:
            entry = {"username": user, "password": _PASSWORD}
            answer = httpx.post(f"{self.base_url}/auth/token", json=entry, trust_env=False)
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
        return httpx.request(
            method, f"{self.base_url}{path}", headers=headers, trust_env=False, timeout=60, **more
        )

    # What a test puts into the database.

    def add_rollout(
        self,
        report: Any,
        *,
        dag_id: str,
        run_id: str,
        task_id: str,
        state: str | None = "deferred",
        map_index: int = -1,
        kind: str = "rollout",
        seen_at: datetime | None = None,
        operator: str = "SageMakerGuardedUpdateOperator",
    ) -> None:
        """
        Add a task instance that has published *report*, with its run and DAG where they are not there yet.

        :param kind: ``"rollout"`` or ``"shadow_test"``.
        :param seen_at: when it was published; default: now.
        """
        where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        self.add_task(**where, state=state, operator=operator)
        self.add_xcom(KEY_BY_KIND[kind], report, **where, at=seen_at)

    def replace_report(
        self,
        report: Any,
        *,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int = -1,
        state: str | None = None,
        kind: str = "rollout",
        seen_at: datetime | None = None,
    ) -> None:
        """Publish another report of a task instance; *state*: its new state, None: as before."""
        where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        if state is not None:
            self.set_state(state, **where)
        self.add_xcom(KEY_BY_KIND[kind], report, **where, at=seen_at)

    def add_task(
        self, *, dag_id: str, run_id: str, task_id: str, state: str | None, operator: str, map_index: int = -1
    ) -> None:
        """Add a task instance that has published nothing."""
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

        tasks = self._tasks.setdefault(dag_id, {})
        is_new = task_id not in tasks
        tasks[task_id] = map_index >= 0
        with Session(self.engine) as session:
            version = self._write_dag(session, dag_id) if is_new else _latest_version(session, dag_id)
            self._write_run(session, dag_id, run_id, version)
            task = _operator(task_id)
            instance = TaskInstance(task=task, run_id=run_id, map_index=map_index, dag_version_id=version)
            instance.dag_id, instance.state, instance.operator = dag_id, state, operator
            instance.try_number, instance.max_tries = 1, 0
            instance.start_date = datetime.now(timezone.utc)
            session.add(instance)
            session.commit()

    def set_state(
        self, state: str | None, *, dag_id: str, run_id: str, task_id: str, map_index: int = -1
    ) -> None:
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

        with Session(self.engine) as session:
            self._instance(session, TaskInstance, dag_id, run_id, task_id, map_index).state = state
            session.commit()

    def state(self, *, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str | None:
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

        with Session(self.engine) as session:
            state: str | None = self._instance(
                session, TaskInstance, dag_id, run_id, task_id, map_index
            ).state
            return state

    def add_xcom(
        self,
        key: str,
        value: Any,
        *,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int = -1,
        at: datetime | None = None,
    ) -> None:
        """Publish a value, in the place of an older one."""
        from airflow.models.xcom import XComModel  # noqa: PLC0415

        with Session(self.engine) as session:
            run = _run(session, dag_id, run_id)
            assert run is not None
            where = {"dag_run_id": run.id, "task_id": task_id, "map_index": map_index, "key": key}
            session.execute(delete(XComModel).filter_by(**where))
            moment = at or datetime.now(timezone.utc)
            session.add(XComModel(**where, dag_id=dag_id, run_id=run_id, value=value, timestamp=moment))
            session.commit()

    def clear(self) -> None:
        """Delete all DAGs and what they have, so that a test sees only its own."""
        from airflow.models.dag import DagModel  # noqa: PLC0415
        from airflow.models.dagrun import DagRun  # noqa: PLC0415
        from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
        from airflow.models.dag_version import DagVersion  # noqa: PLC0415
        from airflow.models.xcom import XComModel  # noqa: PLC0415

        with Session(self.engine) as session:
            for model in (XComModel, TaskInstance, DagRun, SerializedDagModel, DagVersion, DagModel):
                session.execute(delete(model))
            session.commit()
        self._tasks.clear()

    def _write_dag(self, session: Session, dag_id: str) -> Any:
        from airflow.models.dag import DagModel  # noqa: PLC0415
        from airflow.models.dagbundle import DagBundleModel  # noqa: PLC0415
        from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
        from airflow.sdk import DAG  # noqa: PLC0415
        from airflow.serialization.serialized_objects import LazyDeserializedDAG  # noqa: PLC0415

        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
        with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
            for task_id, is_mapped in self._tasks[dag_id].items():
                _add_operator(task_id, is_mapped=is_mapped)
        dag.fileloc, dag.relative_fileloc = __file__, f"{dag_id}.py"
        if session.get(DagModel, dag_id) is None:
            model = DagModel(dag_id=dag_id, bundle_name=BUNDLE, is_paused=False, is_stale=False)
            model.fileloc, model.relative_fileloc = dag.fileloc, dag.relative_fileloc
            model.max_active_tasks, model.max_consecutive_failed_dag_runs = 16, 0
            model.has_task_concurrency_limits = False
            session.add(model)
            session.flush()
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name=BUNDLE, session=session)
        session.flush()
        return _latest_version(session, dag_id)

    def _write_run(self, session: Session, dag_id: str, run_id: str, version: Any) -> None:
        from airflow.models.dagrun import DagRun  # noqa: PLC0415

        if _run(session, dag_id, run_id) is not None:
            return
        now = datetime.now(timezone.utc)
        run = DagRun(dag_id=dag_id, run_id=run_id, run_type="manual", run_after=now, start_date=now)
        run.created_dag_version_id, run._state = version, "running"
        session.add(run)
        session.flush()

    @staticmethod
    def _instance(session: Session, model: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
        where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        return session.scalars(select(model).filter_by(**where)).one()


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
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
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
    return Server(base_url=base_url, database=database)


def _answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/api/v2/monitor/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _run(session: Session, dag_id: str, run_id: str) -> Any:
    from airflow.models.dagrun import DagRun  # noqa: PLC0415

    return session.scalars(select(DagRun).filter_by(dag_id=dag_id, run_id=run_id)).one_or_none()


def _latest_version(session: Session, dag_id: str) -> Any:
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415

    query = select(DagVersion.id).filter_by(dag_id=dag_id).order_by(DagVersion.version_number.desc()).limit(1)
    return session.scalar(query)


def _operator(task_id: str) -> Any:
    from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: PLC0415

    return EmptyOperator(task_id=task_id)


def _add_operator(task_id: str, *, is_mapped: bool) -> None:
    from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: PLC0415

    if is_mapped:
        EmptyOperator.partial(task_id=task_id).expand(doc=["mapped"])
    else:
        EmptyOperator(task_id=task_id)


def in_flight(**changes: Any) -> Mapping[str, Any]:
    """Return a report of version 2 of an update that bakes, with some other values."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    return {**_IN_FLIGHT, "started_at": now.isoformat(), "as_of": now.isoformat(), **changes}


_IN_FLIGHT: Mapping[str, Any] = {
    "schema_version": 2,
    "summary": "BAKING 1 of 4 instances: churn-v42; churn-v41 serves",
    "outcome": None,
    "endpoint_name": "churn",
    "endpoint_config_name": "churn-v42",
    "previous_endpoint_config_name": "churn-v41",
    "serving_endpoint_config_name": "churn-v41",
    "endpoint_status": "Updating",
    "region": "eu-west-1",
    "account": "123456789012",
    "ended_at": None,
    "deadline": None,
    "adopted": None,
    "guarded": True,
    "unguarded_because": None,
    "strategy": {
        "name": "canary",
        "description": "canary: 25 % for 30 min, then all",
        "steps": [
            {"minute": 0.0, "percent": 25.0, "bake_minutes": 30.0},
            {"minute": 30.0, "percent": 100.0, "bake_minutes": 10.0},
        ],
    },
    "next_change_at": None,
    "stages": [],
    "stages_complete": True,
    "traffic": {"percent": 25.0, "course": []},
    "alarms": [],
    "alarms_as_of": None,
    "abort_switch": "airflow-guardrails-abort-1",
    "abort_switch_thrown_at": None,
    "stopping": {"aborts": True, "text": "Marking this task failed aborts the update"},
    "findings": [],
    "warnings": [],
    "failure_reason": None,
    "cause": None,
    "analysis": None,
    "approval": None,
    "links": {"endpoint": None, "alarms": {}},
}
