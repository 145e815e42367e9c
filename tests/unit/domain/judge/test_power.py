"""What a trial can find is predicted from production's past, and trials that are drawn at random agree."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from math import exp, sqrt
from random import Random

import pytest

from airflow_guardrails.domain.judge.counts import judge_counts
from airflow_guardrails.domain.judge.evidence import History, Pairs
from airflow_guardrails.domain.judge.means import judge_means
from airflow_guardrails.domain.judge.power import RulePower, all_pass_chance, power
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule
from tests.support.series import autoregressive

BEGIN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
LATENCY = MetricRule("ModelLatency", margin="10%")
P90 = MetricRule("ModelLatency", stat="p90", margin="10%")
ERRORS = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.005)
BAKE = ((0.25, timedelta(minutes=40)),)


def history(rule, values, *, requests):
    moments = [BEGIN - timedelta(minutes=minute) for minute in range(len(values), 0, -1)]
    served = dict.fromkeys(moments, float(requests))
    return History(requests=served, metrics={rule: dict(zip(moments, values, strict=True))})


def predicted(rule, values, *, requests=1000, parts=BAKE):
    (found,) = power([rule], history(rule, values, requests=requests), parts, alpha=0.05, requests=requests)
    return found


def latencies(*, requests=1000, spread=0.3, moves=0.1, minutes=360, seed=1):
    """Production that moves slowly, and the noise of its requests; *spread* is that of one request."""
    random = Random(f"noise {seed}")
    return [
        100 * exp(moves * slow) * (1 + spread / sqrt(requests) * random.gauss(0, 1))
        for slow in autoregressive(0.95, minutes, seed)
    ]


def errors(rate, *, requests=1000, minutes=360):
    random = Random(2)
    return [float(sum(random.random() < rate for _ in range(requests))) for _ in range(minutes)]


# Means.


def test_a_steady_mean_passes_and_a_small_slow_down_is_found():
    found = predicted(LATENCY, latencies())

    assert found.pass_chance > 0.9
    assert 0.1 < found.found <= 0.25
    assert 20 <= found.by_minute <= 40


def test_the_same_past_gives_the_same_answer():
    assert predicted(LATENCY, latencies()) == predicted(LATENCY, latencies())


def test_a_noisy_mean_does_not_pass_and_only_large_harm_is_found():
    steady, noisy = (predicted(LATENCY, latencies(spread=spread)) for spread in (0.3, 5))

    assert noisy.pass_chance < 0.2
    assert noisy.found is None or noisy.found > 2 * steady.found


def test_what_moves_production_slowly_is_not_noise():
    still, moving = (predicted(LATENCY, latencies(moves=moves)) for moves in (0.0, 0.2))

    assert min(moving.pass_chance, still.pass_chance) > 0.9


def test_a_larger_share_of_the_requests_finds_less_harm():
    values = latencies(spread=2)
    tenth, half = (
        predicted(LATENCY, values, parts=[(share, timedelta(minutes=40))]) for share in (0.05, 0.5)
    )

    assert half.pass_chance > tenth.pass_chance
    assert tenth.found is None or half.found < tenth.found


@pytest.mark.parametrize(
    "rule",
    [
        MetricRule("ModelLatency", margin=10.0),
        MetricRule("ModelLatency", margin=10.0, direction="decrease"),
        MetricRule("ModelLatency", margin="10%", direction="decrease"),
    ],
    ids=["in the unit", "in the unit, less is worse", "less is worse"],
)
def test_every_margin_of_a_mean_is_predicted(rule):
    found = predicted(rule, latencies(moves=0.0))

    assert found.pass_chance > 0.9
    assert rule.allowed < found.found < 3 * rule.allowed


def test_a_rule_for_both_directions_passes_no_more_often_and_finds_no_less_than_one_for_each():
    up, down, both = (
        predicted(MetricRule("ModelLatency", margin="10%", direction=direction), latencies(spread=1.0))
        for direction in ("increase", "decrease", "both")
    )

    assert both.rule.direction == "both"
    assert both.pass_chance <= min(up.pass_chance, down.pass_chance)
    assert both.found >= max(up.found, down.found)


def test_a_high_percentile_is_unknown_because_slow_requests_are_counted():
    p99 = MetricRule("ModelLatency", stat="p99", margin="10%")

    assert predicted(p99, latencies()).unknown.startswith("it is judged by counting slow requests")


def test_constant_minutes_have_no_noise():
    found = predicted(LATENCY, [100.0] * 360)

    assert (found.pass_chance, found.found) == (1.0, 0.15)


def test_a_percentile_of_too_few_requests_never_passes():
    found = predicted(P90, latencies(requests=100), requests=100)

    assert (found.pass_chance, found.found) == (0.0, None)
    assert found.because == "the bakes have too few requests or minutes"


# Counts.


def test_an_error_rate_far_above_the_margin_cannot_pass():
    """A tenth of the requests fails: half a point more or less takes far more requests."""
    found = predicted(ERRORS, errors(0.1, requests=120), requests=120, parts=[(0.5, timedelta(minutes=31))])

    assert found.pass_chance < 0.05
    assert found.found > 0.05


@pytest.mark.parametrize(("requests", "chance"), [(50, 0.0), (200, 1.0)])
def test_without_errors_only_requests_are_needed(requests, chance):
    assert predicted(ERRORS, [0.0] * 360, requests=requests).pass_chance == chance


def test_more_requests_find_a_smaller_error_rate_or_the_same_sooner():
    few, many = (predicted(ERRORS, [0.0] * 360, requests=requests) for requests in (100, 1000))

    assert (many.found, many.by_minute) < (few.found, few.by_minute)


def test_the_average_of_an_error_metric_is_the_same_rate():
    average = MetricRule("Invocation5XXErrors", margin=0.005)
    counts = errors(0.01)
    by_sum, by_rate = predicted(ERRORS, counts), predicted(average, [count / 1000 for count in counts])

    assert (by_rate.pass_chance, by_rate.found, by_rate.by_minute) == (
        by_sum.pass_chance,
        by_sum.found,
        by_sum.by_minute,
    )


def test_a_relative_margin_for_errors_is_predicted():
    found = predicted(
        MetricRule("Invocation5XXErrors", stat="Sum", margin="50%"), errors(0.02), requests=1000
    )

    assert found.pass_chance > 0.5
    assert 0.5 < found.found < 1.5


# What is not known.


@pytest.mark.parametrize(("rule", "minutes"), [(LATENCY, 29), (ERRORS, 49), (LATENCY, 0), (ERRORS, 0)])
def test_without_a_past_nothing_is_said(rule, minutes):
    found = predicted(rule, [1.0] * minutes)

    assert (found.pass_chance, found.found, found.by_minute) == (None, None, None)
    assert found.unknown.startswith(f"{minutes} of ")


@pytest.mark.parametrize("rule", [LATENCY, ERRORS])
def test_values_that_cannot_be_judged_are_unknown(rule):
    assert predicted(rule, [-1.0] * 360).unknown == "its past has values below 0, which cannot be judged"


def test_tiny_numbers_are_judged():
    found = predicted(MetricRule("ModelLatency", margin=5.0), [1e-300] * 360)

    assert found.pass_chance == 1.0


def test_too_short_a_trial_passes_nothing():
    assert predicted(LATENCY, latencies(), parts=[(0.5, timedelta(minutes=3))]).pass_chance == 0.0
    assert predicted(LATENCY, latencies(), parts=[]).pass_chance == 0.0


def test_each_bake_has_its_share():
    linear = [(share, timedelta(minutes=9.5)) for share in (0.2, 0.4, 0.6, 0.8)]

    assert predicted(LATENCY, latencies(), parts=linear).pass_chance > 0.9


# All rules.


def test_a_rule_has_its_part_of_alpha():
    past = history(LATENCY, latencies(spread=2), requests=1000)
    (alone,) = power([LATENCY], past, BAKE, alpha=0.05, requests=1000)
    among_others, *others = power(DEFAULT_RULES, past, BAKE, alpha=0.05, requests=1000)

    assert among_others.found is None or alone.found <= among_others.found
    assert alone != among_others
    assert all(other.unknown for other in others)


def test_rules_for_one_metric_pass_together_and_others_independently():
    rules = (LATENCY, P90, ERRORS)
    chances = (0.5, 0.8, 0.9)
    powers = [RulePower(rule=rule, pass_chance=chance) for rule, chance in zip(rules, chances, strict=True)]

    assert all_pass_chance(powers) == pytest.approx(0.5 * 0.9)
    assert all_pass_chance([*powers, RulePower(rule=ERRORS, unknown="no past")]) is None


# Trials.

TRIALS = 30


def split(rule, values, seed, *, share, requests, minutes, spread, worse):
    """Draw a trial: requests divided at random, each side with its own noise, the candidate worse or not."""
    random = Random(f"noise {seed}")
    slow = autoregressive(0.95, minutes, seed)

    def side(count, harm):
        if rule.counted:
            rate = sum(values) / len(values) / requests + harm
            return [max(random.gauss(rate * count, sqrt(rate * count)), 0.0) for _ in range(minutes)]
        noise = spread / sqrt(count)
        return [100 * exp(0.1 * one) * (1 + harm) * (1 + noise * random.gauss(0, 1)) for one in slow]

    sides = requests * (1 - share), requests * share
    return Pairs(
        control=side(sides[0], 0.0),
        candidate=side(sides[1], worse),
        control_requests=[sides[0]] * minutes,
        candidate_requests=[sides[1]] * minutes,
        history=values,
        history_requests=[requests] * len(values),
    )


@pytest.mark.parametrize(
    ("rule", "values", "spread"),
    [
        (LATENCY, latencies(spread=1.2, seed=5), 1.2),
        (ERRORS, errors(0.005), 0.0),
        (ERRORS, errors(0.02), 0.0),
    ],
    ids=["latency", "few errors", "many errors"],
)
def test_trials_agree_with_the_prediction(rule, values, spread):
    found = predicted(rule, values)
    judge_them = judge_counts if rule.counted else judge_means
    limit = 1 + rule.allowed if rule.relative else rule.allowed

    def results(worse):
        given = {"share": 0.25, "requests": 1000, "minutes": 40, "spread": spread, "worse": worse}
        trials = [split(rule, values, seed, **given) for seed in range(TRIALS)]
        return [judge_them(rule, trial, alpha_fail=0.05, alpha_pass=0.05) for trial in trials]

    passed = sum(result.interval.high < limit for result in results(0.0)) / TRIALS
    failed = sum(result.fails for result in results(found.found)) / TRIALS
    assert passed == pytest.approx(found.pass_chance, abs=0.25)
    assert failed >= 0.75
