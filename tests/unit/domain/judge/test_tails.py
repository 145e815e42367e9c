"""High percentiles: slow requests are counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from random import Random

import pytest

from airflow_guardrails.domain.judge import Evidence, Label, Series, SlowRequests, judge
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.tails import Limits, is_counted_by_limit, stat_of_count

TEN = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)
P99 = MetricRule("ModelLatency", stat="p99", margin="10%")


def minutes(values, *, begin=TEN):
    return {begin + timedelta(minutes=minute): float(value) for minute, value in enumerate(values)}


def evidence(control, candidate, *, requests=200, count=60):
    counts = Series(control=minutes(control), candidate=minutes(candidate))
    both = minutes([requests] * count)
    return Evidence(
        requests=Series(control=both, candidate=both),
        metrics={P99: Series(control=minutes([500_000] * count), candidate=minutes([500_000] * count))},
        paired=False,
        slow={P99: SlowRequests(counts=counts, control_limit=500_000, candidate_limit=550_000)},
    )


def slow(share, *, seed, count=60, requests=200):
    chance = Random(seed)
    return [sum(chance.random() < share for _ in range(requests)) for _ in range(count)]


def reason_of(verdict):
    return next(reason for reason in verdict.reasons if reason.stat == "p99")


@pytest.mark.parametrize(
    ("rule", "counted"),
    [
        (P99, True),
        (replace(P99, stat="p95"), True),
        (replace(P99, stat="p90"), False),
        (replace(P99, stat="Average"), False),
        (replace(P99, direction="decrease"), False),
    ],
)
def test_requests_are_counted_for_high_percentiles_of_which_an_increase_is_worse(rule, counted):
    assert is_counted_by_limit(rule) is counted


def test_the_limit_is_the_median_of_the_history():
    limits = Limits.of(P99, minutes([400, 500, 900, 500, 510]), minutes([700] * 9))

    assert limits == Limits(control=500, candidate=550, begin=None)


def test_without_a_history_the_first_five_minutes_make_the_limit_and_are_not_counted():
    limits = Limits.of(replace(P99, margin=50.0), {}, minutes([400, 500, 900, 500, 510, 9000, 9000]))

    assert limits == Limits(control=500, candidate=550, begin=TEN + timedelta(minutes=5))
    assert Limits.of(P99, {}, minutes([400] * 4)) is None
    assert Limits.of(P99, {}, minutes([0] * 9)) is None


@pytest.mark.parametrize(
    ("limit", "stat"), [(532_000.0, "TC(532000:)"), (0.25, "TC(0.25:)"), (1_230_000.0, "TC(1230000:)")]
)
def test_cloudwatch_counts_the_values_above_the_limit(limit, stat):
    assert stat_of_count(limit) == stat


def test_more_slow_requests_fail_and_the_text_says_how_many():
    reason = reason_of(judge(evidence(slow(0.01, seed=1), slow(0.04, seed=2)), [P99]))

    assert reason.label is Label.FAIL
    assert reason.measured > 1.5
    assert reason.limit == 0
    assert reason.text.startswith("ModelLatency p99: 4.02% of the requests above 550,000")
    assert "> production's 1.13% above 500,000" in reason.text


def test_slow_requests_that_begin_later_fail_with_their_begin():
    late = slow(0.01, seed=2, count=40) + slow(0.06, seed=3, count=20)

    reason = reason_of(judge(evidence(slow(0.01, seed=1), late), [P99]))

    assert reason.label is Label.FAIL
    assert "in the last 2" in reason.text or "in the last 19" in reason.text


def test_fewer_slow_requests_pass():
    assert reason_of(judge(evidence(slow(0.02, seed=1), slow(0.005, seed=2)), [P99])).label is Label.PASS


def test_as_many_slow_requests_are_the_edge_of_the_margin():
    given = evidence(slow(0.01, seed=1), slow(0.01, seed=2), requests=40)

    reason = reason_of(judge(given, [P99]))

    assert reason.label is Label.INCONCLUSIVE
    assert reason.missing


def test_with_many_requests_a_minute_the_percentiles_may_pass():
    """The constant percentiles are equal, so the margin of 10 % holds."""
    given = evidence(slow(0.01, seed=1), slow(0.01, seed=2), requests=1000)

    assert reason_of(judge(given, [P99])).label is Label.PASS


def test_without_counts_the_percentiles_are_judged():
    given = replace(evidence([], []), slow={})

    assert "too few requests a minute" not in reason_of(judge(given, [P99])).text
    few = replace(evidence([], [], requests=20), slow={})
    assert "too few requests a minute for a percentile" in reason_of(judge(few, [P99])).text


def test_counts_of_few_minutes_are_not_used():
    given = evidence([1.0] * 30, [9.0] * 30)

    assert "of the requests above" not in reason_of(judge(given, [P99])).text


def test_slow_requests_of_the_warm_up_are_not_counted():
    cold = [150] * 5 + slow(0.01, seed=2, count=55)

    verdict = judge(evidence(slow(0.01, seed=1), cold), [P99], warm_up=timedelta(minutes=5))

    assert reason_of(verdict).label is not Label.FAIL
