"""Harm that begins during a trial: bets that start at every minute."""

from __future__ import annotations

from itertools import pairwise, product
from math import comb, exp, inf, log

import pytest

from airflow_guardrails.domain.judge.statistics.onsets import (
    WHOLE_TRIAL_WEIGHT,
    groups_of_onsets,
    harm_over_onsets,
    log_onset_weights,
    log_sum,
    onset_weight,
)
from airflow_guardrails.domain.judge.statistics.rates import (
    ZERO_RATE_WEIGHT,
    difference_interval,
    harm_beyond,
    measured,
    ratio_of_rates_interval,
)
from tests.support.series import minutes_of_counts as minutes


def harm_of(counts, margin=0.0, *, relative=False, more=True, dispersion=1.0):
    return harm_beyond(
        margin,
        counts,
        relative=relative,
        more=more,
        dispersion=dispersion,
        zero_rate_weight=ZERO_RATE_WEIGHT,
    )


def test_the_parts_of_the_stake_sum_to_one():
    parts = [onset_weight(minute) for minute in range(100_000)]

    assert parts[0] == WHOLE_TRIAL_WEIGHT
    assert 0.999 < sum(parts) <= 1
    assert parts[1:] == sorted(parts[1:], reverse=True)


@pytest.mark.parametrize(("margin", "relative"), [(0.0, False), (1.0, True), (1.5, True)])
@pytest.mark.parametrize("more", [True, False])
def test_the_evidence_has_an_expectation_of_one_at_the_margin(margin, relative, more):
    """All splits of three minutes' events, with the probability they have if the rates are at the margin."""
    requests = (100.0, 30.0)
    share = (margin if relative else 1.0) * requests[1] / requests[0]
    chance = share / (1 + share)
    totals = (4, 0, 7)

    expected = 0.0
    for split in product(*(range(total + 1) for total in totals)):
        probability = 1.0
        for total, one in zip(totals, split, strict=True):
            probability *= comb(total, one) * chance**one * (1 - chance) ** (total - one)
        counts = minutes(
            [total - one for total, one in zip(totals, split, strict=True)],
            split,
            control_requests=requests[0],
            candidate_requests=requests[1],
        )
        expected += probability * exp(harm_of(counts, margin, relative=relative, more=more).log_e)

    assert expected == pytest.approx(1)


def test_harm_is_dated_to_the_minute_in_which_it_begins():
    late = minutes([2.0] * 60, [2.0] * 40 + [8.0] * 20)
    at_once = minutes([2.0] * 60, [8.0] * 60)

    assert harm_of(late).onset == 40
    assert harm_of(at_once).onset == 0


def test_harm_that_begins_late_is_found_before_the_whole_trial_shows_it():
    late = minutes([2.0] * 60, [2.0] * 50 + [10.0] * 10)

    whole = difference_interval(
        late, dispersion=1.0, zero_rate_weight=ZERO_RATE_WEIGHT, alpha_low=0.01, alpha_high=0.01
    )

    assert whole.low < 0.01
    assert harm_of(late, 0.01).fails(0.01)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("more", [True, False])
def test_an_interval_beyond_the_margin_is_always_harm_too(relative, more):
    """So the two together have one alpha."""
    bound = ratio_of_rates_interval if relative else difference_interval
    sides = ([6.0] * 30, [float(minute % 3 * 2 + 5) for minute in range(30)])
    counts = minutes(*(sides if more else reversed(sides)))
    interval = bound(
        counts,
        dispersion=1.0,
        zero_rate_weight=ZERO_RATE_WEIGHT,
        alpha_low=WHOLE_TRIAL_WEIGHT * 0.05,
        alpha_high=WHOLE_TRIAL_WEIGHT * 0.05,
    )
    end = interval.low if more else interval.high

    assert harm_of(counts, end - (1e-3 if more else -1e-3), relative=relative, more=more).fails(0.05)
    assert not harm_of(counts, measured(counts, relative=relative), relative=relative, more=more).fails(0.05)


def test_a_burst_counts_as_one_event_at_every_onset():
    bursts = minutes([0.0] * 60, [0.0] * 50 + [12.0] + [0.0] * 9)

    assert harm_of(bursts).fails(0.01)
    assert not harm_of(bursts, dispersion=12.0).fails(0.01)
    assert harm_of(bursts, dispersion=inf).log_e == 0


def test_without_minutes_or_events_there_is_no_evidence():
    assert harm_over_onsets([(1.0, [])]).log_e == 0
    assert harm_of(minutes([0.0] * 60, [0.0] * 60)).log_e == pytest.approx(0)


def test_sums_of_logarithms_neither_overflow_nor_vanish():
    assert log_sum([1000.0, 1000.0]) == pytest.approx(1000 + log(2))
    assert log_sum([-inf, -1000.0]) == -1000
    assert log_sum([-inf, -inf]) == -inf


def test_few_of_the_older_onsets_are_kept_and_each_of_the_newest():
    onsets = []
    for minute in range(1, 2881):
        onsets.append(minute - 1)
        groups = groups_of_onsets(onsets, minute)
        assert sorted(position for group in groups for position in group) == [*range(len(onsets))]
        # The last of each group is kept here; that it may be any is the same.
        onsets = [onsets[group[-1]] for group in groups]
        assert len(onsets) < 100

    assert onsets[0] == 0
    assert onsets[-30:] == [*range(2850, 2880)]
    assert max(later - earlier for earlier, later in pairwise(onsets[1:])) <= 2880 / 4


def test_the_weights_of_onsets_and_of_those_to_come_sum_to_one():
    assert sum(map(exp, log_onset_weights(0, 500))) == pytest.approx(1)
    assert log_onset_weights(0, 500)[200:] == log_onset_weights(200, 500)
