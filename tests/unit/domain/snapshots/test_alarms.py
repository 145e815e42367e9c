"""Which alarms were in ALARM while a rollout ran, and how alarms are reported."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.snapshots.alarms import (
    Alarm,
    AlarmState,
    AlarmTransition,
    summarize_states,
    tripped_between,
)

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
OK, ALARM, NO_DATA = AlarmState.OK, AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA


def minute(number):
    return START + timedelta(minutes=number)


END = minute(30)


def moved(name, at, state=ALARM, reason=""):
    return AlarmTransition(name=name, state=state, at=minute(at), reason=reason)


def stands(name, state=ALARM, since=None, reason=""):
    return Alarm(name=name, state=state, since=None if since is None else minute(since), reason=reason)


def names(*, history=(), alarms=()):
    return [entry.name for entry in tripped_between(history, alarms, start=START, end=END)]


@pytest.mark.parametrize(("at", "seen"), [(-0.1, []), (0, ["errors"]), (30, ["errors"]), (30.1, [])])
def test_an_alarm_that_tripped_from_start_to_end_counts_both_included(at, seen):
    assert names(history=[moved("errors", at)]) == seen


@pytest.mark.parametrize("state", [OK, NO_DATA])
def test_an_alarm_that_took_another_state_does_not_count(state):
    assert names(history=[moved("errors", 5, state)], alarms=[stands("errors", state, 5)]) == []


def test_an_alarm_that_tripped_and_recovered_counts():
    history = [moved("errors", 5), moved("errors", 8, OK)]
    assert names(history=history, alarms=[stands("errors", OK, 8)]) == ["errors"]


def test_an_alarm_that_was_in_alarm_before_and_still_is_counts():
    assert names(alarms=[stands("errors", since=-600)]) == ["errors"]


def test_an_alarm_that_went_off_after_the_end_does_not_count():
    assert names(alarms=[stands("errors", since=31)]) == []


def test_an_alarm_without_a_time_is_no_evidence():
    assert names(alarms=[stands("errors", since=None)]) == []


def test_they_come_in_the_order_in_which_they_tripped():
    history = [moved("late", 20), moved("early", 5), moved("middle", 10)]
    assert names(history=history, alarms=[stands("before", since=-1)]) == [
        "before",
        "early",
        "middle",
        "late",
    ]


def test_an_alarm_that_tripped_twice_is_reported_once_with_the_first_time():
    history = [moved("errors", 20, reason="again"), moved("errors", 5, reason="first")]
    (entry,) = tripped_between(history, [stands("errors", since=20)], start=START, end=END)
    assert (entry.at, entry.reason) == (minute(5), "first")


def test_the_reason_of_one_that_held_is_the_one_it_stands_with():
    (entry,) = tripped_between([], [stands("errors", since=-5, reason="2 > 1")], start=START, end=END)
    assert entry == moved("errors", -5, reason="2 > 1")


transitions = st.lists(
    st.builds(moved, st.sampled_from(["a", "b", "c"]), st.integers(-10, 40), st.sampled_from(AlarmState))
)


@settings(max_examples=25)
@given(transitions, st.randoms())
def test_the_order_of_the_history_does_not_matter(history, random):
    """CloudWatch returns the newest first by default, and each alarm by itself."""
    shuffled = random.sample(history, len(history))
    times = {entry.name: entry.at for entry in tripped_between(history, [], start=START, end=END)}
    again = {entry.name: entry.at for entry in tripped_between(shuffled, [], start=START, end=END)}
    assert times == again
    assert list(times.values()) == sorted(times.values())


@pytest.mark.parametrize(
    ("alarms", "sentence"),
    [
        ([], "no alarms"),
        ([stands("a", OK)], "1 alarm OK"),
        ([stands("a", OK), stands("b", OK)], "2 alarms OK"),
        ([stands("a", ALARM)], "1 in ALARM (a)"),
        ([stands("a", NO_DATA), stands("b", NO_DATA)], "2 without data yet (a, b)"),
        (
            [stands("a", ALARM), stands("b", OK), stands("c", NO_DATA), stands("d", OK), stands("e", ALARM)],
            "2 alarms OK, 1 without data yet (c), 2 in ALARM (a, e)",
        ),
    ],
)
def test_those_that_are_not_fine_are_named(alarms, sentence):
    assert summarize_states(alarms) == sentence
