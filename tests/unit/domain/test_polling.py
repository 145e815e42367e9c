"""What is looked at, and in which list, for the fewest calls."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.polling import (
    ENDPOINT_LISTS,
    EXPERIMENT_LISTS,
    PendingLook,
    PollPlan,
    next_wake_at,
    plan_poll,
)
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus, ListedEndpoint
from airflow_guardrails.domain.snapshots.experiment import ExperimentStatus, ListedExperiment

UPDATING, IN_SERVICE = EndpointStatus.UPDATING, EndpointStatus.IN_SERVICE
SYSTEM = EndpointStatus.SYSTEM_UPDATING
TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


def vigil(name="churn", **changes):
    known = {"due": 100.0, "every": 30.0, "describe_by": 1000.0, "expected": UPDATING}
    known |= changes
    return PendingLook(name=name, **{"listed_in": ENDPOINT_LISTS.list_for(known["expected"]), **known})


def many(number, **changes):
    return [vigil(f"churn-{each}", **changes) for each in range(number)]


def plan(vigils, *, pages=None, may_list=True, now=100.0):
    return plan_poll(vigils, pages=pages or {}, may_list=may_list, now=now)


def test_nothing_is_done_before_it_is_due():
    assert plan(many(1000), now=99.9) == PollPlan()


def test_one_wait_is_described_and_reads_no_list():
    assert plan([vigil()]) == PollPlan(spread=frozenset({"churn"}), within=30.0)


def test_two_waits_share_a_list_of_one_page():
    planned = plan(many(2))
    assert (planned.lists, planned.spread, planned.describe) == ({UPDATING}, set(), set())


def test_two_waits_for_one_endpoint_are_one_look():
    assert plan([vigil(), vigil()]).spread == {"churn"}


@pytest.mark.parametrize(("pages", "lists"), [(9, {UPDATING}), (10, set()), (11, set())])
def test_a_list_is_read_only_where_it_costs_less_than_the_looks_it_spares(pages, lists):
    planned = plan(many(10), pages={UPDATING: pages})
    assert planned.lists == lists
    assert len(planned.spread) == (0 if lists else 10)


def test_waits_that_are_due_within_the_interval_count_for_the_list():
    later = [vigil("a"), vigil("b", due=130.0)]
    assert plan(later).lists == {UPDATING}
    much_later = [vigil("a"), vigil("b", due=130.1)]
    assert plan(much_later) == PollPlan(spread=frozenset({"a"}), within=30.0)


def test_each_list_is_priced_by_itself():
    planned = plan([*many(5), vigil("other", expected=SYSTEM)])
    assert (planned.lists, planned.spread) == ({UPDATING}, {"other"})


def test_an_endpoint_that_waits_for_its_update_is_looked_for_among_those_under_way():
    assert plan(many(2, expected=IN_SERVICE)).lists == {UPDATING}


def test_without_lists_every_look_is_taken_within_the_interval():
    planned = plan(many(1000), may_list=False)
    assert (planned.lists, len(planned.spread), planned.within) == (set(), 1000, 30.0)


def test_a_look_that_no_list_can_spare_is_taken_when_it_is_due():
    planned = plan([*many(1000), vigil("suspected", expected=None), vigil("later", expected=None, due=101.0)])
    assert (planned.describe, planned.lists) == ({"suspected"}, {UPDATING})


def test_whatever_lists_show_every_endpoint_has_its_look_in_the_end():
    assert plan([*many(1000, due=120.0), vigil("old", due=120.0, describe_by=100.0)]).describe == {"old"}


def test_what_is_looked_at_anyway_needs_no_list():
    both = [vigil("a", describe_by=100.0), vigil("b", describe_by=100.0)]
    assert plan(both) == PollPlan(describe=frozenset({"a", "b"}))


def test_the_next_round_is_when_the_first_has_to_be_seen_to():
    assert next_wake_at([vigil(due=120.0), vigil(due=120.0, describe_by=110.0), vigil(due=115.0)]) == 110.0
    assert next_wake_at([]) == math.inf


# What a list shows.


def listed(status=UPDATING, *, minutes=0):
    return {"churn": ListedEndpoint("churn", status, TEN + timedelta(minutes=minutes))}


@pytest.mark.parametrize(
    ("wait", "seen", "news"),
    [
        (vigil(), listed(), False),
        (vigil(), {}, True),
        (vigil(modified_at=TEN), listed(), False),
        (vigil(modified_at=TEN), listed(minutes=1), True),
        (vigil(modified_at=TEN), listed(minutes=-1), False),
        (vigil(modified_at=TEN), {"churn": ListedEndpoint("churn", UPDATING)}, False),
        (vigil(expected=IN_SERVICE), {}, False),
        (vigil(expected=IN_SERVICE), listed(), True),
        (vigil(expected=EndpointStatus.UPDATE_ROLLBACK_FAILED), listed(), True),
    ],
)
def test_a_list_shows_a_change(wait, seen, news):
    assert wait.shows_change(seen) is news


@pytest.mark.parametrize("status", ExperimentStatus)
def test_a_shadow_test_is_in_the_list_of_its_status_until_that_changes(status):
    listed_in = EXPERIMENT_LISTS.list_for(status)
    wait = vigil(expected=status, listed_in=listed_in, modified_at=TEN)
    if status in {ExperimentStatus.COMPLETED, ExperimentStatus.CANCELLED}:
        assert listed_in is ExperimentStatus.RUNNING  # nothing waits for those, and no list tells of them
        return
    assert listed_in is status
    assert not wait.shows_change({"churn": ListedExperiment("churn", status, TEN)})
    assert wait.shows_change({"churn": ListedExperiment("churn", status, TEN + timedelta(minutes=1))})
    assert wait.shows_change({})


# Whatever waits there are.


vigils = st.builds(
    vigil,
    name=st.sampled_from("abcdefgh"),
    due=st.sampled_from([50.0, 100.0, 110.0, 200.0]),
    every=st.sampled_from([5.0, 30.0]),
    describe_by=st.sampled_from([60.0, 150.0, 1000.0]),
    expected=st.sampled_from([None, UPDATING, SYSTEM, IN_SERVICE]),
)


@settings(max_examples=25)
@given(
    waits=st.lists(vigils, max_size=12),
    pages=st.dictionaries(st.sampled_from([UPDATING, SYSTEM]), st.integers(1, 5)),
    may_list=st.booleans(),
)
def test_all_that_is_due_is_seen_to_and_never_for_more_calls_than_one_look_each(waits, pages, may_list):
    planned = plan(waits, pages=pages, may_list=may_list)

    due = [wait for wait in waits if wait.wake_at <= 100.0]
    looked_at = planned.describe | planned.spread
    assert all(wait.name in looked_at or wait.listed_in in planned.lists for wait in due)
    calls = len(planned.spread) + sum(pages.get(status, 1) for status in planned.lists)
    soon = {wait.name for wait in waits if wait.expected and wait.due <= 130.0}
    assert calls <= len(soon)
    assert may_list or not planned.lists
