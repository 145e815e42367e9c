"""Evidence that a mean is above 0 from some minute on."""

from __future__ import annotations

from itertools import pairwise
from math import exp, inf, log
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.domain.judge.statistics.harm import (
    AUTOREGRESSIVE,
    MIN_MINUTES,
    STRUCTURES,
    UNDER_NOISE,
    Minutes,
    Sums,
    is_without_slow_waves,
    log_gain,
    minutes_needed,
)
from airflow_guardrails.domain.judge.statistics.noise import autoregressive
from tests.support.series import autoregressive as simulated

EVERY = (*AUTOREGRESSIVE, *UNDER_NOISE)
WHITE = (autoregressive(0.0),)


def noise(count=40, *, seed=6, rho=0.0):
    return [0.05 * value for value in simulated(rho, count, seed)]


def raised(values, by, *, from_minute=0):
    return [value + by * (minute >= from_minute) for minute, value in enumerate(values)]


def test_harm_from_the_beginning_is_found_with_its_onset():
    harm = Minutes(raised(noise(), 0.15)).harm(EVERY)

    assert harm.fails(0.01)
    assert harm.onset == 0


@pytest.mark.parametrize("onset", [15, 30])
def test_harm_that_begins_later_is_found_with_its_onset(onset):
    harm = Minutes(raised(noise(), 0.3, from_minute=onset)).harm(AUTOREGRESSIVE)

    assert harm.fails(0.01)
    assert abs(harm.onset - onset) <= 1


def test_a_mean_before_the_harm_may_be_anything():
    better = raised([value - 0.5 for value in noise()], 0.8, from_minute=25)

    assert Minutes(better).harm(AUTOREGRESSIVE).fails(0.01)
    assert not Minutes(raised(noise(), -0.5)).harm(EVERY).fails(0.5)


def test_a_slow_wave_is_no_harm():
    waves = [Minutes(noise(60, seed=seed, rho=0.9)) for seed in range(40)]

    assert sum(wave.harm(WHITE).fails(0.05) for wave in waves) > 12
    assert sum(wave.harm(EVERY).fails(0.05) for wave in waves) <= 4


def test_the_weakest_structure_decides():
    minutes = Minutes(raised(noise(), 0.1, from_minute=20))

    assert minutes.harm(EVERY).log_e == pytest.approx(min(minutes.harm((one,)).log_e for one in EVERY))


def test_the_bayes_factor_of_a_step_is_that_of_its_formula():
    """For one structure, one prior and a known onset, by the projections of linear algebra."""
    values, onset, variance = np.array(raised(noise(), 0.1, from_minute=20)), 20, 2.0
    before, step = (np.arange(40) < onset).astype(float), (np.arange(40) >= onset).astype(float)
    rest = values - before * (before @ values) / (before @ before)
    square = rest @ rest
    left = np.eye(40) + variance * np.outer(step, step)
    # The marginal likelihood of normal values with a Haar prior is |V|^(-1/2) (x' V^-1 x)^(-nu / 2).
    factor = np.linalg.det(left) ** -0.5 * ((rest @ np.linalg.inv(left) @ rest) / square) ** (-39 / 2)

    gain = exp(log_gain(step @ values, step @ step, square, 39, (variance,)))

    assert gain == pytest.approx(2 * (factor - np.linalg.det(left) ** -0.5), rel=1e-9)


@pytest.mark.parametrize("low", [True, False])
def test_an_end_of_the_interval_is_where_the_evidence_reaches_the_threshold(low):
    minutes = Minutes(raised(noise(), 0.03))

    end = minutes.end(EVERY, log(20), low=low)

    assert minutes.log_e_of_mean(EVERY, end, above=low) == pytest.approx(log(20), abs=0.1)
    assert (end < minutes.mean) is low


