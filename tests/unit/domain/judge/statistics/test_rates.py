"""Intervals of rates and shares, compared with exact results."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import ceil, inf, isnan
from random import Random

import pytest

from airflow_guardrails.domain.judge.statistics.overdispersion import dispersion
from airflow_guardrails.domain.judge.statistics.proportions import share_interval
from airflow_guardrails.domain.judge.statistics.rates import (
    ZERO_RATE_WEIGHT,
    ZERO_RATE_WEIGHT_AFTER_EVENTS,
    alternatives,
    difference_interval,
    harm_beyond,
    ratio_of_rates_interval,
    requests_to_exclude,
    standardised_rates,
)
from tests.support.series import minutes_of_counts as minutes

# For independent events and a history without any.
difference = partial(difference_interval, dispersion=1.0, zero_rate_weight=ZERO_RATE_WEIGHT)
times = partial(ratio_of_rates_interval, dispersion=1.0, zero_rate_weight=ZERO_RATE_WEIGHT)


@pytest.mark.parametrize("share", [0.05, 1.0, 3.0])
@pytest.mark.parametrize("limit", [0.0005, 0.05])
def test_the_requests_that_a_pass_takes_without_events_are_exact(share, limit):
    enough = ceil(
        requests_to_exclude(
            limit,
            rate=0.0,
            share=share,
            relative=False,
            more=False,
            dispersion=1.0,
            zero_rate_weight=ZERO_RATE_WEIGHT,
            alpha=0.05,
        )
    )

    def high(requests):
        nothing = minutes([0], [0], control_requests=requests / share, candidate_requests=requests)
        return difference(nothing, alpha_low=0.05, alpha_high=0.05).high

    assert high(enough) <= limit < high(enough - 1)


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("zero_rate_weight", [ZERO_RATE_WEIGHT, ZERO_RATE_WEIGHT_AFTER_EVENTS])
def test_the_weights_of_the_alternatives_sum_to_one(more, zero_rate_weight):
    bets = alternatives(zero_rate_weight, more=more)

    assert sum(weight for _, weight in bets) == pytest.approx(1)
    assert bets[-1] == (inf if more else 0.0, zero_rate_weight)


def test_errors_on_one_side_only_are_equal_coin_tosses():
    """Ten of them have a chance of 2^-10 where both sides are alike; the best bet, of 0.4, wins 2^10."""
    ten = minutes([0.0] * 60, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0] * 10)

    at = 0.4 * 2**10
    found = difference(ten, alpha_low=1 / at, alpha_high=0.5)
    missed = difference(ten, alpha_low=1 / (at * 1.3), alpha_high=0.5)

    assert found.low > 0 > missed.low


def test_without_any_event_the_rate_is_bounded_by_the_requests():
    interval = difference(minutes([0.0] * 60, [0.0] * 60), alpha_low=0.05, alpha_high=0.05)

    assert interval.measured == 0
    assert 0.0005 < interval.high < 0.001


def test_the_interval_narrows_with_more_data_and_contains_the_truth():
    random = Random(11)

    def side(rate, count):
        return [float(sum(random.random() < rate for _ in range(100))) for _ in range(count)]

    intervals = [
        difference(minutes(side(0.02, n), side(0.03, n)), alpha_low=0.05, alpha_high=0.05)
        for n in (10, 100, 400)
    ]

    assert all(one.low < 0.01 < one.high for one in intervals)
    widths = [one.high - one.low for one in intervals]
    assert widths[0] > widths[1] > widths[2]


def test_events_in_proportion_to_the_requests_are_no_difference():
    tenth = minutes([9.0] * 60, [1.0] * 60, control_requests=90, candidate_requests=10)

    interval = difference(tenth, alpha_low=0.05, alpha_high=0.05)

    assert interval.measured == pytest.approx(0)
    assert interval.low < 0 < interval.high


def test_an_incident_on_both_sides_during_growing_steps_is_no_difference():
    """All requests together would show the candidate better: it had few of them during the incident."""
    incident = minutes([180.0] * 5, [30.0] * 5, control_requests=900, candidate_requests=100)
    after = minutes([5.0] * 5, [15.0] * 5, control_requests=500, candidate_requests=1000)

    rates = standardised_rates([*incident, *after])
    interval = difference([*incident, *after], alpha_low=0.05, alpha_high=0.05)

    assert (
        sum(m.candidate for m in (*incident, *after)) / 5500
        < sum(m.control for m in (*incident, *after)) / 7000
    )
    assert rates[1] / rates[0] == pytest.approx(1.5)
    assert 0 < interval.low < interval.measured


ODD = [0.0, 1e-320, 0.3, 1.0, 1e9, 1e150, 1.7e308]


@pytest.mark.parametrize("bound", [difference, times])
@pytest.mark.parametrize("control_requests", [1e-320, 1.0, 1e17, 1.7e308])
@pytest.mark.parametrize("candidate_requests", [1e-320, 1.0, 1e17, 1.7e308])
def test_no_numbers_raise(bound, control_requests, candidate_requests):
    for one, other in product(ODD, ODD):
        counts = minutes(
            [one, other, 0.0],
            [other, 0.0, one],
            control_requests=control_requests,
            candidate_requests=candidate_requests,
        )
        size = dispersion(counts * 20, [])
        interval = bound(counts, alpha_low=0.05, alpha_high=0.05)
        harm = harm_beyond(
            0.1, counts, relative=bound is times, more=True, dispersion=size, zero_rate_weight=0.4
        )

        assert size >= 1
        assert not any(isnan(number) for number in (interval.low, interval.high, harm.log_e))


def test_the_ratio_of_rates():
    interval = times(minutes([5.0] * 60, [10.0] * 60), alpha_low=0.05, alpha_high=0.05)
    nothing = times(minutes([0.0] * 60, [0.0] * 60), alpha_low=0.05, alpha_high=0.05)

    assert interval.measured == 2
    assert 1.5 < interval.low < 2 < interval.high < 2.7
    assert (nothing.low, nothing.high) == (0, inf)


def test_a_burst_counts_as_one_event():
    alone, eights = minutes([1.0] * 60, [3.0] * 60), minutes([8.0] * 60, [24.0] * 60)

    one = times(alone, alpha_low=0.05, alpha_high=0.05)
    other = times(eights, dispersion=8.0, alpha_low=0.05, alpha_high=0.05)

    assert (other.low, other.high) == pytest.approx((one.low, one.high))


def test_errors_in_the_history_lower_the_bet_on_a_rate_of_zero():
    """What is not staked on that finds a rise the sooner."""
    rise = minutes([1.0] * 20, [3.0] * 20)

    lows = [
        difference(rise, zero_rate_weight=part, alpha_low=0.05, alpha_high=0.05).low
        for part in (ZERO_RATE_WEIGHT, ZERO_RATE_WEIGHT_AFTER_EVENTS)
    ]

    assert lows[0] < lows[1]


def test_a_share_is_bounded_by_the_mixture():
    interval = share_interval(12, 1000, alpha=0.05)

    assert interval.low < 0.012 < interval.high
    assert (interval.low, interval.high) == pytest.approx((0.0034, 0.0292), abs=0.0001)
    assert share_interval(0, 1000, alpha=0.05).low == 0
    assert share_interval(1000, 1000, alpha=0.05).high == 1
    assert (share_interval(0, 0, alpha=0.05).low, share_interval(0, 0, alpha=0.05).high) == (0, 1)
