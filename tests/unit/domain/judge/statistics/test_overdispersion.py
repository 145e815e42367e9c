"""The index of dispersion: how many events come together."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random
from statistics import median

import pytest

from airflow_guardrails.domain.judge.statistics.overdispersion import (
    MIN_MINUTES,
    MIN_MINUTES_FOR_BOUND,
    MinuteCounts,
    dispersion,
    is_estimable,
)

BURST = [0.0] * 20 + [12.0] + [0.0] * 39


def trial(control, candidate):
    return [
        MinuteCounts(control=one, candidate=other, control_requests=100, candidate_requests=100)
        for one, other in zip(control, candidate, strict=True)
    ]


def past(events):
    return [(many, 100.0) for many in events]


def one_by_one(count, *, seed=1, rate=0.02):
    random = Random(seed)
    return [float(sum(random.random() < rate for _ in range(100))) for _ in range(count)]


EVENTS = pytest.mark.parametrize(
    ("events", "size"),
    [([1.0, 0.0] * 30, 1), (BURST, 12), (([0.0] * 5 + [3.0] * 3 + [0.0] * 12) * 3, 9)],
    ids=["alone", "in a minute", "over three minutes"],
)


@EVENTS
def test_events_that_come_together_count_as_one(events, size):
    assert dispersion(trial([0.0] * 60, events), []) == pytest.approx(size, rel=0.35)


@EVENTS
def test_the_history_shows_bursts_before_the_trial_has_any(events, size):
    few = trial([0.0] * 5, [0.0] * 5)

    assert dispersion(few, past(events * 6)) == pytest.approx(size, rel=0.35)


def test_bursts_on_both_sides_at_once_do_not_count():
    assert dispersion(trial(BURST, BURST), []) == 1


def growing(rate, *, harm=0.0, requests=1000, minutes=60, seed=1):
    """Independent errors while the candidate gets 10 % more of the requests every six minutes."""
    random = Random(seed)
    made = []
    for minute in range(minutes):
        candidate = requests * min(minute // 6 + 1, 9) // 10
        control = requests - candidate
        made.append(
            MinuteCounts(
                control=sum(random.random() < rate for _ in range(control)),
                candidate=sum(random.random() < rate + harm for _ in range(candidate)),
                control_requests=control,
                candidate_requests=candidate,
            )
        )
    return made


@pytest.mark.parametrize("harm", [0.0, 0.02, 0.1])
def test_growing_steps_are_no_bursts(harm):
    """With one share for the whole trial, these errors looked like bursts of 13 or more."""
    sizes = [dispersion(growing(0.02, harm=harm, seed=seed), []) for seed in range(5)]

    assert max(sizes) < 2.5


def test_bursts_during_growing_steps_are_seen():
    quiet = growing(0.0)
    bursts = [replace(one, candidate=12.0) if minute % 15 == 9 else one for minute, one in enumerate(quiet)]

    assert 8 < dispersion(bursts, []) < 18


def test_an_incident_on_both_sides_during_growing_steps_is_no_burst():
    quiet, incident = growing(0.01), growing(0.1)

    assert dispersion([*incident[:8], *quiet[8:]], []) < 2.5


def test_events_that_come_by_chance_are_no_bursts():
    sizes = [
        dispersion(trial(one_by_one(20), one_by_one(20, seed=2)), past(one_by_one(360, seed=seed)))
        for seed in range(3, 43)
    ]

    assert sum(size == 1 for size in sizes) >= 30
    assert max(sizes) < 3.5


def test_more_events_by_more_requests_are_no_burst():
    waves = [(8.0, 400.0)] * 30 + [(2.0, 100.0)] * 30

    assert dispersion(trial([0.0] * 5, [0.0] * 5), waves) == 1


def test_a_burst_in_the_trial_counts_although_the_history_has_none():
    assert dispersion(trial([0.0] * 60, BURST), past([0.0] * 360)) == pytest.approx(12, rel=0.35)


def test_a_long_trial_without_bursts_contradicts_a_history_with_bursts():
    few, many = (trial(one_by_one(count), one_by_one(count, seed=2)) for count in (MIN_MINUTES - 1, 240))
    before = past(BURST * 6)

    assert dispersion(few, before) == pytest.approx(12, rel=0.35)
    assert dispersion(many, before) < 4


def test_an_hour_with_few_bursts_does_not_contradict_the_history():
    before = past(([2.0] * 10 + [0.0] * 20) * 12)
    quiet = trial([0.0] * 60, [2.0] * 5 + [0.0] * 55)

    assert dispersion(quiet, before) > 10


def test_an_estimate_needs_enough_minutes_of_trial_or_history():
    assert not is_estimable(MIN_MINUTES - 1, MIN_MINUTES - 1)
    assert is_estimable(MIN_MINUTES, 0)
    assert is_estimable(0, MIN_MINUTES)


@pytest.mark.parametrize("minutes", [MIN_MINUTES_FOR_BOUND, 30, MIN_MINUTES - 1])
def test_the_upper_bound_is_larger_than_the_estimate(minutes):
    found = []
    for seed in range(20):
        few = trial(one_by_one(minutes, seed=2 * seed), one_by_one(minutes, seed=2 * seed + 1))
        assert dispersion(few, []) > 1.5 * dispersion(few, past(one_by_one(360)))
        found.append(dispersion(few, []))

    assert median(found) < 5.5


@EVENTS
def test_the_upper_bound_is_not_below_a_burst_in_the_trial(events, size):
    few = trial([0.0] * 40, events[:40])

    assert dispersion(few, []) >= 0.9 * size


def test_too_few_minutes_may_be_one_burst():
    few = trial([0.0] * (MIN_MINUTES_FOR_BOUND - 1), [1.0] * (MIN_MINUTES_FOR_BOUND - 1))

    assert dispersion(few, past([0.0] * (MIN_MINUTES - 1))) == inf
    assert dispersion(few, past([0.0] * MIN_MINUTES)) == 1


def test_no_events_are_no_burst():
    assert dispersion(trial([0.0] * 20, [0.0] * 20), []) == 1