def test_the_interval_becomes_narrower_with_time():
    values = noise(200)
    minutes = [Minutes(values[:count]) for count in (20, 60, 200)]
    ends = [one.end(EVERY, log(20), low=False) - one.mean for one in minutes]

    assert all(later < earlier for earlier, later in pairwise(ends))


def test_too_few_minutes_have_no_interval():
    minutes = Minutes(noise(MIN_MINUTES))

    assert minutes.end(EVERY, log(1000), low=True) == -inf
    assert minutes.end(EVERY, log(1000), low=False) == inf


def test_the_fewest_minutes_depend_on_alpha():
    assert MIN_MINUTES < minutes_needed(0.05) < minutes_needed(0.001) < 30


def test_a_history_shows_whether_there_are_slow_waves():
    assert is_without_slow_waves(noise(360))
    assert is_without_slow_waves(noise(360, rho=0.3))
    assert not is_without_slow_waves(noise(360, rho=0.9))
    assert not is_without_slow_waves(
        [a + b for a, b in zip(noise(360, rho=0.9), noise(360, seed=5), strict=True)]
    )
    assert not is_without_slow_waves(noise(59))
    assert not is_without_slow_waves([1.0] * 360)


def test_equal_minutes_are_decided_too():
    assert Minutes([0.1] * 30).harm(EVERY).fails(0.01)
    assert not Minutes([-0.1] * 30).harm(EVERY).fails(0.5)
    assert not Minutes([0.0] * 30).harm(EVERY).fails(0.5)


@given(st.lists(st.floats(-1e9, 1e9), min_size=MIN_MINUTES, max_size=30))
def test_no_series_is_an_error(values):
    minutes = Minutes(values)

    assert minutes.harm(EVERY).log_e < inf
    assert minutes.end(EVERY, log(20), low=True) <= minutes.mean <= minutes.end(EVERY, log(20), low=False)


def test_the_evidence_against_no_harm_is_at_most_one_on_average():
    """Of independent minutes, with their own structure as the only one, it is an e-process."""
    random = Random(11)
    values = [exp(Minutes([random.gauss(0, 0.05) for _ in range(20)]).harm(WHITE).log_e) for _ in range(3000)]

    # Four standard errors.
    assert np.mean(values) < 1 + 4 * np.std(values) / 3000**0.5


def kept(values, every=30):
    """Minutes of which all but the newest have been added up, some at a time."""
    sums = None
    for first in range(0, len(values) - every, every):
        sums = Sums.of(STRUCTURES, values[first : first + every], sums)
    return Minutes(values[sums.count :], sums)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_the_interval_is_the_same_if_earlier_minutes_were_added_up(rho):
    values = raised(noise(300, rho=rho), 0.02)

    whole, sums = Minutes(values), kept(values)

    assert (len(sums), sums.mean) == (300, pytest.approx(whole.mean))
    for low in (True, False):
        assert sums.end(STRUCTURES, log(20), low=low) == pytest.approx(
            whole.end(STRUCTURES, log(20), low=low)
        )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("onset", "by"), [(400, 0.0), (40, 0.1), (200, 0.05), (200, 0.3), (350, 0.2)])
def test_that_few_onsets_are_kept_changes_the_evidence_little(seed, onset, by):
    values = raised(noise(400, seed=seed, rho=0.5), by, from_minute=onset)

    whole, sums = Minutes(values).harm(STRUCTURES), kept(values).harm(STRUCTURES)

    assert sums.log_e == pytest.approx(whole.log_e, abs=0.3, rel=0.03)
    if whole.fails(0.01):
        assert sums.onset == pytest.approx(whole.onset, abs=(400 - whole.onset) / 8)


def test_the_evidence_stays_an_e_value_if_few_onsets_are_kept():
    random, values = Random(11), []
    for _ in range(150):
        minutes = kept([random.gauss(0, 0.05) for _ in range(130)])
        values.append(exp(minutes.harm(WHITE).log_e))

    assert np.mean(values) < 1 + 4 * np.std(values) / 150**0.5
