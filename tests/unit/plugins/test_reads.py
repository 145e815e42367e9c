"""The reads of the page, on a database with Airflow's tables."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy.orm import Session

from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.plugins._web import reads
from airflow_guardrails.plugins._web.items import Position, history_entry, in_full, in_list
from airflow_guardrails.plugins._web.reads import Wanted
from tests.support.rollout_reports import in_flight

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
TASK = {"dag_id": "deploy", "run_id": "monday", "task_id": "update"}


@pytest.fixture
def page(rows):
    def read(limit=25, before=None, dag_ids=("deploy",), **wanted):
        with Session(rows.engine) as session:
            return reads.read_page(session, frozenset(dag_ids), Wanted(**wanted), limit=limit, before=before)

    return read


def configs(page):
    return [item.main.report["endpoint_config_name"] for item in page.items]


def add_runs(rows, number, **changes):
    """One rollout a minute, in a run each."""
    for minute in range(number):
        report = in_flight(endpoint_config_name=f"churn-v{minute}", **changes)
        where = {**TASK, "run_id": f"run-{minute}"}
        rows.add_rollout(report, **where, seen_at=NOON + timedelta(minutes=minute))


def test_the_newest_come_first_and_pages_follow_each_other_without_gap_or_double(rows, page):
    add_runs(rows, 7)

    seen, before = [], None
    while True:
        found = page(limit=3, before=before)
        seen.append(configs(found))
        before = found.next and Position.from_cursor(found.next.as_cursor())
        if before is None:
            break

    assert seen == [
        ["churn-v6", "churn-v5", "churn-v4"],
        ["churn-v3", "churn-v2", "churn-v1"],
        ["churn-v0"],
    ]


def test_reports_of_the_same_instant_are_not_lost_between_two_pages(rows, page):
    for map_index in range(5):
        report = in_flight(endpoint_name=f"churn-{map_index}")
        rows.add_rollout(report, **TASK, map_index=map_index, seen_at=NOON)

    first = page(limit=2)
    second = page(limit=10, before=first.next)

    names = [item.endpoint for item in (*first.items, *second.items)]
    assert sorted(names) == [f"churn-{index}" for index in range(5)]


def test_a_rollout_that_three_tasks_report_comes_once_on_whatever_page(rows, page):
    ended = in_flight(outcome="RolledBack", started_at="2026-03-02T12:00:00+00:00")
    open_report = {**ended, "outcome": None}
    rows.add_rollout(open_report, **TASK, state="failed", seen_at=NOON)
    watch = {**TASK, "task_id": "watch"}
    rows.add_rollout({**open_report, "started_at": None}, **watch, seen_at=NOON + timedelta(minutes=2))
    conclude = {**TASK, "task_id": "conclude", "operator": SageMakerConcludeRolloutOperator.__name__}
    rows.add_rollout(ended, **conclude, state="success", seen_at=NOON + timedelta(minutes=1))

    (item,) = page(limit=1).items
    rest = page(before=page(limit=1).next)

    assert [told.position.task_id for told in item.told_by] == ["watch", "conclude", "update"]
    assert (item.main.position.task_id, item.outcome) == ("conclude", "RolledBack")
    assert (item.concluding.task_id, item.concluding.state) == ("conclude", "success")
    assert rest.items == ()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"endpoint": "fraud"}, ["fraud-v1"]),
        ({"outcome": "RolledBack"}, ["churn-v1"]),
        ({"live": True}, ["fraud-v1"]),
        ({"live": False}, ["churn-v1"]),
        ({"kind": "shadow_test"}, []),
        ({"endpoint": "fraud", "outcome": "RolledBack"}, []),
    ],
)
def test_filters(rows, page, wanted, expected):
    over = in_flight(outcome="RolledBack", endpoint_config_name="churn-v1")
    rows.add_rollout(over, **TASK, state="failed")
    other = in_flight(endpoint_name="fraud", endpoint_config_name="fraud-v1")
    rows.add_rollout(other, **{**TASK, "run_id": "tuesday"})

    assert configs(page(**wanted)) == expected


def test_a_task_that_failed_without_an_outcome_is_not_live(rows, page):
    rows.add_rollout(in_flight(), **TASK, state="failed")

    assert not page().items[0].live
    assert page(live=True).items == ()


def test_only_dags_that_were_asked_for(rows, page):
    rows.add_rollout(in_flight(), **TASK)
    rows.add_rollout(in_flight(), **{**TASK, "dag_id": "secret"})

    assert [item.main.dag_id for item in page().items] == ["deploy"]
    assert page(dag_ids=()).items == ()


ODD_VALUES = [
    None,
    "s3://bucket/xcom/deploy/update.json",
    {"__classname__": "backend.Reference", "__data__": {"path": "s3://bucket/x"}},
    ["endpoint_name"],
    7,
    {"endpoint_name": 7},
    {"endpoint_name": ""},
    {"endpoint_name": {"endpoint_name": "churn"}},
]


@pytest.mark.parametrize("kind", ["rollout", "shadow_test"])
@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_what_is_no_report_is_shown_as_one_that_cannot_be_read(rows, page, kind, value):
    rows.add_rollout(value, **TASK, kind=kind)

    (item,) = page().items

    assert in_list(item)["report"]["summary"].startswith("This report cannot be read")
    assert (in_full(item)["task_id"], item.endpoint, item.outcome) == ("update", None, None)
    assert page(endpoint="churn").items == ()


@pytest.mark.parametrize("odd", [7, 0.5, True, ["x"], {"x": "y"}], ids=repr)
def test_odd_values_within_a_report_break_nothing(rows, page, odd):
    rows.add_rollout({**dict.fromkeys(in_flight(), odd), "endpoint_name": "churn"}, **TASK)
    rows.add_rollout(in_flight(), **{**TASK, "run_id": "tuesday"})

    shown = [in_list(item) for item in page(endpoint="churn").items]

    assert len(shown) == 2


def test_one_rollout_is_found_by_each_task_that_reports_or_concludes_it(rows):
    rows.add_rollout(in_flight(), **{**TASK, "task_id": "group.update"})
    concluding = SageMakerConcludeRolloutOperator.__name__
    where = {"dag_id": "deploy", "run_id": "monday"}
    rows.add_task(**where, task_id="group.conclude", state="scheduled", operator=concluding)
    rows.add_task(**where, task_id="other.conclude", state="scheduled", operator=concluding)

    def found(task_id, run_id="monday", map_index=-1):
        with Session(rows.engine) as session:
            item = reads.read_item(
                session, dag_id="deploy", run_id=run_id, task_id=task_id, map_index=map_index
            )
        return item and item.endpoint

    assert [found("group.update"), found("group.conclude")] == ["churn", "churn"]
    assert [found("other.conclude"), found("group.update", map_index=1), found("update", "sunday")] == [
        None,
        None,
        None,
    ]


@pytest.fixture
def read_values(rows, monkeypatch):
    """The names of the endpoints whose reports were read."""
    seen = []
    told = reads.Told

    def read(*, value, **more):
        seen.append(value["endpoint_name"])
        return told(value=value, **more)

    monkeypatch.setattr(reads, "Told", read)
    return seen


def add_fleet(rows, number):
    """One run with a task group that is mapped over so many endpoints; none is concluded yet."""
    concluding = SageMakerConcludeRolloutOperator.__name__
    for map_index in range(number):
        where = {"dag_id": "deploy", "run_id": "monday", "map_index": map_index}
        at = NOON + timedelta(minutes=map_index)
        rows.add_rollout(
            in_flight(endpoint_name=f"churn-{map_index}"), **where, task_id="each.update", seen_at=at
        )
        rows.add_task(**where, task_id="each.conclude", state="scheduled", operator=concluding)


def test_of_a_mapped_fleet_only_what_is_shown_is_read(rows, page, read_values):
    add_fleet(rows, 12)

    assert [item.endpoint for item in page(limit=2).items] == ["churn-11", "churn-10"]
    assert sorted(read_values) == ["churn-10", "churn-11"]


@pytest.mark.parametrize("task_id", ["each.update", "each.conclude"])
def test_one_of_a_mapped_fleet_is_found_without_reading_the_others(rows, read_values, task_id):
    add_fleet(rows, 12)

    with Session(rows.engine) as session:
        item = reads.read_item(session, dag_id="deploy", run_id="monday", task_id=task_id, map_index=3)

    assert (item.endpoint, item.concluding.map_index) == ("churn-3", 3)
    assert read_values == ["churn-3"]


def test_a_report_without_the_data_of_links_is_found_beside_others(rows, page):
    add_fleet(rows, 3)
    early = {"dag_id": "deploy", "run_id": "monday", "task_id": "early"}
    rows.add_task(**early, state="failed", operator="SageMakerGuardedUpdateOperator")
    ended = in_flight(endpoint_name="churn-1", outcome="NotStarted", started_at=None)
    rows.add_xcom("rollout_report", ended, **early, at=NOON + timedelta(hours=1))

    first, *rest = page().items

    assert (first.endpoint, first.outcome, len(first.told_by)) == ("churn-1", "NotStarted", 2)
    assert [item.endpoint for item in rest] == ["churn-2", "churn-0"]


def test_the_verdict_on_a_shadow_test_is_that_of_the_judge_of_its_name(rows, page):
    where = {"dag_id": "deploy", "run_id": "monday"}
    report = {"schema_version": 1, "name": "trial", "outcome": "Reached", "endpoint_name": "churn"}
    rows.add_rollout(report, **where, task_id="observe", kind="shadow_test", state="success")
    judging = SageMakerJudgeShadowTestOperator.__name__
    for task_id, name, label in (("a_judge", "other", "Pass"), ("judge", "trial", "Fail")):
        rows.add_task(**where, task_id=task_id, state="failed", operator=judging)
        predictions = {"pairs": 9, "examples": [{"input": "secret"}]}
        verdict = {"name": name, "label": label, "reasons": [{"text": "x"}], "predictions": predictions}
        rows.add_xcom("verdict", verdict, **where, task_id=task_id)

    (item,) = page(kind="shadow_test").items

    assert item.verdict == {"label": "Fail", "reasons": [{"text": "x"}], "answers": {"pairs": 9}}
    assert item.main.report["summary"] == "REACHED: shadow test trial"


def test_dags_that_have_reported_are_known(rows):
    rows.add_rollout(in_flight(), **TASK)
    rows.add_task(dag_id="quiet", run_id="monday", task_id="x", state="running", operator="EmptyOperator")

    with Session(rows.engine) as session:
        assert reads.read_dag_ids(session) == ["deploy"]


def test_the_classes_that_are_looked_for_exist():
    assert SageMakerConcludeRolloutOperator.__name__ == reads.CONCLUDING
    assert SageMakerJudgeShadowTestOperator.__name__ == reads.JUDGING


def test_the_requests_of_a_shadow_test_are_those_that_the_waiting_task_has_counted(rows, page):
    where = {"dag_id": "deploy", "run_id": "monday", "kind": "shadow_test", "state": "success"}
    test = {"schema_version": 1, "name": "trial", "outcome": "Reached", "endpoint_name": "churn"}
    counted = {"requests": {"main": 120, "shadow": 110}, "min_requests": 100}
    rows.add_rollout({**test, **counted, "status": "Running"}, **where, task_id="observe")
    rows.add_rollout({**test, "requests": None, "status": "Completed"}, **where, task_id="stop")

    (item,) = page(kind="shadow_test").items

    report = in_full(item)["report"]
    assert (report["status"], report["requests"], report["min_requests"]) == ("Completed", *counted.values())


@pytest.mark.parametrize(("status", "ended_at"), [("Running", None), ("Completed", "2026-03-02T11:00:00Z")])
def test_a_shadow_test_that_runs_has_no_end_in_the_history(rows, page, status, ended_at):
    where = {"dag_id": "deploy", "run_id": "monday", "kind": "shadow_test", "state": "success"}
    ends = {"status": status, "ends_at": "2026-03-02T11:00:00Z"}
    report = {"schema_version": 1, "name": "trial", "outcome": "Reached", "endpoint_name": "churn", **ends}
    rows.add_rollout(report, **where, task_id="observe")

    (item,) = page(kind="shadow_test").items

    assert history_entry(item)["ended_at"] == ended_at
