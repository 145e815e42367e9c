"""From reports to items: what belongs together, what can be stopped, and what a list leaves out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.plugins._web.items import (
    Peer,
    Position,
    Told,
    history_entry,
    in_full,
    in_list,
    items_of,
)
from tests.support.rollout_reports import in_flight

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
STARTED = "2026-03-02T11:00:00+00:00"


def told(
    task_id="update", *, minute=0, state="deferred", run=1, map_index=-1, key="rollout_report", **report
):
    position = Position(NOON + timedelta(minutes=minute), run, task_id, map_index, key)
    value = in_flight(**{"started_at": STARTED, **report})
    return Told(position=position, dag_id="deploy", run_id="monday", state=state, try_number=1, value=value)


def tasks(item):
    return [one.position.task_id for one in item.told_by]


@pytest.mark.parametrize(
    "other",
    [
        {"endpoint_name": "fraud"},
        {"endpoint_config_name": "churn-v43"},
        {"started_at": "2026-03-02T11:30:00+00:00"},
        {"region": "us-east-1"},
        {"account": "999999999999"},
        {"run": 2},
    ],
    ids=repr,
)
def test_reports_of_two_rollouts_are_two_items(other):
    assert len(items_of([told(), told("watch", **other)])) == 2


@pytest.mark.parametrize("unknown", ["started_at", "region", "account"])
def test_what_one_report_does_not_know_does_not_part_them(unknown):
    (item,) = items_of([told(), told("watch", minute=1, **{unknown: None})])

    assert tasks(item) == ["watch", "update"]


def test_a_report_without_a_start_does_not_join_two_rollouts_of_different_starts():
    first, second = told("first"), told("second", minute=1, started_at="2026-03-02T11:30:00+00:00")
    items = items_of([first, told("watch", minute=2, started_at=None), second])

    assert sorted(tasks(item) for item in items) == [["first"], ["watch", "second"]]


def test_the_report_with_the_outcome_is_shown_although_another_is_newer():
    ended = told("conclude", minute=1, state="success", outcome="RolledBack")
    (item,) = items_of([told(minute=2), ended])

    assert (item.main, item.outcome, item.live) == (ended, "RolledBack", False)


@pytest.mark.parametrize(
    ("state", "live", "stops"),
    [
        ("running", True, True),
        ("deferred", True, True),
        ("up_for_retry", True, False),
        ("up_for_reschedule", True, False),
        ("queued", True, False),
        ("failed", False, False),
        ("success", False, False),
        ("removed", False, False),
        (None, False, False),
    ],
)
def test_what_is_live_and_what_can_be_stopped(state, live, stops):
    (item,) = items_of([told(state=state)])

    assert (item.live, item.stop is not None) == (live, stops)


@pytest.mark.parametrize("stopping", [None, {"aborts": False, "text": "no"}, {"aborts": "yes"}, "yes", []])
def test_a_task_that_would_abort_nothing_is_no_way_to_stop(stopping):
    (item,) = items_of([told(stopping=stopping)])

    assert in_full(item)["stop"] is None


def test_the_task_to_stop_is_the_one_that_aborts_not_the_newest():
    watching = told("watch", minute=1, stopping={"aborts": False, "text": "a sensor"})
    (item,) = items_of([told(map_index=4), watching])

    assert in_full(item)["task_id"] == "watch"
    assert in_full(item)["stop"] == {"task_id": "update", "map_index": 4}


def conclude(task_id, *, run=1, map_index=-1):
    return Peer(dag_run_id=run, task_id=task_id, map_index=map_index, state="queued")


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        ([], None),
        ([conclude("group.conclude")], "group.conclude"),
        ([conclude("group.conclude", run=2)], None),
        ([conclude("other.conclude")], None),
        ([conclude("group.conclude", map_index=1)], None),
        ([conclude("group.a"), conclude("group.b")], None),
        ([conclude("group.a"), conclude("group.update")], "group.update"),
    ],
)
def test_the_task_that_concludes_stands_in_the_same_group_or_has_told(peers, expected):
    (item,) = items_of([told("group.update")], concluding=peers)

    assert (item.concluding and item.concluding.task_id) == expected


def test_a_list_leaves_out_what_is_long():
    analysis = {"label": "Pass", "looks": 2, "history": [{"at": STARTED}]}
    (item,) = items_of([told(analysis=analysis, findings=[{"code": "x"}], approval={"approved": True})])

    listed, full = in_list(item), in_full(item)

    assert full["report"]["analysis"] == analysis
    assert listed["report"]["analysis"] == {"label": "Pass", "looks": 2}
    assert set(full["report"]) - set(listed["report"]) == {"findings", "approval", "stages"}
    assert listed["report"]["traffic"] == full["report"]["traffic"]
    assert {**listed, "report": None} == {**full, "report": None}


@pytest.mark.parametrize(("state", "live"), [("deferred", True), ("failed", False)])
def test_an_entry_of_the_history_tells_whether_its_end_is_waited_for(state, live):
    (item,) = items_of([told(state=state)])

    assert history_entry(item)["live"] is live


def test_a_cursor_is_read_back():
    position = Position(NOON + timedelta(microseconds=1), 7, "group.über", -1, "rollout_report")

    assert Position.from_cursor(position.as_cursor()) == position


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "bm90IGpzb24=", "W10=", "\u00fc", Position(NOON, 1, "t", -1, "k").as_cursor()[:-8]],
)
def test_what_is_no_cursor_is_a_value_error(cursor):
    with pytest.raises(ValueError):  # noqa: PT011 - of json, of base64 or of the class itself
        Position.from_cursor(cursor)
