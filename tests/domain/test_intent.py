"""The intent of a task instance: whose it is, and what has changed since."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.intent import Intent, owner_of

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
IDENTITY = {"dag_id": "deploy", "run_id": "scheduled__2026-03-02", "task_id": "update", "map_index": -1}
INTENT = Intent(owner="me", previous="v1", modified_at=TEN, written_at=TEN + MINUTE)
LOOK = Endpoint(name="churn", status=EndpointStatus.IN_SERVICE, seen_at=TEN + 5 * MINUTE)


def test_the_same_task_instance_is_the_same_owner_in_every_process_and_release():
    assert owner_of(**IDENTITY) == "8807abc3a7d5062267bb"


@pytest.mark.parametrize(
    "change", [{"dag_id": "d"}, {"run_id": "r"}, {"task_id": "t"}, {"map_index": 0}], ids=str
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
