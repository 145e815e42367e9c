"""
How often slow requests as counts raise a false alarm, and how often they find a slow tail.

Run: ``python benchmarks/calibration/tails.py`` (a minute; ``--runs 400`` for more). No rule uses these counts
yet, so they are no row of ``calibrate.py``. Looks every minute; alpha is 5 %.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from random import Random
from statistics import median, median_low

from airflow_guardrails.domain.judge.statistics.overdispersion import MinuteCounts
from airflow_guardrails.domain.judge.statistics.tails import tail_harm

ALPHA = 0.05
MINUTES, BEFORE, REQUESTS = 60, 30, 150

# Share of slow requests in an incident, and share of the minutes in which one begins.
SLOW, BEGINS = 0.05, 0.03

# Share of the harmed candidate's requests that are far slower.
HARMED = 0.015

Latencies = list[list[float]]


def plain(_: Random, count: int) -> tuple[list[float], list[float]]:
    """Return no incidents: the share of slow requests of both sides, minute by minute."""
    return [0.0] * count, [0.0] * count


def shared(random: Random, count: int) -> tuple[list[float], list[float]]:
    """Return incidents that both sides have."""
    both = incidents(random, count, lasting=2)
    return both, both


def own(random: Random, count: int) -> tuple[list[float], list[float]]:
    """Return incidents of four minutes that each side has of its own: these are bursts."""
    return incidents(random, count, lasting=4), incidents(random, count, lasting=4)


def incidents(random: Random, count: int, *, lasting: int) -> list[float]:
    """Return the share of slow requests in each minute."""
    found = [0.0] * count
    for minute in range(count):
        if random.random() < BEGINS:
            found[minute : minute + lasting] = [SLOW] * len(found[minute : minute + lasting])
    return found


KINDS: dict[str, Callable[[Random, int], tuple[list[float], list[float]]]] = {
    "lognormal": plain,
    "incidents of both sides": shared,
    "incidents of 4 minutes, each on one side": own,
}


def trial(kind: str, random: Random, *, onset: int) -> list[MinuteCounts]:
    """Return a trial in which the candidate's tail is slow from minute *onset* on."""
    count = BEFORE + MINUTES
    control_slow, candidate_slow = KINDS[kind](random, count)
    harm = [0.0 if minute < BEFORE + onset else HARMED for minute in range(count)]
    control = [latencies(random, share) for share in control_slow]
    candidate = [latencies(random, share + more) for share, more in zip(candidate_slow, harm, strict=True)]
    limit = median(sorted(minute)[-2] for minute in control[:BEFORE])
    return [
        MinuteCounts(
            control=sum(value > limit for value in one),
            candidate=sum(value > limit for value in other),
            control_requests=REQUESTS,
            candidate_requests=REQUESTS,
        )
        for one, other in zip(control[BEFORE:], candidate[BEFORE:], strict=True)
    ]


def latencies(random: Random, slow: float) -> list[float]:
    """Return the latencies of a minute; the share *slow* of them is twenty times as long."""
    return [math.exp(random.gauss(0, 1)) * (20 if random.random() < slow else 1) for _ in range(REQUESTS)]


def main() -> None:
    """Print a line for each kind of series and candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="runs of each line (%(default)s)")
    runs = parser.parse_args().runs
    for kind in KINDS:
        for name, onset in (("unharmed", MINUTES), ("slow tail", 0), ("slow tail from minute 20", 20)):
            failed = []
            for seed in range(runs):
                minutes = trial(kind, Random(seed), onset=onset)  # noqa: S311 - a simulation
                looks = (look for look in range(5, MINUTES + 1) if tail_harm(minutes[:look]).fails(ALPHA))
                failed.append(next(looks, None))
            found = [look for look in failed if look is not None]
            at = f", minute {median_low(found)}" if found else ""
            print(f"| tails, {kind} | {name} | {len(found) / runs:.1%}{at} |", flush=True)


if __name__ == "__main__":
    main()
