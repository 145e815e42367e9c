"""Slow requests as counts."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from airflow_guardrails.domain.judge.statistics.overdispersion import MinuteCounts, split_dispersion
from airflow_guardrails.domain.judge.statistics.tails import tail_harm

REQUESTS = 200


def slow(control, candidate, *, minutes=40, seed=1):
    """Slow requests of both sides; the arguments are their shares, a number or a function of the minute."""
    random = Random(seed)

    def count(share, minute):
        share = share(minute) if callable(share) else share
        return float(sum(random.random() < share for _ in range(REQUESTS)))

    return [
        MinuteCounts(
            control=count(control, minute),
            candidate=count(candidate, minute),
            control_requests=REQUESTS,
            candidate_requests=REQUESTS,
        )
        for minute in range(minutes)
    ]


def incidents(minute):
    return 0.1 if minute % 9 == 4 else 0.01


def test_more_slow_requests_are_harm():
    found = [tail_harm(slow(0.01, 0.03, seed=seed)).fails(0.05) for seed in range(10)]

    assert all(found)


@pytest.mark.parametrize("share", [0.01, incidents], ids=["always", "in incidents of both sides"])
def test_as_many_slow_requests_are_no_harm(share):
    found = [tail_harm(slow(share, share, seed=seed)).fails(0.05) for seed in range(40)]

    assert sum(found) <= 2


def test_incidents_of_both_sides_do_not_hide_slow_requests_between_them():
    harmed = [
        tail_harm(slow(incidents, lambda minute: incidents(minute) + 0.02, seed=seed)).fails(0.05)
        for seed in range(10)
    ]

    assert sum(harmed) >= 8


def test_a_slow_tail_is_dated():
    late = slow(0.01, lambda minute: 0.01 if minute < 20 else 0.05)

    assert tail_harm(late).fails(0.05)
    assert 15 <= tail_harm(late).onset <= 22


def test_fewer_slow_requests_are_no_harm():
    assert not tail_harm(slow(0.05, 0.01)).fails(0.5)


def test_minutes_of_a_pause_on_one_side_are_bursts():
    pauses = slow(0.01, lambda minute: 0.2 if minute % 15 == 7 else 0.01)

    assert split_dispersion(pauses) > 4
    assert not tail_harm(pauses).fails(0.05)


@pytest.mark.parametrize("minutes", [0, 9])
def test_few_minutes_prove_nothing(minutes):
    assert split_dispersion(slow(0.0, 1.0, minutes=minutes)) == inf
    assert tail_harm(slow(0.0, 1.0, minutes=minutes)).log_e == 0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_or_all_slow_prove_nothing(share):
    assert not tail_harm(slow(share, share)).fails(0.5)


@pytest.mark.parametrize("requests", [1e-320, 1.0, 1.7e308])
@pytest.mark.parametrize("events", [0.0, 1e-320, 1e150, 1.7e308])
def test_no_numbers_raise(requests, events):
    minutes = [
        MinuteCounts(control=one, candidate=events, control_requests=other, candidate_requests=requests)
        for one in (0.0, 3.0, 1.7e308)
        for other in (1e-320, 1.0, 1e300)
    ]

    assert split_dispersion(minutes) >= 1
    assert isinstance(tail_harm(minutes).onset, int)
