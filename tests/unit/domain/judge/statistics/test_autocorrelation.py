"""The autocorrelation of minutes, and how to remove it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from airflow_guardrails.domain.judge.statistics.autocorrelation import (
    autocorrelation,
    long_run_autocorrelation,
    outlier_hour,
    upper_autocorrelation,
    variance_inflation,
    whitened,
)
from tests.support.series import autoregressive, independent


def mean(values):
    return sum(values) / len(values)


def test_the_autocorrelation_of_a_short_series_is_overestimated():
    short = [upper_autocorrelation(independent(12, seed=seed)) for seed in range(100)]

    assert 0.6 < upper_autocorrelation(autoregressive(0.6, 5_000)) < 0.65
    assert mean(short) > 0.3
    assert upper_autocorrelation([1.0, 2.0]) == 0.95
    assert upper_autocorrelation([5.0] * 10) == 0


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.8])
def test_six_hours_estimate_it_within_a_tenth_and_rather_too_high(rho):
    found = [long_run_autocorrelation(autoregressive(rho, 360, seed=seed)) for seed in range(100)]

    assert rho < mean(found) < rho + 0.12
    assert sum(one < rho - 0.05 for one in found) <= 5


def test_constant_minutes_have_no_autocorrelation_by_rounding():
    assert long_run_autocorrelation([0.1] * 360) == 0


def test_autocorrelation_under_noise_shows_in_blocks():
    """Lag 1 shows half of 0.9; a mean varies as with an autocorrelation of 0.82."""
    found = [
        long_run_autocorrelation(
            [
                slow + fast
                for slow, fast in zip(
                    autoregressive(0.9, 360, seed), independent(360, seed + 100), strict=True
                )
            ]
        )
        for seed in range(50)
    ]

    assert mean(found) > 0.6


def test_a_daily_trend_is_no_autocorrelation():
    wave = [30 * math.sin(2 * math.pi * minute / 1440) for minute in range(360)]
    noisy = [one + 10 * other for one, other in zip(wave, independent(360), strict=True)]

    assert long_run_autocorrelation(noisy) < 0.25


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_blocks_of_an_autoregressive_series_vary_as_computed(rho):
    values = autoregressive(rho, 100_000)
    blocks = [sum(values[first : first + 10]) for first in range(0, len(values), 10)]

    assert variance_inflation(rho, 10) == pytest.approx(mean([block**2 for block in blocks]) / 10, rel=0.05)


def test_the_longer_of_trial_and_history_is_used():
    trial, past = independent(60), autoregressive(0.6, 360)

    assert autocorrelation(trial, past) == long_run_autocorrelation(past)
    assert autocorrelation(past, trial) == long_run_autocorrelation(past)
    assert autocorrelation(trial, past[:59]) == upper_autocorrelation(trial)


def test_a_trial_that_contradicts_the_history_is_used():
    trial, past = autoregressive(0.8, 60), independent(360)

    assert autocorrelation(trial, past) == upper_autocorrelation(trial) > 0.7


def test_a_rollback_in_the_history_is_the_outlier_hour():
    quiet = independent(360)
    undone = [value + 20 * (minute in range(150, 185)) for minute, value in enumerate(quiet)]
    first, last = outlier_hour(undone)

    assert last - first == 60
    assert set(range(150, 185)) <= set(range(first, last))
    assert long_run_autocorrelation(undone) > long_run_autocorrelation(undone[:first] + undone[last:])
    assert outlier_hour(undone[:179]) == (0, 0)


def test_whitened_minutes_are_independent():
    values = autoregressive(0.7, 20_000)
    rest = whitened(values, 0.7)

    assert len(rest) == len(values)
    assert mean([one * other for one, other in pairwise(rest)]) == pytest.approx(0, abs=0.02)
    assert rest[0] == pytest.approx(values[0] * math.sqrt(1 - 0.7**2))
    assert whitened([], 0.5) == []
