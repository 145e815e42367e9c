"""An Airflow's database with 10,000 rollouts, as long as reports get, for ``page.py``."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.models import import_all_models
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.orm import Session

from airflow_guardrails.domain.judge.verdict import Label, Requests
from airflow_guardrails.domain.rollout.canary_state import PastLook
from tests.e2e.ui.reports import live_judged, rolled_back_by_judge

RUNS, DAGS, ENDPOINTS = 10_000, 3_000, 200
TASKS = ("train", "evaluate", "register", "update", "conclude", "notify", "report", "clean")
# Of the last runs, so many are in flight.
LIVE = 20
# One run of another DAG, older than all others, has a task group that is mapped over so many endpoints.
FLEET = 500
FLEET_DAG, FLEET_RUN = "deploy_fleet", "fleet"
LOOKS, RULES = 60, 5
NOW = datetime.now(timezone.utc)


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
        names = [FLEET_DAG, *(dag_id(number) for number in range(DAGS))]
        database.execute(insert(DagModel), [{"dag_id": name, **dags} for name in names])
        _fill_fleet(database)
        for begin in range(0, RUNS, 1000):
            _fill_runs(database, range(begin, begin + 1000))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as database:
        database.execute(text("VACUUM ANALYZE"))


def _fill_fleet(database: Connection) -> None:
    at = NOW - timedelta(minutes=10 * (RUNS + 1))
    names = {"dag_id": FLEET_DAG, "run_id": FLEET_RUN}
    run = _run(names, RUNS + 1, at, is_live=True)
    database.execute(insert(DagRun), [run])
    for number in range(FLEET):
        tasks = [_task(names, task_id, number, "deferred") for task_id in ("each.update", "each.conclude")]
        database.execute(insert(TaskInstance), tasks)
        report = report_of(number, f"fleet-{number}", is_live=True)
        xcoms = _xcoms(report, is_live=True, update="each.update")
        database.execute(insert(XComModel), [_xcom(run, *xcom, map_index=number) for xcom in xcoms])


def _fill_runs(database: Connection, numbers: range) -> None:
    runs, tasks, xcoms = [], [], []
    for number in numbers:
        names = {"dag_id": dag_id(number), "run_id": run_id(number)}
        at = NOW - timedelta(minutes=10 * (RUNS - number))
        is_live = number >= RUNS - LIVE
        runs.append(_run(names, number + 1, at, is_live=is_live))
        for task_id in TASKS:
            state = "deferred" if is_live and task_id == "update" else "success"
            tasks.append(_task(names, task_id, -1, state))
        for task_id in TASKS[:3]:
            value = {"metric": 0.93, "path": f"s3://models/{number}"}
            xcoms.append(_xcom(runs[-1], task_id, "return_value", value))
        report = report_of(number, endpoint_name(number), is_live=is_live)
        xcoms += [_xcom(runs[-1], *xcom) for xcom in _xcoms(report, is_live=is_live)]
    database.execute(insert(DagRun), runs)
    database.execute(insert(TaskInstance), tasks)
    database.execute(insert(XComModel), xcoms)


def _run(names: dict[str, str], number: int, at: datetime, *, is_live: bool) -> dict[str, Any]:
    row = {**names, "id": number, "run_type": "manual", "run_after": at, "start_date": at}
    return {**row, "state": "running" if is_live else "success"}


def _task(names: dict[str, str], task_id: str, map_index: int, state: str) -> dict[str, Any]:
    row = {**names, "id": uuid.uuid4(), "task_id": task_id, "map_index": map_index, "state": state}
    row |= {"pool": "default_pool", "pool_slots": 1, "try_number": 1, "executor_config": {}}
    is_concluding = task_id.endswith("conclude")
    return {**row, "operator": "SageMakerConcludeRolloutOperator" if is_concluding else task_id}


def _xcom(run: dict[str, Any], task_id: str, key: str, value: Any, *, map_index: int = -1) -> dict[str, Any]:
    where = {"dag_id": run["dag_id"], "run_id": run["run_id"], "dag_run_id": run["id"]}
    row = {**where, "task_id": task_id, "map_index": map_index, "timestamp": run["run_after"]}
    return {**row, "key": key, "value": value}


def _xcoms(
    report: dict[str, Any], *, is_live: bool, update: str = "update"
) -> Iterator[tuple[str, str, Any]]:
    links = {"region": "eu-west-1", "domain": "aws.amazon.com", "endpoint_name": report["endpoint_name"]}
    for task_id in (update,) if is_live else (update, "conclude"):
        yield task_id, "rollout_report", report
        yield task_id, "return_value", report
        yield task_id, "console_links", links
        yield task_id, "_link_SageMakerEndpointLink", "https://console.aws.amazon.com/sagemaker/home"
        yield task_id, "_link_RolloutPageLink", "https://airflow/airflow-guardrails/rollouts"


def report_of(number: int, name: str, *, is_live: bool) -> dict[str, Any]:
    """Return the report of an update with an analysis of 60 looks at five rules, as long as a report gets."""
    chance = random.Random(number)  # noqa: S311 - no secret
    report = live_judged() if is_live or number % 10 else rolled_back_by_judge()
    if not is_live and number % 10:
        report |= {"outcome": "Succeeded", "summary": "SUCCEEDED: churn-v42 serves"}
    latency = report["analysis"]["reasons"][1]
    looks = [
        PastLook(
            at=NOW + timedelta(minutes=minute),
            label=Label.INCONCLUSIVE,
            requests=Requests(new=737.0 + minute, old=2263.0 + number % 97),
            rules=tuple(
                (Label.INCONCLUSIVE, chance.gauss(0, 0.1), chance.gauss(-0.2, 0.1), chance.gauss(0.2, 0.1))
                for _ in range(RULES)
            ),
        ).as_dict()
        for minute in range(LOOKS)
    ]
    return {
        **report,
        "endpoint_name": name,
        "endpoint_config_name": f"{name}-v{number}",
        "analysis": {
            **report["analysis"],
            "looks": LOOKS,
            "reasons": [{**latency, "metric": f"Metric{rule}"} for rule in range(RULES)],
            "history": looks,
        },
    }
