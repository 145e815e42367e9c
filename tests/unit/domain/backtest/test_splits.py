"""A random split divides what happened; both parts together are what happened."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from statistics import fmean, stdev

import pytest

from airflow_guardrails.domain.backtest.splits import Harm, Past, split, spread_of, spread_stats
from airflow_guardrails.rules import MetricRule

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
ERRORS = MetricRule("Invocation5XXErrors", stat="Sum")
RATE = MetricRule("Invocation4XXErrors")
LATENCY = MetricRule("ModelLatency")
P90 = MetricRule("ModelLatency", stat="p90")
CLICKS = MetricRule("Clicks", stat="Sum", per="Answers", namespace="Shop")
MINUTES = [START + timedelta(minutes=number) for number in range(200)]


def past(**more) -> Past:
    values = {
        ERRORS: 6.0,
        RATE: 0.05,
        LATENCY: 20_000.0,
        P90: 30_000.0,
        CLICKS: 80.0,
        CLICKS.denominator: 90.0,
    }
    return Past(
        requests=dict.fromkeys(MINUTES, 600.0),
        metrics={rule: dict.fromkeys(MINUTES, value) for rule, value in values.items()},
        **more,
    )


def divided(rule: MetricRule, given: Past | None = None, *, harm: Harm | None = None, share: float = 0.2):
    rng = random.Random(7)
    found = split(given or past(), [rule], start=START, shares=[share] * len(MINUTES), rng=rng, harm=harm)
    assert found is not None
    return found


def test_the_new_fleet_gets_its_share_of_the_requests():
    requests = divided(ERRORS).requests

    assert fmean(requests.candidate.values()) == pytest.approx(120, abs=3)
    assert {requests.control[at] + requests.candidate[at] for at in MINUTES} == {600}
    assert 8 < stdev(requests.candidate.values()) < 12


@pytest.mark.parametrize("rule", [ERRORS, CLICKS])
def test_events_are_divided_as_the_requests_are(rule):
    found = divided(rule).metrics[rule]
    total = past().metrics[rule][START]

    assert {found.control[at] + found.candidate[at] for at in MINUTES} == {total}
    assert fmean(found.candidate.values()) == pytest.approx(0.2 * total, rel=0.1)


def test_a_rate_is_divided_as_its_events():
    evidence = divided(RATE)
    found, requests = evidence.metrics[RATE], evidence.requests

    events = [
        found.control[at] * requests.control[at] + found.candidate[at] * requests.candidate[at]
        for at in MINUTES
    ]
    assert events == pytest.approx([30] * len(MINUTES))


def test_a_mean_varies_as_single_requests_do():
    still = divided(LATENCY).metrics[LATENCY]
    assert set(still.candidate.values()) == {20_000}

    noisy = divided(LATENCY, past(spreads={LATENCY: dict.fromkeys(MINUTES, 1_000.0)}))
    values, requests = noisy.metrics[LATENCY], noisy.requests
    # 1000 of a single request, and 120 requests a minute; the part that the total fixes is smaller.
    assert stdev(values.candidate.values()) == pytest.approx(1_000 / 120**0.5 * 0.8**0.5, rel=0.15)
    means = [
        (values.control[at] * requests.control[at] + values.candidate[at] * requests.candidate[at]) / 600
        for at in MINUTES
    ]
    assert means == pytest.approx([20_000] * len(MINUTES))


def test_harm_is_added_to_the_new_fleet_alone():
    clean, harmed = divided(ERRORS), divided(ERRORS, harm=Harm(rule=ERRORS, size=0.05))
    assert fmean(harmed.metrics[ERRORS].candidate.values()) == pytest.approx(
        fmean(clean.metrics[ERRORS].candidate.values()) + 0.05 * 119, rel=0.1
    )

    slow = divided(LATENCY, harm=Harm(rule=LATENCY, size=0.1)).metrics[LATENCY]
    assert (slow.control[START], slow.candidate[START]) == pytest.approx((20_000, 22_000))


def test_a_metric_that_should_not_fall_is_harmed_by_less():
    rule = MetricRule("Score", direction="decrease", namespace="Shop")
    given = Past(requests=dict.fromkeys(MINUTES, 600.0), metrics={rule: dict.fromkeys(MINUTES, 1.0)})

    found = divided(rule, given, harm=Harm(rule=rule, size=0.25)).metrics[rule]

    assert found.candidate[START] == pytest.approx(0.8)


P99 = MetricRule("ModelLatency", stat="p99", margin="20%")


def slow(*, harm: Harm | None = None):
    # An exponential tail: p99 is 100, and p98.5 and p99.5 are 97 and 105.
    tail = spread_of(P99, {START: 97.0}, {START: 105.0})[START]
    given = Past(
        requests=dict.fromkeys(MINUTES, 10_000.0),
        metrics={P99: dict.fromkeys(MINUTES, 100.0)},
        spreads={P99: dict.fromkeys(MINUTES, tail)},
    )
    return divided(P99, given, harm=harm).slow[P99]


def test_slow_requests_are_counted_for_high_percentiles():
    clean, harmed = slow(), slow(harm=Harm(rule=P99, size=0.2))

    assert (clean.control_limit, clean.candidate_limit) == (100, 120)
    assert fmean(clean.counts.control.values()) == pytest.approx(8_000 * 0.01, rel=0.05)
    assert fmean(clean.counts.candidate.values()) < 2_000 * 0.002
    # As slow as the margin allows: as many slow requests for each request as in the old fleet.
    assert fmean(harmed.counts.candidate.values()) == pytest.approx(2_000 * 0.01, rel=0.05)


def test_lower_percentiles_have_no_counts():
    assert divided(P90).slow == {}


def test_without_requests_there_is_no_split():
    nothing = Past(requests={}, metrics={})

    assert split(nothing, [ERRORS], start=START, shares=[0.2], rng=random.Random(0)) is None


def test_the_spread_of_single_requests_comes_from_percentiles():
    assert spread_stats(ERRORS) is None
    assert spread_stats(LATENCY) == ("p10", "p90")
    assert spread_stats(P90) == ("p85", "p95")
    assert spread_stats(MetricRule("ModelLatency", stat="p99.9")) == ("p99.85", "p99.95")
    # Of a normal distribution with standard deviation 1.
    assert spread_of(LATENCY, {START: -1.2816}, {START: 1.2816})[START] == pytest.approx(1, rel=0.01)
    # Its density at p90 is 0.1755, so one request has 0.3 / 0.1755.
    assert spread_of(P90, {START: 1.0364}, {START: 1.6449})[START] == pytest.approx(1.71, rel=0.1)
