"""
How long the page "Rollouts" takes to read 10,000 rollouts, next to Airflow's own lists.

Run: ``python benchmarks/page.py``. It takes some minutes and needs PostgreSQL (``.ci/install-postgresql``).
Exits 1 if a wanted figure is missed. A real API server answers; *theirs* is what its REST API takes for
the newest 25 XComs of that key, or for the one XCom, on the same database. Milliseconds are medians.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow.models import import_all_models
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import Connection, Engine, event, insert, text
from sqlalchemy.orm import Session
from table import Row, below, print_rows

from airflow_guardrails.demo.processes import Processes
from airflow_guardrails.demo.production import isolated_environment
from airflow_guardrails.plugins._web import reads
from tests.e2e.ui.server import Server, start_server
from tests.support import postgresql
from tests.support.rollout_reports import in_flight

RUNS, DAGS, ENDPOINTS = 10_000, 50, 200
TASKS = ("train", "evaluate", "register", "update", "conclude", "notify", "report", "clean")
# Of the last runs, so many are in flight.
LIVE = 20
REPEATS = 25
MOST_MS, MOST_KB = 50, 100
NOW = datetime.now(timezone.utc)
API = "/airflow-guardrails/api"
THEIRS = "/api/v2/dags/~/dagRuns/~/taskInstances/~/xcomEntries?xcom_key=rollout_report&limit=25"


def main() -> bool:
    if reason := postgresql.why_not():
        raise SystemExit(reason)
    with (
        tempfile.TemporaryDirectory(prefix="airflow-guardrails-page-") as folder,
        Processes(Path(folder) / "logs", isolated_environment()) as processes,
    ):
        home, data = Path(folder) / "airflow", Path(folder) / "postgresql"
        data.mkdir()
        Path(folder).chmod(0o755)
        server = start_server(processes, home, database=postgresql.start(processes, data))
        fill(server.engine)
        return print_rows(
            f"{RUNS:,} rollouts, {RUNS * len(TASKS):,} task instances", [*sql(server), *http(server)]
        )


def sql(server: Server) -> Iterator[Row]:
    """Time in the database and on the way to it, of what each route reads."""
    dag_ids = frozenset(dag_id(number) for number in range(DAGS))
    one = {"dag_id": dag_id(7), "run_id": run_id(7), "task_id": "update", "map_index": -1}
    endpoint = endpoint_name(7)
    questions: dict[str, Callable[[Session], Any]] = {
        "DAGs with rollouts": reads.read_dag_ids,
        "newest 25": lambda session: reads.read_page(session, dag_ids, reads.Wanted(), limit=25),
        "live ones": lambda session: reads.read_page(session, dag_ids, reads.Wanted(live=True), limit=25),
        "rolled back": lambda session: reads.read_page(
            session, dag_ids, reads.Wanted(outcome="RolledBack"), limit=25
        ),
        "none superseded": lambda session: (
            not reads.read_page(session, dag_ids, reads.Wanted(outcome="Superseded"), limit=25).items
        ),
        "history of an endpoint": lambda session: reads.read_page(
            session, dag_ids, reads.Wanted(endpoint=endpoint), limit=20
        ),
        "one rollout": lambda session: reads.read_item(session, **one),
    }
    for what, question in questions.items():
        yield Row.alone(f"{what}, ms of SQL", _sql_ms(server.engine, question), below(MOST_MS))


def http(server: Server) -> Iterator[Row]:
    """Time from request to response, permissions and JSON included, and the sizes of the responses."""
    where = f"dag_id={dag_id(7)}&run_id={run_id(7)}&task_id=update"
    theirs_one = (
        f"/api/v2/dags/{dag_id(7)}/dagRuns/{run_id(7)}/taskInstances/update/xcomEntries/rollout_report"
    )
    listed, one = _ms(server, f"{API}/rollouts"), _ms(server, f"{API}/rollout?{where}")
    yield Row.of("newest 25, ms", (_ms(server, THEIRS), listed))
    yield Row.of("one rollout with its history, ms", (_ms(server, theirs_one), one))
    page = ["/airflow-guardrails/rollouts"]
    page += [f"/airflow-guardrails/static/{path.name}" for path in STATIC.glob("*.[jc]s*")]
    yield Row.alone("files of the page, kB as sent", sum(_kb(server, path) for path in page), below(MOST_KB))
    yield Row.alone("newest 25, kB as sent", _kb(server, f"{API}/rollouts"))
    yield Row.alone("one rollout with its history, kB as sent", _kb(server, f"{API}/rollout?{where}"))


STATIC = Path(reads.__file__).parent / "static"


def _sql_ms(engine: Engine, question: Callable[[Session], Any]) -> float:
    times = []
    for _ in range(REPEATS):
        with Session(engine) as session, _timed(engine) as spent:
            assert question(session)
        times.append(sum(spent) * 1000)
    return statistics.median(times)


@contextmanager
def _timed(engine: Engine) -> Iterator[list[float]]:
    """Collect the seconds of each statement until its rows are there."""
    spent: list[float] = []
    begun: list[float] = []

    def before(*_: Any) -> None:
        begun.append(time.perf_counter())

    def after(*_: Any) -> None:
        spent.append(time.perf_counter() - begun.pop())

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    try:
        yield spent
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "after_cursor_execute", after)


def _ms(server: Server, path: str) -> float:
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        server.get(path).raise_for_status()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def _kb(server: Server, path: str) -> float:
    answer = server.get(path, headers={"Accept-Encoding": "gzip"})
    answer.raise_for_status()
    return answer.num_bytes_downloaded / 1000


def dag_id(number: int) -> str:
    return f"deploy_{number % DAGS}"


def run_id(number: int) -> str:
    return f"run_{number}"


def endpoint_name(number: int) -> str:
    return f"endpoint-{number % ENDPOINTS}"


def fill(engine: Engine) -> None:
    """Write the rows as Airflow would have left them."""
    import_all_models()
    with engine.begin() as database:
        with Session(database) as session:
            if session.get(DagBundleModel, "dags-folder") is None:
                database.execute(insert(DagBundleModel).values(name="dags-folder"))
        dags = {"bundle_name": "dags-folder", "is_stale": False, "max_active_tasks": 16}
        dags |= {"max_consecutive_failed_dag_runs": 0, "has_task_concurrency_limits": False}
        database.execute(insert(DagModel), [{"dag_id": dag_id(number), **dags} for number in range(DAGS)])
        for begin in range(0, RUNS, 1000):
            _fill_runs(database, range(begin, begin + 1000))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as database:
        database.execute(text("VACUUM ANALYZE"))


def _fill_runs(database: Connection, numbers: range) -> None:
    runs, tasks, xcoms = [], [], []
    for number in numbers:
        names = {"dag_id": dag_id(number), "run_id": run_id(number)}
        at = NOW - timedelta(minutes=10 * (RUNS - number))
        is_live = number >= RUNS - LIVE
        row = {"id": number + 1, "run_type": "manual", "run_after": at, "start_date": at}
        runs.append({**names, **row, "state": "running" if is_live else "success"})
        for task_id in TASKS:
            state = "deferred" if is_live and task_id == "update" else "success"
            tasks.append(
                {
                    **names,
                    "task_id": task_id,
                    "id": uuid.uuid4(),
                    "map_index": -1,
                    "state": state,
                    "pool": "default_pool",
                    "pool_slots": 1,
                    "try_number": 1,
                    "operator": task_id,
                    "executor_config": {},
                }
            )
        xcoms += [
            {
                **names,
                "dag_run_id": number + 1,
                "task_id": task_id,
                "map_index": -1,
                "key": key,
                "value": value,
                "timestamp": at,
            }
            for task_id, key, value in _xcoms(number, is_live=is_live)
        ]
    database.execute(insert(DagRun), runs)
    database.execute(insert(TaskInstance), tasks)
    database.execute(insert(XComModel), xcoms)


def _xcoms(number: int, *, is_live: bool) -> Iterator[tuple[str, str, Any]]:
    report = _report(number, is_live=is_live)
    for task_id in TASKS[:3]:
        yield task_id, "return_value", {"metric": 0.93, "path": f"s3://models/{number}"}
    links = {"region": "eu-west-1", "domain": "aws.amazon.com", "endpoint_name": report["endpoint_name"]}
    for task_id in ("update", "conclude") if not is_live else ("update",):
        yield task_id, "rollout_report", report
        yield task_id, "return_value", report
        yield task_id, "console_links", links
        yield task_id, "_link_SageMakerEndpointLink", "https://console.aws.amazon.com/sagemaker/home"
        yield task_id, "_link_RolloutPageLink", "https://airflow/airflow-guardrails/rollouts"


def _report(number: int, *, is_live: bool) -> dict[str, Any]:
    """An update with an analysis of 60 looks, as long as a report gets."""
    outcome = None if is_live else "RolledBack" if number % 10 == 0 else "Succeeded"
    name = endpoint_name(number)
    looks = [
        {
            "at": (NOW + timedelta(minutes=minute)).isoformat(),
            "label": "Inconclusive",
            "requests": {"new": 737 + minute, "old": 2263 + number % 97},
            "rules": [
                {"measured": 0.01 * rule + minute / 1e4, "low": -0.18, "high": 0.03} for rule in range(5)
            ],
        }
        for minute in range(60)
    ]
    reason = {
        "metric": "ModelLatency",
        "stat": "Average",
        "label": "Pass",
        "measured": 0.1,
        "low": -0.1,
        "high": 0.2,
        "limit": 0.1,
        "unit": "relative",
        "text": "ModelLatency Average shift (+1%)" * 3,
    }
    alarm = {
        "name": f"{name}-errors",
        "kind": "theirs",
        "state": "OK",
        "watches": "AWS/SageMaker",
        "value": 1.0,
    }
    return {
        **in_flight(outcome=outcome, endpoint_name=name, endpoint_config_name=f"{name}-v{number}"),
        "alarms": [alarm] * 4,
        "analysis": {"label": "Pass", "looks": 60, "reasons": [reason] * 5, "history": looks},
    }


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
