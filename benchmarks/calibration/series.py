"""Made-up series: what CloudWatch would have of a production and a candidate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random

BEGIN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)

# Of a minute's mean latency; endpoints vary by about as much from minute to minute.
SPREAD = 0.1
LATENCY = 100_000.0

# Minutes of production before the trial.
PAST = 360

# The part of the minutes in which traffic bursts.
BURSTING = 0.1

# The part of the minutes in which one instance is bad.
SPIKES = 0.02


@dataclass(frozen=True, slots=True)
class Trial:
    """Values and requests of both sides, one of each a minute, and production's before."""

    control: list[float]
    candidate: list[float]
    control_requests: list[float]
    candidate_requests: list[float]
    past: list[float]
    past_requests: list[float]


def begun(
    control: list[float], candidate: list[float], control_requests: list[float], requests: list[float]
) -> Trial:
    """Let the trial begin after :data:`PAST` minutes."""
    return Trial(
        control[PAST:],
        candidate[PAST:],
        control_requests[PAST:],
        requests[PAST:],
        past=control[:PAST],
        past_requests=control_requests[:PAST],
    )


Noise = Callable[[Random, int], list[float]]
Traffic = Callable[[Random, int], tuple[list[float], list[float]]]


def independent(random: Random, count: int) -> list[float]:
    return [random.gauss(0, 1) for _ in range(count)]


def autoregressive(rho: float) -> Noise:
    """Noise of variance 1 in which each minute resembles the one before by *rho*."""

    def noise(random: Random, count: int) -> list[float]:
        values = [random.gauss(0, 1)]
        fresh = math.sqrt(1 - rho * rho)
        while len(values) < count:
            values.append(rho * values[-1] + fresh * random.gauss(0, 1))
        return values

    return noise


def heavy_tailed(random: Random, count: int) -> list[float]:
    """Student's t with 3 degrees of freedom, brought to variance 1."""
    return [
        random.gauss(0, 1) / math.sqrt(random.gammavariate(1.5, 2) / 3) / math.sqrt(3) for _ in range(count)
    ]


def skewed(random: Random, count: int) -> list[float]:
    """Some minutes are far slower: lognormal, brought to mean 0 and variance 1."""
    sigma = 1.0
    mean, deviation = math.exp(sigma**2 / 2), math.sqrt(math.exp(2 * sigma**2) - math.exp(sigma**2))
    return [(random.lognormvariate(0, sigma) - mean) / deviation for _ in range(count)]


def spiked(random: Random, count: int) -> list[float]:
    """Noise of variance 1, and one minute in fifty in which an instance is far slower."""
    return [random.gauss(0, 1) + (10 if random.random() < SPIKES else 0) for _ in range(count)]


def hidden(rho: float, part: float) -> Noise:
    """Noise of variance 1, of which *part* is autoregressive by *rho* and the rest independent."""
    slow = autoregressive(rho)

    def noise(random: Random, count: int) -> list[float]:
        return [
            math.sqrt(part) * one + math.sqrt(1 - part) * random.gauss(0, 1) for one in slow(random, count)
        ]

    return noise


def steady(requests: float) -> Traffic:
    """As many requests each minute, and a copy of each to the candidate from the trial's begin on."""
    return lambda _, count: ([requests] * count, [0.0] * PAST + [requests] * (count - PAST))


def divided(requests: float, share: float, *, bursts: bool = False) -> Traffic:
    """Requests that go to the candidate with the chance *share*, and to production else."""

    def traffic(random: Random, count: int) -> tuple[list[float], list[float]]:
        control, candidate = [], []
        for minute in range(count):
            many = requests * (5 if bursts and random.random() < BURSTING else 1)
            part = share if minute >= PAST else 0.0
            candidate.append(float(poisson(random, many * part)))
            control.append(float(poisson(random, many * (1 - part))))
        return control, candidate

    return traffic


