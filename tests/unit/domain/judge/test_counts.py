"""Requests that a rule for counts needs, and what a trial's counts say."""

from __future__ import annotations

from random import Random
from statistics import median_low

import pytest

from airflow_guardrails.domain.judge import Label, judge
from airflow_guardrails.domain.judge.counts import judge_counts, rate_and_dispersion, requests_to_pass
from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.rules import MetricRule

HALF_A_POINT = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.005)
HALF_MORE = MetricRule("Invocation5XXErrors", stat="Sum", margin="50%")
NONE_MORE = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.0)


def test_a_rate_of_errors_takes_more_requests_than_none():
    none, some, many = (
        requests_to_pass(HALF_A_POINT, share=1.0, alpha=0.05, rate=rate) for rate in (0.0, 0.02, 0.1)
    )

    assert none == 751
    assert 10_000 < some < 20_000
    assert many > 100_000


def test_errors_in_bursts_take_that_many_times_the_requests():
    alone = requests_to_pass(HALF_A_POINT, share=1.0, alpha=0.05, rate=0.02)
    eights = requests_to_pass(HALF_A_POINT, share=1.0, alpha=0.05, rate=0.02, dispersion=8.0)

    assert eights == pytest.approx(8 * alone, rel=0.001)


@pytest.mark.parametrize(
    ("rule", "rate"),
    [
        (MetricRule("ModelLatency"), 0.1),
        (NONE_MORE, 0.1),
        (HALF_MORE, 0.0),
        (MetricRule("Served", namespace="Ours", stat="Sum", margin=1.0, direction="decrease"), 0.0),
    ],
    ids=["no count", "nothing allowed", "a percentage of none", "none that could become fewer"],
)
def test_what_cannot_be_predicted(rule, rate):
    assert requests_to_pass(rule, share=1.0, alpha=0.05, rate=rate) == 0


def test_what_should_not_become_rarer_is_predicted_from_its_rate():
    served = MetricRule("Served", namespace="Ours", stat="Sum", margin="10%", direction="decrease")

    assert 500 < requests_to_pass(served, share=1.0, alpha=0.05, rate=1.0) < 5000


@pytest.mark.parametrize(("rule", "share"), [(HALF_A_POINT, 1.0), (HALF_A_POINT, 0.25), (HALF_MORE, 1.0)])
def test_the_median_trial_passes_at_the_predicted_requests(rule, share):
    """The candidate has 1,000 requests a minute; both sides have errors of 2 %, drawn as normal values."""
    rate, requests = 0.02, 1000.0

    def drawn(random, mean):
        return float(max(round(random.gauss(mean, mean**0.5)), 0))

    def passed(seed):
        random = Random(seed)
        past = [drawn(random, rate * requests) for _ in range(60)]
        control, candidate = [], []
        for minute in range(1, 120):
            control.append(drawn(random, rate * requests / share))
            candidate.append(drawn(random, rate * requests))
            pairs = Pairs(
                control=control,
                candidate=candidate,
                control_requests=[requests / share] * minute,
                candidate_requests=[requests] * minute,
                history=past,
                history_requests=[requests] * 60,
            )
            interval = judge_counts(rule, pairs, alpha_fail=0.05, alpha_pass=0.05).interval
            if interval.high < rule.allowed + (1 if rule.relative else 0):
                return minute * requests
        return 120 * requests

    median = median_low(passed(seed) for seed in range(31))

    assert requests_to_pass(rule, share=share, alpha=0.05, rate=rate) == pytest.approx(median, rel=0.45)


def test_rate_and_dispersion_of_the_history():
    rate, size = rate_and_dispersion([(12.0 if minute % 20 == 7 else 0.0, 100.0) for minute in range(360)])

    assert rate == pytest.approx(0.006)
    assert size == pytest.approx(12, rel=0.2)


def test_harm_that_begins_late_fails_and_the_reason_says_since_when(trial, errors):
    late = errors(2, [2] * 40 + [9] * 20)

    verdict = judge(trial({HALF_A_POINT: late}), [HALF_A_POINT])

    assert verdict.label is Label.FAIL
    assert (
        "Invocation5XXErrors Sum: +7 points > limit +0.5 points in the last 20 minutes (whole trial"
        in verdict.describe()
    )


def test_the_whole_trial_is_shown_if_harm_was_there_from_the_first_minute(trial, errors):
    verdict = judge(trial({HALF_MORE: errors(2, 9)}), [HALF_MORE])

    assert verdict.label is Label.FAIL
    assert "Invocation5XXErrors Sum: +350% > limit +50% (interval" in verdict.describe()
