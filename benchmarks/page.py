"""
How long the page "Rollouts" takes to read 10,000 rollouts, next to Airflow's own lists.

Run: ``python benchmarks/page.py``. It takes some minutes and needs what ``make e2e`` needs: PostgreSQL,
Chromium and Playwright. Exits 1 if a wanted figure is missed. A real API server answers; *theirs* is what its
REST API takes for the newest 25 XComs of that key, or for the one XCom, on the same database. Milliseconds
are medians.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from page_database import (
    DAGS,
    FLEET,
    FLEET_DAG,
    FLEET_RUN,
    RUNS,
    TASKS,
    dag_id,
    endpoint_name,
    fill,
    report_of,
    run_id,
)
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session
from table import Row, below, print_rows

from airflow_guardrails.demo.processes import Processes
from airflow_guardrails.demo.production import isolated_environment
from airflow_guardrails.plugins._web import reads
from tests.e2e.ui.browser import Visitor
from tests.e2e.ui.server import Server, start_server
from tests.support import postgresql

REPEATS = 25
CHANGES = 10
MOST_MS, MOST_KB, MOST_SECONDS = 50, 100, 5
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
        title = f"{RUNS:,} rollouts in {DAGS:,} DAGs, {RUNS * len(TASKS):,} task instances"
        return print_rows(title, [*sql(server), *http(server), *in_browser(server)])


def sql(server: Server) -> Iterator[Row]:
    """Time in the database and on the way to it, of what each route reads."""
    dag_ids = frozenset(dag_id(number) for number in range(DAGS))
    one = {"dag_id": dag_id(7), "run_id": run_id(7), "task_id": "update", "map_index": -1}
    fleet = {"dag_id": FLEET_DAG, "run_id": FLEET_RUN, "map_index": 7}
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
        f"newest 25 of {FLEET} in a run": lambda session: reads.read_page(
            session, frozenset({FLEET_DAG}), reads.Wanted(), limit=25
        ),
        f"one of {FLEET} in a run": lambda session: reads.read_item(session, **fleet, task_id="each.update"),
        f"one of {FLEET} in a run, by its conclude": lambda session: reads.read_item(
            session, **fleet, task_id="each.conclude"
        ),
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
    yield Row.alone("newest 25, kB as sent", _kb(server, f"{API}/rollouts"))
    yield Row.alone("one rollout with its history, kB as sent", _kb(server, f"{API}/rollout?{where}"))
    report = json.dumps(report_of(7, endpoint_name(7), is_live=False), separators=(",", ":"))
    yield Row.alone("the report alone, kB in the database", len(report) / 1000)


def in_browser(server: Server) -> Iterator[Row]:
    """What Chromium transfers for the page of one rollout, and how soon it shows a change."""
    last = RUNS - 1
    where = {"dag_id": dag_id(last), "run_id": run_id(last), "task_id": "update"}
    with sync_playwright() as driver:
        # Chromium has no sandbox for root.
        arguments = [] if os.getuid() else ["--no-sandbox"]
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        visitor = Visitor(browser=chromium, server=server)
        page = visitor.page()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        sizes: list[float] = []
        session.on("Network.loadingFinished", lambda of: sizes.append(of["encodedDataLength"] / 1000))
        page.goto(visitor.url(where))
        page.locator("article.rollout").wait_for()
        yield Row.alone("page of one rollout with scripts and data, kB", sum(sizes), below(MOST_KB))
        times = [_seconds_until_shown(server, page, where, number) for number in range(CHANGES)]
        yield Row.alone("from a new report until it is shown, s, median", statistics.median(times))
        yield Row.alone("from a new report until it is shown, s, longest", max(times), below(MOST_SECONDS))
        chromium.close()


def _seconds_until_shown(server: Server, page: Page, where: dict[str, Any], number: int) -> float:
    # At another moment between two reads of the page each time.
    page.wait_for_timeout(number * 300)
    percent = 30.0 + number
    report = report_of(RUNS - 1, endpoint_name(RUNS - 1), is_live=True)
    begun = time.perf_counter()
    server.replace_report({**report, "traffic": {"percent": percent, "course": []}}, **where)
    shown = page.locator("dl.facts div:has(dt:text-is('Traffic on new model'))")
    shown.filter(has_text=f"{percent:.0f}").wait_for()
    return time.perf_counter() - begun


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


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
