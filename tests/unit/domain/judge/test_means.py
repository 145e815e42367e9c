"""Means: minutes as differences from the margin, and what follows from them."""

from __future__ import annotations

from math import inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.domain.judge.differences import differences_of
from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.means import judge_means
from airflow_guardrails.domain.judge.rules import MetricRule
from tests.support.series import independent

LATENCY = MetricRule("ModelLatency", margin="10%")
PLAIN = MetricRule("ModelLatency", margin=5.0)
LESS = MetricRule("Confidence", margin="10%", direction="decrease")


def pairs(control, candidate, *, requests=(1000, 1000), history=()):
    return Pairs(
        history=list(history),
        history_requests=[1000.0] * len(history),
        control=list(control),
        candidate=list(candidate),
        control_requests=[requests[0]] * len(control),
        candidate_requests=[requests[1]] * len(control),
    )


def noisy(level, *, count=60, seed=1, spread=0.05):
    return [level * (1 + spread * value) for value in independent(count, seed)]


def judged(rule, control, candidate, **facts):
    return judge_means(rule, pairs(control, candidate, **facts), alpha_fail=0.05, alpha_pass=0.05)


def first_pairs(differences):
    return [differences.first_pair(minute) for minute in range(len(differences))]


@pytest.mark.parametrize(("rule", "ratio"), [(LATENCY, 1.1), (LESS, 0.9)])
def test_a_difference_is_about_the_logarithm_of_the_ratio_to_the_margin(rule, ratio):
    found = differences_of(rule, pairs([100.0] * 9, [130.0] * 9))

    sign = 1 if rule is LATENCY else -1
    assert found.values == pytest.approx([sign * log(1.3 / ratio)] * 9, rel=0.02)


@pytest.mark.parametrize("rule", [LATENCY, LESS, PLAIN])
@pytest.mark.parametrize("value", [0.7, 1.0, 1.3])
def test_a_mean_and_its_value_are_inverse(rule, value):
    found = differences_of(rule, pairs(noisy(100), noisy(110)))

    assert found.value_at(found.mean_at(value)) == pytest.approx(value)


def test_where_nothing_was_measured_nothing_differs():
    assert differences_of(LATENCY, pairs([0.0] * 9, [0.0] * 9)).values == (0.0,) * 9
    assert differences_of(LATENCY, pairs([0.0] * 9, [1.0] * 9)).values == (2.0,) * 9


def test_one_outlier_is_moved_to_its_neighbours():
    control, candidate = noisy(100), noisy(100, seed=2)
    before = differences_of(LATENCY, pairs(control, candidate)).values
    candidate[30] *= 20

    after = differences_of(LATENCY, pairs(control, candidate)).values

    assert abs(after[30] - before[30]) < 0.5
    assert after[:29] == pytest.approx(before[:29], abs=0.1)


def test_few_requests_of_production_are_merged_and_those_of_the_candidate_are_not():
    few = pairs(noisy(100), noisy(100, seed=2), requests=(10, 90))
    many = pairs(noisy(100), noisy(100, seed=2), requests=(90, 10))

    assert first_pairs(differences_of(LATENCY, few)) == [0, 10, 20, 30, 40, 50]
    assert first_pairs(differences_of(LATENCY, many)) == [*range(60)]
    assert first_pairs(differences_of(LESS, many)) == [0, 10, 20, 30, 40, 50]


def test_sides_that_share_what_varies_have_a_small_variation():
    wave = noisy(100)
    apart = differences_of(LATENCY, pairs(wave, noisy(100, seed=2)))
    together = differences_of(LATENCY, pairs(wave, [value * 1.05 for value in wave]))

    assert together.variation < 0.01
    assert 0.7 < apart.variation < 1.4


