"""The formulas, against what is known of them."""

from __future__ import annotations

from itertools import pairwise
from math import inf, log, sqrt
from random import Random

import pytest

from airflow_guardrails.domain.statistics_counts import (
    LESS,
    MORE,
    Minute,
    burst_size,
    difference_interval,
    ratio_of_rates_interval,
)
from airflow_guardrails.domain.statistics_means import (
    LEAST_BLOCKS,
    block_length,
    block_likeness,
    cautious_likeness,
    in_blocks,
    ratio_interval,
    t_bound,
    widening,
)
from airflow_guardrails.domain.statistics_shares import share_interval


def autoregressive(rho, count, seed=3):
    random, values = Random(seed), [0.0]
    while len(values) < count:
        values.append(rho * values[-1] + sqrt(1 - rho * rho) * random.gauss(0, 1))
    return values


def minutes(control, candidate, *, control_requests=100.0, candidate_requests=100.0):
    return [
        Minute(
            control=one,
            candidate=other,
            control_requests=control_requests,
            candidate_requests=candidate_requests,
        )
        for one, other in zip(control, candidate, strict=True)
    ]


def test_the_bound_of_many_blocks_is_that_of_the_asymptotic_confidence_sequence():
    blocks, alpha = 100_000, 0.05

    growth = blocks + 1
    asymptotic = sqrt(2 * growth / blocks * log(1 + sqrt(growth) / (2 * alpha)))

    assert t_bound(blocks, alpha=alpha) == pytest.approx(asymptotic, rel=0.001)


def test_the_bound_of_few_blocks_is_wide_and_of_almost_none_without_end():
    bounds = [t_bound(blocks, alpha=0.01) for blocks in (1, 2, 6, 12, 30)]

    assert bounds[:2] == [inf, inf]
    assert inf > bounds[2] > bounds[3] > bounds[4] > 3


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_blocks_of_an_autoregressive_series_resemble_each_other_as_computed(rho):
    blocks = in_blocks(autoregressive(rho, 40_000), 5)
    mean = sum(blocks) / len(blocks)
    rest = [block - mean for block in blocks]
    found = sum(one * other for one, other in pairwise(rest)) / sum(one * one for one in rest)

    assert block_likeness(rho, 5) == pytest.approx(found, abs=0.04)


def test_the_more_minutes_resemble_each_other_the_longer_are_the_blocks():
    assert [block_length(rho) for rho in (0.0, 0.2, 0.3, 0.6, 0.9)] == [1, 1, 2, 5, 30]


def test_independent_blocks_are_not_widened():
    assert widening(0.0, 1, 20) == 1
    assert 1.4 < widening(0.6, 5, 20) < 1.7


def test_likeness_is_taken_for_larger_than_it_was_found_most_of_all_in_short_series():
    long = autoregressive(0.6, 5_000)

    assert 0.6 < cautious_likeness(long) < 0.65
    short = [cautious_likeness(autoregressive(0.0, 12, seed=seed)) for seed in range(100)]
    assert sum(short) / 100 > 0.3
    assert cautious_likeness([1.0, 2.0]) == 0.95
    assert cautious_likeness([5.0] * 10) == 0


def test_too_few_blocks_have_no_interval():
    short = [1.0, 3.0, 2.0, 1.0, 3.0]

    interval = ratio_interval(short, short, alpha_low=0.05, alpha_high=0.05)

    assert (interval.measured, interval.low, interval.high) == (1, -inf, inf)
    assert interval.pieces < LEAST_BLOCKS


def test_the_ends_of_a_ratio_are_where_the_t_statistic_is_at_its_bound():
    random = Random(5)
    control = [random.gauss(10, 1) for _ in range(40)]
    candidate = [random.gauss(12, 1) for _ in range(40)]

    interval = ratio_interval(candidate, control, alpha_low=0.01, alpha_high=0.05)

    ratio = interval.measured
    likeness = cautious_likeness([one - ratio * other for one, other in zip(candidate, control, strict=True)])
    blocks = in_blocks(
        [one - interval.low * other for one, other in zip(candidate, control, strict=True)], interval.length
    )
    count, mean = len(blocks), sum(blocks) / len(blocks)
    spread = sum((block - mean) ** 2 for block in blocks) / (count - 1)
    t = mean / sqrt(spread / count * widening(likeness, interval.length, count))
    assert t == pytest.approx(t_bound(count, alpha=0.01))
    assert interval.low < 1.2 < interval.high


