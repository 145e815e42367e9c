"""The sequential sign test of typical minutes, by their ranks in the history."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest

from airflow_guardrails.domain.judge.statistics.sign_test import STAKES, RankScale, log_e_value_of_signs
from tests.support.series import independent

PAST = [100 + 10 * one for one in independent(360)]


def scale(past=PAST):
    found = RankScale.of(past)
    assert found is not None
    return found


def log_e_value(candidate, control):
    differences = scale().differences(candidate, control)
    return log_e_value_of_signs(
        differences, typical_difference=scale().typical_difference(0.0), autocorrelation=0.0
    )


def test_a_score_is_a_rank_so_that_how_far_a_slow_minute_is_off_hardly_counts():
    slow, slower = scale().differences([200, 2000], [100, 100])

    assert 0.4 < slow < 1
    assert slow < slower < 4


def test_equal_sides_have_no_difference_and_an_e_value_of_one():
    assert scale().differences(PAST, PAST) == [0.0] * 360
    assert log_e_value(PAST, PAST) == 0


@pytest.mark.parametrize("past", [PAST[:59], [7.0] * 360])
def test_too_few_minutes_or_equal_ones_are_no_scale(past):
    assert RankScale.of(past) is None


def test_a_history_with_two_values_only_still_is_a_scale():
    assert scale([7.0] * 300 + [8.0] * 60).differences([8.0], [7.0])[0] > 0


def test_each_of_equal_signs_at_most_doubles_the_e_value():
    assert (
        log(1.9**20)
        < log_e_value_of_signs([50.0] * 20, typical_difference=1.0, autocorrelation=0.0)
        < log(2**20)
    )


def test_the_e_value_is_the_mean_over_all_stakes():
    by_hand = sum(1 + 0.98 * exp_tanh(stake) for stake in STAKES) / len(STAKES)

    assert exp(log_e_value_of_signs([3.0], typical_difference=3.0, autocorrelation=0.0)) == pytest.approx(
        by_hand
    )


def exp_tanh(stake):
    return (exp(2 * stake) - 1) / (exp(2 * stake) + 1)


def test_without_a_difference_the_e_value_reaches_one_over_alpha_with_probability_alpha():
    """At any of sixty looks, minutes being lognormal."""
    reached = 0
    for seed in range(400):
        random = Random(seed)
        past, candidate, control = ([random.lognormvariate(0, 1) for _ in range(n)] for n in (120, 60, 60))
        found = scale(past)
        apart, typical_difference = found.differences(candidate, control), found.typical_difference(0.0)
        looks = (
            log_e_value_of_signs(apart[:n], typical_difference=typical_difference, autocorrelation=0.0)
            for n in range(5, 61)
        )
        reached += any(look >= log(10) for look in looks)

    # Of 400 with a chance of a tenth, 54 or more are rarer than one in a hundred.
    assert reached < 54


def test_a_shift_is_found_where_some_minutes_are_far_slower_than_the_rest():
    random = Random(4)
    past, candidate, control = ([random.lognormvariate(0, 1) for _ in range(n)] for n in (360, 30, 30))
    found = scale(past)
    apart = found.differences([value + 1 for value in candidate], control)

    assert log_e_value_of_signs(
        apart, typical_difference=found.typical_difference(0.0), autocorrelation=0.0
    ) > log(20)
