"""The rows for a rule of a high percentile: single requests, of which a part is far slower."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from random import Random
from statistics import median

from airflow_guardrails.domain.judge.rules import MetricRule
from calibration.row import Row, only
from calibration.series import PAST, Trial

P99 = MetricRule("ModelLatency", stat="p99", margin="0%")

# Requests of each side in a minute, and minutes before the trial that make the limit.
REQUESTS, BEFORE = 150, 30

# Share of slow requests in an incident, and share of the minutes in which one begins.
SLOW, BEGINS = 0.05, 0.03

# Share of the harmed candidate's requests that are far slower.
HARMED = 0.015

Shares = tuple[list[float], list[float]]


def plain(_: Random, count: int) -> Shares:
    """Return no incidents: the share of slow requests of both sides, minute by minute."""
    return [0.0] * count, [0.0] * count


def shared(random: Random, count: int) -> Shares:
    """Return incidents that both sides have."""
    both = incidents(random, count, lasting=2)
    return both, both


def own(random: Random, count: int) -> Shares:
    """Return incidents of four minutes that each side has of its own: these are bursts."""
    return incidents(random, count, lasting=4), incidents(random, count, lasting=4)


def incidents(random: Random, count: int, *, lasting: int) -> list[float]:
    """Return the share of slow requests in each minute."""
    found = [0.0] * count
    for minute in range(count):
        if random.random() < BEGINS:
            found[minute : minute + lasting] = [SLOW] * len(found[minute : minute + lasting])
    return found


def trial(
    slow: Callable[[Random, int], Shares], random: Random, minutes: int, *, onset: int | None = None
) -> Trial:
    """Return a trial in which the candidate has a slow tail from minute *onset* on; ``None``: never."""
    control_slow, candidate_slow = slow(random, BEFORE + minutes)
    harm = [0.0 if onset is None or minute < onset else HARMED for minute in range(minutes)]
    control = [latencies(random, share) for share in control_slow]
    candidate = [
        latencies(random, share + more) for share, more in zip(candidate_slow[BEFORE:], harm, strict=True)
    ]
    past, control = [p99(minute) for minute in control[:BEFORE]], control[BEFORE:]
    limit = median(past)
    both = [float(REQUESTS)] * minutes
    return Trial(
        [p99(minute) for minute in control],
        [p99(minute) for minute in candidate],
        both,
        both,
        past=past * (PAST // BEFORE),
        past_requests=[float(REQUESTS)] * PAST,
        slow=(beyond(limit, control), beyond(limit, candidate)),
        slow_limit=limit,
    )


def latencies(random: Random, slow: float) -> list[float]:
    """Return the latencies of a minute; the share *slow* of them is twenty times as long."""
    return [math.exp(random.gauss(0, 1)) * (20 if random.random() < slow else 1) for _ in range(REQUESTS)]


def p99(minute: list[float]) -> float:
    """Return the 99th percentile of a minute."""
    return sorted(minute)[math.ceil(0.99 * len(minute)) - 1]


def beyond(limit: float, minutes: list[list[float]]) -> list[float]:
    """Return how many requests of each minute took longer than *limit*."""
    return [float(sum(value > limit for value in minute)) for minute in minutes]


def tail_row(name: str, slow: Callable[[Random, int], Shares]) -> Row:
    """Return the row of requests with such incidents."""
    harmed = {"slow tail": 0, "slow tail from minute 20": 20}
    return Row(
        f"p99, {name}",
        only(P99, partial(trial, slow)),
        {text: only(P99, partial(trial, slow, onset=onset)) for text, onset in harmed.items()},
    )


TAIL_ROWS = (
    tail_row("lognormal requests", plain),
    tail_row("incidents of both sides", shared),
    tail_row("incidents of 4 minutes, each on one side", own),
)