def test_a_ratio_to_nothing_is_refused():
    with pytest.raises(ValueError, match="must have a mean above 0"):
        ratio_interval([1.0], [0.0], alpha_low=0.05, alpha_high=0.05)


def test_the_bets_are_whole():
    assert sum(weight for _, weight in MORE) == pytest.approx(1)
    assert sum(weight for _, weight in LESS) == pytest.approx(1)


def test_errors_on_one_side_only_are_coins_that_fall_alike():
    """Ten of them have a chance of 2^-10 where both sides are alike; the best bet, of 0.4, wins 2^10."""
    ten = minutes([0.0] * 60, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0] * 10)

    at = 0.4 * 2**10
    found = difference_interval(ten, alpha_low=1 / at, alpha_high=0.5)
    missed = difference_interval(ten, alpha_low=1 / (at * 1.3), alpha_high=0.5)

    assert found.low > 0 > missed.low


def test_without_any_event_the_rate_is_bounded_by_the_requests():
    interval = difference_interval(minutes([0.0] * 60, [0.0] * 60), alpha_low=0.05, alpha_high=0.05)

    assert interval.measured == 0
    assert 0.0005 < interval.high < 0.001


def test_the_interval_narrows_with_the_evidence_and_holds_the_truth():
    random = Random(11)

    def side(rate, count):
        return [float(sum(random.random() < rate for _ in range(100))) for _ in range(count)]

    intervals = [
        difference_interval(minutes(side(0.02, n), side(0.03, n)), alpha_low=0.05, alpha_high=0.05)
        for n in (10, 100, 400)
    ]

    assert all(one.low < 0.01 < one.high for one in intervals)
    widths = [one.high - one.low for one in intervals]
    assert widths[0] > widths[1] > widths[2]


def test_a_share_of_the_requests_makes_that_share_of_the_events():
    tenth = minutes([9.0] * 60, [1.0] * 60, control_requests=90, candidate_requests=10)

    interval = difference_interval(tenth, alpha_low=0.05, alpha_high=0.05)

    assert interval.measured == pytest.approx(0)
    assert interval.low < 0 < interval.high


def test_how_many_times_as_often():
    interval = ratio_of_rates_interval(minutes([5.0] * 60, [10.0] * 60), alpha_low=0.05, alpha_high=0.05)
    nothing = ratio_of_rates_interval(minutes([0.0] * 60, [0.0] * 60), alpha_low=0.05, alpha_high=0.05)

    assert interval.measured == 2
    assert 1.5 < interval.low < 2 < interval.high < 2.7
    assert (nothing.low, nothing.high) == (0, inf)


@pytest.mark.parametrize(
    ("events", "size"),
    [
        ([1.0, 0.0] * 30, 1),
        ([0.0] * 20 + [12.0] + [0.0] * 39, 12),
        (([0.0] * 5 + [3.0] * 3 + [0.0] * 12) * 3, 9),
    ],
)
def test_events_that_come_together_count_as_one(events, size):
    assert burst_size(minutes([0.0] * 60, events)) == pytest.approx(size, rel=0.35)


def test_bursts_that_both_sides_have_are_none():
    shared = [0.0] * 20 + [12.0] + [0.0] * 39

    assert burst_size(minutes(shared, shared)) == 1


def test_a_share_is_bounded_by_the_mixture():
    interval = share_interval(12, 1000, alpha=0.05)

    assert interval.low < 0.012 < interval.high
    assert (interval.low, interval.high) == pytest.approx((0.0034, 0.0292), abs=0.0001)
    assert share_interval(0, 1000, alpha=0.05).low == 0
    assert share_interval(1000, 1000, alpha=0.05).high == 1
    assert (share_interval(0, 0, alpha=0.05).low, share_interval(0, 0, alpha=0.05).high) == (0, 1)
