"""Sums of earlier minutes: a verdict is the same with and without them."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.judge import Evidence, History, Series, judge, means, settled
from airflow_guardrails.domain.judge.differences import differences_of
from airflow_guardrails.domain.judge.evidence import Pairs, pairs_of
from airflow_guardrails.domain.judge.formula import Formula, MergedMinutes
from airflow_guardrails.domain.judge.means import judge_means
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.harm import STRUCTURES
from tests.unit.domain.judge.conftest import TEN

PERCENT = MetricRule("ModelLatency", margin="10%")
LESS = MetricRule("Confidence", margin="10%", direction="decrease")
PLAIN = MetricRule("ModelLatency", margin=5.0)
BOTH = MetricRule("Confidence", margin="10%", direction="both")


@pytest.fixture(autouse=True)
def _nothing_kept():
    settled.forget()


def minute(number):
    return TEN + timedelta(minutes=number)


def side(random, count, *, level=100.0, spread=0.05, gaps=0.02):
    """Autocorrelated values with outliers and gaps."""
    wave, values = 0.0, {}
    for number in range(count):
        wave = 0.6 * wave + random.gauss(0, spread)
        if random.random() >= gaps:
            values[minute(number)] = level * (1 + wave) * random.choice([1.0] * 30 + [3.0])
    return values


def long_trial(seed, *, minutes=240, spread=0.05, requests=(1000, 1000), rules=(PERCENT,)):
    random = Random(seed)
    series = Series(
        control=side(random, minutes, spread=spread), candidate=side(random, minutes, spread=spread)
    )
    served = [
        {minute(number): float(random.randint(one - 5, one)) for number in range(minutes)} for one in requests
    ]
    return Evidence(
        requests=Series(control=served[0], candidate=served[1]),
        metrics=dict.fromkeys(rules, series),
        expected_share=requests[1] / requests[0],
        paired=False,
        history=History(),
    )


def until(evidence, count, *, corrected=False):
    """What is known after so many minutes; *corrected*: the newest minute is not complete yet."""

    def known(series):
        control, candidate = (
            {at: value for at, value in points.items() if at < minute(count)}
            for points in (series.control, series.candidate)
        )
        if corrected and candidate:
            candidate[max(candidate)] *= 0.7
        return Series(control=control, candidate=candidate)

    return replace(
        evidence,
        requests=known(evidence.requests),
        metrics={rule: known(series) for rule, series in evidence.metrics.items()},
    )


def from_nothing(evidence, rules, **facts):
    kept = settled._KEPT
    try:
        settled._KEPT = settled._Kept()
        return judge(evidence, rules, **facts)
    finally:
        settled._KEPT = kept


TRIALS = {
    "percentages": long_trial(1),
    "fewer is worse": long_trial(2, rules=(LESS,)),
    "a plain margin": long_trial(3, rules=(PLAIN,)),
    "both directions, two rules": long_trial(4, rules=(BOTH, PERCENT)),
    "values below 0": long_trial(5, spread=0.5, rules=(PERCENT, PLAIN)),
    "merged minutes": long_trial(6, minutes=700, requests=(30, 90)),
}


@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.proof
def test_a_verdict_with_kept_sums_is_that_from_nothing_at_every_look(name):
    evidence, random = TRIALS[name], Random(7)
    last = max(evidence.requests.control)
    minutes = int((last - TEN).total_seconds() // 60) + 1
    every = 3 if minutes < 300 else 15

    for count in range(117, minutes + 1, every):
        # A later look sees the newest minute of an earlier one corrected.
        for corrected in (True, False):
            known = until(evidence, count, corrected=corrected)
            # The warm-up of a later look may be longer, and the process may have been restarted.
            warm_up = timedelta(minutes=0 if count < 200 else 7)
            rules = tuple(evidence.metrics)
            if random.random() < 0.03:
                settled.forget()

            assert judge(known, rules, warm_up=warm_up) == from_nothing(known, rules, warm_up=warm_up)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    looks=st.lists(st.tuples(st.integers(100, 420), st.booleans(), st.booleans()), min_size=2, max_size=6),
    warm_up=st.integers(0, 40),
    rule=st.sampled_from([PERCENT, LESS, PLAIN]),
    spread=st.sampled_from([0.0, 0.05, 1.0]),
)
def test_no_looks_before_change_a_verdict(seed, looks, warm_up, rule, spread):
    """Looks in any order: with fewer minutes, a corrected one, another warm-up, or after a restart."""
    evidence = long_trial(seed, minutes=420, spread=spread, rules=(rule,))

    for number, (count, corrected, restarted) in enumerate(looks):
        if restarted:
            settled.forget()
        known = until(evidence, count, corrected=corrected)
        facts = {"warm_up": timedelta(minutes=warm_up if number % 2 else 0)}

        assert judge(known, (rule,), **facts) == from_nothing(known, (rule,), **facts)


def pairs(candidate, *, requests=1000.0, control=None):
    size = len(candidate)
    return Pairs(
        control=control or [100.0 * (1 + 0.05 * one) for one in normal(size, 1)],
        candidate=candidate,
        control_requests=[requests] * size,
        candidate_requests=[requests] * size,
    )


def normal(count, seed):
    random = Random(seed)
    return [random.gauss(0, 1) for _ in range(count)]


def judged(rule, given):
    return judge_means(rule, given, alpha_fail=0.05, alpha_pass=0.05)


def test_a_correction_of_any_minute_changes_the_verdict_as_without_sums():
    candidate = [100.0 * (1 + 0.05 * one) for one in normal(400, 2)]
    judged(PERCENT, pairs(candidate))

    for corrected in (3, 200, 341, 399):
        candidate[corrected] *= 1.3
        found = judged(PERCENT, pairs(candidate))
        settled.forget()

        assert found == judged(PERCENT, pairs(candidate))


def test_a_larger_value_changes_the_unit_of_earlier_sums():
    candidate = [100.0 * (1 + 0.05 * one) for one in normal(400, 2)]
    judged(PLAIN, pairs(candidate[:-1], control=[100.0] * 399))
    candidate[-1] = 1e9

    found = judged(PLAIN, pairs(candidate, control=[100.0] * 400))

    settled.forget()
    assert found == judged(PLAIN, pairs(candidate, control=[100.0] * 400))


@pytest.mark.parametrize("onset", [60, 300, 700, 930])
def test_harm_is_found_wherever_it_began(onset):
    candidate = [
        100.0 * (1 + 0.05 * one + (0.3 if at >= onset else 0)) for at, one in enumerate(normal(960, 2))
    ]

    found = judged(PERCENT, pairs(candidate))

    assert found.fails
    assert abs(found.onset - onset) <= 2
    assert found.measured_since_onset == pytest.approx(1.3, abs=0.05)


@pytest.mark.parametrize("rule", [PERCENT, PLAIN])
def test_plain_means_are_those_of_all_minutes(rule):
    candidate = [100.0 * (1 + 0.05 * one) for one in normal(500, 2)]
    given = pairs(candidate)
    found = differences_of(rule, given)
    means = sum(candidate) / 500, sum(given.control) / 500
    expected = means[0] / means[1] if rule.relative else means[0] - means[1]

    assert found.settled is not None
    assert len(found.values) < 70
    assert found.measured_since(0) == pytest.approx(expected)
    for onset in found.settled.sums.onsets:
        later = sum(candidate[onset:]), sum(given.control[onset:])
        expected = later[0] / later[1] if rule.relative else (later[0] - later[1]) / (500 - onset)
        assert found.measured_since(onset) == pytest.approx(expected)


def test_what_is_kept_of_two_days_is_small():
    given = pairs([100.0 * (1 + 0.05 * one) for one in normal(2880, 2)])
    minutes = MergedMinutes.of(given, by_production=True)

    kept = settled.settled_of(Formula.of(PERCENT, given), minutes, STRUCTURES)

    assert kept is not None
    assert len(kept.sums.onsets) < 100
    assert len(pickle.dumps(kept)) < 50_000


def test_the_sums_of_a_bounded_number_of_rules_are_kept(monkeypatch):
    monkeypatch.setattr(settled, "_MOST_KEPT", 3)
    for seed in range(5):
        judged(PERCENT, pairs([100.0 * (1 + 0.05 * one) for one in normal(130, seed)]))

    assert len(settled._KEPT._settled) == 3


def test_threads_of_one_process_may_judge_at_once():
    trials = [long_trial(seed, minutes=150) for seed in range(8)]
    expected = [from_nothing(trial, (PERCENT,)) for trial in trials]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda trial: judge(trial, (PERCENT,)), trials * 3))

    assert found == expected * 3


def test_nothing_depends_on_the_variation_of_the_sides_once_minutes_are_settled():
    assert settled.SETTLED_FROM >= 2 * means._ALLOWANCE_FALLS
    assert settled.SETTLED_FROM >= means._SLOW_UNDER_NOISE_FROM


def test_two_hours_have_no_settled_minutes():
    evidence = long_trial(1, minutes=119)

    assert differences_of(PERCENT, pairs_of(evidence, PERCENT)).settled is None
