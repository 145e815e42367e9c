"""What is compared of a shadow test's series, and what is only production's history."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.judge import MAX_HISTORY, History
from airflow_guardrails.domain.shadow.evidence import (
    _MAX_CHANGE,
    Span,
    evidence_of,
    judged_span,
    metrics_start,
    queries_of,
)
from airflow_guardrails.rules import MetricRule
from tests.support.experiments import experiment

STARTS = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
LATENCY, ERRORS = MetricRule("ModelLatency", margin="10%"), MetricRule("Invocation5XXErrors", stat="Sum")


def running(*, starts=STARTS, seen=STARTS + timedelta(hours=1)):
    return experiment(starts_at=starts, seen_at=seen)


def minutes(first, last, value=100.0):
    """Give one value for each minute from so many after the start to so many after it."""
    return {STARTS + after * MINUTE: value for after in range(first, last)}


def answers(trial, *, live, shadow, without=()):
    """Answer all queries with the same minutes, but those for the metrics *without* any."""
    sides = {"live": live, "shadow": shadow}
    return {
        query: {} if query.metric in without else sides[dict(query.dimensions)["VariantName"]]
        for query in queries_of(trial, [LATENCY, ERRORS])
    }


def test_productions_minutes_before_the_trial_are_its_history():
    trial = running()
    series = answers(trial, live=minutes(-90, 60, 7.0), shadow=minutes(0, 60, 8.0))

    history = evidence_of(trial, [LATENCY, ERRORS], series).history

    assert history.requests == minutes(-90, 0, 7.0)
    assert history.metrics == {LATENCY: minutes(-90, 0, 7.0), ERRORS: minutes(-90, 0, 7.0)}


def test_nothing_of_the_history_is_compared():
    trial = running()
    before = answers(trial, live=minutes(-90, 60), shadow=minutes(-90, 60))
    without = answers(trial, live=minutes(0, 60), shadow=minutes(0, 60))

    long, short = (evidence_of(trial, [LATENCY, ERRORS], series) for series in (before, without))

    assert long.requests == short.requests
    assert long.metrics == short.metrics
    assert min(long.requests.control) == min(long.metrics[LATENCY].candidate) == STARTS


def test_there_is_no_history_without_earlier_requests_to_production():
    trial = running()
    series = answers(trial, live=minutes(0, 60), shadow=minutes(0, 60))

    assert evidence_of(trial, [LATENCY, ERRORS], series).history == History()


def test_earlier_requests_to_the_shadow_are_no_history():
    trial = running()
    series = answers(trial, live=minutes(0, 60), shadow=minutes(-90, 60))

    assert evidence_of(trial, [LATENCY, ERRORS], series).history == History()


def test_a_metric_that_production_never_had_has_no_history():
    trial = running()
    series = answers(trial, live=minutes(-90, 60), shadow=minutes(0, 60), without={"Invocation5XXErrors"})

    assert set(evidence_of(trial, [LATENCY, ERRORS], series).history.metrics) == {LATENCY}


def test_a_minute_in_which_the_trial_began_is_neither_history_nor_compared():
    trial = running(starts=STARTS + timedelta(seconds=20))
    series = answers(trial, live=minutes(-5, 60), shadow=minutes(0, 60))

    evidence = evidence_of(trial, [LATENCY], series)

    assert max(evidence.history.requests) == STARTS - MINUTE
    assert min(evidence.requests.control) == STARTS + MINUTE


def test_minutes_in_which_the_shadow_starts_are_neither():
    trial = running()
    series = answers(trial, live=minutes(-5, 60), shadow=minutes(8, 60))

    evidence = evidence_of(trial, [LATENCY], series)

    assert max(evidence.history.requests) == STARTS - MINUTE
    assert min(evidence.requests.control) == STARTS + 8 * MINUTE


@pytest.mark.parametrize(
    ("busy", "first"),
    [
        (minutes(8, 60), 8 * MINUTE),
        (minutes(-90, -30) | minutes(8, 60), 8 * MINUTE),
        (minutes(-90, 60), timedelta(0)),
        (minutes(-90, -30) | minutes(50, 60), _MAX_CHANGE),
        (minutes(-90, -30), timedelta(0)),
        ({}, timedelta(0)),
    ],
)
def test_an_earlier_shadow_of_the_same_name_does_not_change_what_is_judged(busy, first):
    assert judged_span(running(), busy) == Span(start=STARTS + first, end=STARTS + timedelta(hours=1))


@pytest.mark.parametrize(
    ("age", "before"),
    [
        (timedelta(hours=1), MAX_HISTORY),
        (timedelta(days=14), MAX_HISTORY),
        # Of the trial there are minutes, of all of its history there are none any more.
        (timedelta(days=14, hours=20), timedelta(0)),
        (timedelta(days=20), timedelta(0)),
    ],
)
def test_history_is_read_as_long_as_cloudwatch_has_its_minutes(age, before):
    trial = running(seen=STARTS + age)

    assert metrics_start(trial) == STARTS - before


def test_periods_of_five_minutes_are_no_history():
    trial = running(starts=STARTS + 3 * MINUTE, seen=STARTS + timedelta(days=20))
    periods = {STARTS + 5 * after * MINUTE: 500.0 for after in range(-12, 12)}
    series = answers(trial, live=periods, shadow=periods)

    assert evidence_of(trial, [LATENCY], series).history == History()


def test_the_denominator_of_a_ratio_is_read_for_both_sides_and_the_history():
    clicks, trial = MetricRule("Clicks", stat="Sum", per="Answers", namespace="Shop"), running()
    queries = queries_of(trial, [clicks])
    series = {query: minutes(-90, 60, 7.0 if query.metric == "Clicks" else 70.0) for query in queries}

    evidence = evidence_of(trial, [clicks], series)

    assert [query.metric for query in queries] == [
        name for name in ("Invocations", "Clicks", "Answers") for _ in "12"
    ]
    assert evidence.series_of(clicks).candidate == pytest.approx(minutes(0, 60, 0.1))
    assert evidence.history.metrics[clicks.denominator] == minutes(-90, 0, 70.0)