def latencies(
    noise: Noise, traffic: Traffic, *, effect: float = 0.0, daily: float = 0.0, spread: float = SPREAD
) -> Callable[[Random, int], Trial]:
    """
    Mean latency a minute.

    :param effect: how much slower the candidate is, as a fraction.
    :param daily: half the height of a wave of a day that both sides share, as a fraction.
    """

    def trial(random: Random, minutes: int) -> Trial:
        count = PAST + minutes
        begin = random.random()
        wave = [1 + daily * math.sin(2 * math.pi * (begin + minute / 1440)) for minute in range(count)]
        sides = []
        for factor in (1.0, 1.0 + effect):
            rest = noise(random, count)
            sides.append(
                [LATENCY * factor * max(w * (1 + spread * r), 0.0) for w, r in zip(wave, rest, strict=True)]
            )
        return begun(*sides, *traffic(random, count))

    return trial


def skewed_requests(traffic: Traffic, *, effect: float = 0.0) -> Callable[[Random, int], Trial]:
    """Mean latency of a minute's requests, some of which take ten times as long as most (lognormal)."""
    middle = LATENCY / math.exp(0.5)

    def trial(random: Random, minutes: int) -> Trial:
        many, served = traffic(random, PAST + minutes)

        def side(factor: float, requests: list[float]) -> list[float]:
            return [
                factor * middle * sum(random.lognormvariate(0, 1) for _ in range(int(count))) / (count or 1)
                for count in requests
            ]

        return begun(side(1.0, many), side(1.0 + effect, served), many, served)

    return trial


def errors(
    control: float, candidate: float, traffic: Traffic, *, burst: int = 1, lasting: int = 1
) -> Callable[[Random, int], Trial]:
    """
    Requests that fail, by the rates of both sides.

    :param burst: errors that come at once, in one minute, or over *lasting* minutes.
    """

    def side(random: Random, rate: float, requests: list[float]) -> list[float]:
        failed = [0.0] * len(requests)
        for minute, many in enumerate(requests):
            for _ in range(poisson(random, rate * many / burst)):
                for one in range(burst):
                    at = minute + one * lasting // burst
                    if at < len(failed):
                        failed[at] = min(failed[at] + 1, requests[at])
        return failed

    def trial(random: Random, minutes: int) -> Trial:
        many, served = traffic(random, PAST + minutes)
        return begun(side(random, control, many), side(random, candidate, served), many, served)

    return trial


def shared_bursts(rate: float, traffic: Traffic) -> Callable[[Random, int], Trial]:
    """Bursts of about 8 errors over 4 minutes that strike both sides, as bad requests do."""

    def trial(random: Random, minutes: int) -> Trial:
        count = PAST + minutes
        many, served = traffic(random, count)
        sides = [[0.0] * count for _ in range(2)]
        for minute in range(count):
            for _ in range(poisson(random, rate * many[minute] / 8)):
                for side in sides:
                    for at in range(minute, min(minute + 4, count)):
                        side[at] += poisson(random, 2)
        return begun(*sides, many, served)

    return trial


def sparse(traffic: Traffic) -> Callable[[Random, int], Trial]:
    """No errors in production; the candidate has one or two in one minute of each six."""

    def trial(random: Random, minutes: int) -> Trial:
        count = PAST + minutes
        failed = [0.0] * count
        for first in range(PAST, count, 6):
            failed[min(first + random.randrange(6), count - 1)] = float(random.choice((1, 2)))
        return begun([0.0] * count, failed, *traffic(random, count))

    return trial


def poisson(random: Random, mean: float) -> int:
    """Draw a count by the gaps between its events."""
    count, reached = 0, random.expovariate(1)
    while reached < mean:
        count += 1
        reached += random.expovariate(1)
    return count


def moments(count: int, *, first: int = 0) -> list[datetime]:
    return [BEGIN + timedelta(minutes=first + minute) for minute in range(count)]
