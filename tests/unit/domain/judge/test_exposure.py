"""The candidate must have had its share of the requests."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.judge import Label, judge
from airflow_guardrails.domain.judge.rules import MetricRule

LATENCY = MetricRule("ModelLatency", margin="10%")


@pytest.mark.parametrize(
    ("candidate", "facts", "passes"),
    [
        (100, {}, True),
        (97, {}, True),
        (90, {}, False),
        (110, {}, False),
        (10, {"expected_share": 0.1}, True),
        (8, {"expected_share": 0.1}, True),
        (5, {"expected_share": 0.1}, False),
        (50, {"expected_share": 0.5, "paired": False}, True),
        (25, {"expected_share": 0.5, "paired": False}, False),
    ],
)
def test_no_rule_passes_without_the_expected_share_of_requests(trial, latencies, candidate, facts, passes):
    verdict = judge(trial({LATENCY: latencies()}, candidate=candidate, **facts), [LATENCY])

    assert verdict.label is (Label.PASS if passes else Label.INCONCLUSIVE)
    assert {reason.label for reason in verdict.reasons} == {verdict.label}


def test_the_reason_shows_the_numbers(trial, latencies):
    reason = judge(trial({LATENCY: latencies()}, candidate=50), [LATENCY]).reasons[0]

    assert reason.text == (
        "Invocations: the candidate got 3,000 requests, -50.0% against the 6,000 expected "
        "(1 x 6,000; limit +-5.0%)"
    )
    assert reason.missing.startswith("its share of the requests")


def test_harm_fails_although_the_share_is_wrong(trial, latencies):
    assert judge(trial({LATENCY: latencies(1.5)}, candidate=50), [LATENCY]).label is Label.FAIL