@pytest.mark.parametrize(("times", "passes", "fails"), [(1.0, True, False), (1.3, False, True)])
def test_a_mean_within_the_margin_passes_and_one_beyond_fails(times, passes, fails):
    found = judged(LATENCY, noisy(100), noisy(100 * times, seed=2))

    assert (found.interval.high < 1.1, found.fails) == (passes, fails)
    assert found.interval.low < times < found.interval.high
    assert found.interval.measured == pytest.approx(times, abs=0.05)


def test_harm_that_begins_later_fails_with_its_onset_and_size():
    candidate = noisy(100, seed=2)
    candidate[40:] = [value * 1.4 for value in candidate[40:]]

    found = judged(LATENCY, noisy(100), candidate, history=noisy(100, count=360, seed=3))

    assert found.fails
    assert found.onset in range(39, 42)
    assert found.measured_since_onset == pytest.approx(1.4, abs=0.05)


def test_a_history_without_slow_waves_makes_the_judge_decide_sooner():
    control, candidate = noisy(100), noisy(100, seed=2)
    candidate[40:] = [value * 1.4 for value in candidate[40:]]

    assert not judged(LATENCY, control, candidate).fails


def test_far_slower_minutes_of_the_candidate_rule_out_a_pass():
    control, candidate = noisy(100), noisy(100, seed=2)
    for minute in range(5, 60, 10):
        candidate[minute] *= 4

    found = judged(LATENCY, control, candidate)

    assert found.interval.high > found.interval.measured > 1.2


def test_the_last_minutes_must_be_within_the_margin_for_a_pass():
    candidate = noisy(100, count=120, seed=2, spread=0.2)
    candidate[-12:] = [value * 1.2 for value in candidate[-12:]]

    found = judged(LATENCY, noisy(100, count=120, spread=0.2), candidate)

    assert found.interval.high > 1.1


def test_values_below_zero_have_a_percentage_of_their_mean():
    control = [10 + 12 * value for value in independent(200, 1)]
    candidate = [60 + 12 * value for value in independent(200, 2)]

    found = judged(LATENCY, control, candidate)

    assert found.interval.measured == pytest.approx(6.0, abs=1.0)
    assert found.fails


@pytest.mark.parametrize("rule", [LATENCY, LESS, PLAIN, MetricRule("ModelLatency", margin="0%")])
@pytest.mark.parametrize(
    ("control", "candidate"),
    [
        ([5.0] * 30, [5.0] * 30),
        ([5.0] * 30, [5.5] * 30),
        ([5.0] * 30, [9.0] * 30),
        ([0.0] * 30, [0.0] * 30),
        ([1.0, 2.0] * 15, [1.1, 2.2] * 15),
        ([1e-9, 2e-9] * 15, [3e-9, 1e-9] * 15),
        ([1e300, 2e300] * 15, [2e300, 1e300] * 15),
        ([1e-300, 2e-300] * 15, [2e-300, 1e-300] * 15),
        ([0.0, 1.0, 0.0] * 10, [0.0, 0.0, 1.0] * 10),
    ],
)
def test_constant_proportional_tiny_and_huge_series_are_judged(rule, control, candidate):
    found = judged(rule, control, candidate)

    assert found.interval.low <= found.interval.measured <= found.interval.high


def test_equal_gauges_pass_and_gauges_far_apart_fail():
    gauge = [40.0, 41.0, 40.0, 42.0] * 10

    assert judged(LATENCY, gauge, gauge).interval.high < 1.1
    assert judged(LATENCY, gauge, [value * 1.5 for value in gauge]).fails


_VALUES = st.floats(0, 1e12) | st.sampled_from([0.0, 1.0, 5e-324, 1e307])


@given(
    st.lists(st.tuples(_VALUES, _VALUES), min_size=1, max_size=40), st.sampled_from([LATENCY, LESS, PLAIN])
)
def test_no_series_is_an_error(values, rule):
    control, candidate = zip(*values, strict=True)

    found = judged(rule, control, candidate)

    assert -inf <= found.interval.low <= found.interval.high <= inf
