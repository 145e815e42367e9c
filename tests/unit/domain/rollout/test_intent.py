"""The intent of a task instance: whose it is, and what has changed since."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.rollout.launch import Intent, latest_intent, owner_of
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
IDENTITY = {
    "dag_id": "deploy",
    "run_id": "scheduled__2026-03-02",
    "task_id": "update",
    "map_index": -1,
    "endpoint_name": "churn",
}
INTENT = Intent(previous="v1", modified_at=TEN, written_at=TEN + MINUTE)
LOOK = Endpoint(name="churn", status=EndpointStatus.IN_SERVICE, seen_at=TEN + 5 * MINUTE)


def test_the_same_task_instance_is_the_same_owner_in_every_process_and_release():
    assert owner_of(**IDENTITY) == "cb9dc06f8463874ee06e"


@pytest.mark.parametrize(
    "change",
    [{"dag_id": "d"}, {"run_id": "r"}, {"task_id": "t"}, {"map_index": 0}, {"endpoint_name": "e"}],
    ids=str,
)
def test_every_part_of_the_identity_makes_another_owner(change):
    assert owner_of(**{**IDENTITY, **change}) != owner_of(**IDENTITY)


def test_names_that_read_the_same_in_a_row_are_different_owners():
    one = {**IDENTITY, "dag_id": "a", "run_id": "b_c"}
    other = {**IDENTITY, "dag_id": "a_b", "run_id": "c"}
    assert owner_of(**one) != owner_of(**other)


@pytest.mark.parametrize(
    ("modified", "changed"), [(TEN - MINUTE, False), (TEN, False), (TEN + MINUTE, True), (None, False)]
)
def test_an_endpoint_has_changed_if_it_was_modified_later_than_the_intent_says(modified, changed):
    assert INTENT.changed_since(replace(LOOK, last_modified_at=modified)) is changed


def test_where_the_intent_does_not_know_nothing_is_claimed():
    assert replace(INTENT, modified_at=None).changed_since(replace(LOOK, last_modified_at=TEN)) is False


# The same intent, as several places know it

ACCEPTED = replace(INTENT, accepted_at=TEN + 2 * MINUTE)
STARTED = replace(INTENT, started_at=TEN + 3 * MINUTE)
WITHDRAWN = replace(INTENT, withdrawn=True)
BOTH = replace(ACCEPTED, started_at=STARTED.started_at)
EARLIER = replace(ACCEPTED, previous="v0", written_at=TEN - MINUTE, started_at=TEN - MINUTE)


@pytest.mark.parametrize(
    ("found", "known"),
    [
        ([], None),
        ([None, None], None),
        ([INTENT], INTENT),
        ([None, INTENT], INTENT),
        ([ACCEPTED, INTENT], ACCEPTED),
        ([INTENT, ACCEPTED], ACCEPTED),
        ([STARTED, ACCEPTED], BOTH),
        ([WITHDRAWN], None),
        ([ACCEPTED, WITHDRAWN], None),
        ([WITHDRAWN, INTENT], None),
        ([EARLIER, INTENT], INTENT),
        ([INTENT, EARLIER], INTENT),
        ([replace(EARLIER, withdrawn=True), INTENT], INTENT),
        ([EARLIER, WITHDRAWN], None),
    ],
)
def test_of_the_latest_intent_the_most_that_any_place_knows_counts(found, known):
    assert latest_intent(found) == known


def test_intents_that_come_one_by_one_are_all_read():
    assert latest_intent(iter([INTENT, ACCEPTED])) == ACCEPTED
