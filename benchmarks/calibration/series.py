"""Simulated series: the metrics of production and candidate in CloudWatch, one value a minute."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random

from calibration.onsets import Effect, constant

BEGIN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)

# Standard deviation of a minute's mean latency, as a fraction: about that of real endpoints.
SPREAD = 0.1
LATENCY = 100_000.0

# Minutes of history before the trial.
PAST = 360

# Share of the minutes with a burst of traffic.
BURSTING = 0.1

# Share of the minutes in which one instance is slow.
SPIKES = 0.02

# The same, where it happens often.
OFTEN = 0.1

# Minutes of an incident that both sides have.
INCIDENT = 6

# Events from which on a Poisson count is drawn as a normal value.
MANY = 600


@dataclass(frozen=True, slots=True)
class Trial:
    """
    Values and requests of both sides, one item a minute, and production's history.

    :param slow: slow requests of production and of the candidate, likewise; ``None``: they are not counted.
    :param slow_limit: the value above which a request is slow.
    """

    control: list[float]
    candidate: list[float]
    control_requests: list[float]
    candidate_requests: list[float]
    past: list[float]
    past_requests: list[float]
    slow: tuple[list[float], list[float]] | None = None
    slow_limit: float = 0.0


def begun(
    control: list[float], candidate: list[float], control_requests: list[float], requests: list[float]
) -> Trial:
    """Split series into a history of :data:`PAST` minutes and the trial after it."""
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
    """Return normal noise of variance 1."""
    return [random.gauss(0, 1) for _ in range(count)]


def autoregressive(rho: float) -> Noise:
    """Return AR(1) noise of variance 1 with the autocorrelation *rho*."""

    def noise(random: Random, count: int) -> list[float]:
        values = [random.gauss(0, 1)]
        fresh = math.sqrt(1 - rho * rho)
        while len(values) < count:
            values.append(rho * values[-1] + fresh * random.gauss(0, 1))
        return values

    return noise


def heavy_tailed(random: Random, count: int) -> list[float]:
    """Return noise of Student's t distribution with 3 degrees of freedom, scaled to variance 1."""
    return [
        random.gauss(0, 1) / math.sqrt(random.gammavariate(1.5, 2) / 3) / math.sqrt(3) for _ in range(count)
    ]


def skewed(random: Random, count: int) -> list[float]:
    """Return lognormal noise, scaled to mean 0 and variance 1: some minutes are far slower."""
    sigma = 1.0
    mean, deviation = math.exp(sigma**2 / 2), math.sqrt(math.exp(2 * sigma**2) - math.exp(sigma**2))
    return [(random.lognormvariate(0, sigma) - mean) / deviation for _ in range(count)]


def left_skewed(random: Random, count: int) -> list[float]:
    """Return the mirror image of :func:`skewed`: some minutes are far quicker."""
    return [-one for one in skewed(random, count)]


def spiked(random: Random, count: int) -> list[float]:
    """Return noise of variance 1, with one minute in fifty in which an instance is far slower."""
    return [random.gauss(0, 1) + (10 if random.random() < SPIKES else 0) for _ in range(count)]


def spiked_often(random: Random, count: int) -> list[float]:
    """Return noise of mean 0, with one minute in ten that is far slower."""
    return [random.gauss(0, 1) + (9 if random.random() < OFTEN else -1) for _ in range(count)]


def hidden(rho: float, part: float) -> Noise:
    """Return noise of variance 1: the share *part* of it is AR(1) with *rho*, the rest is independent."""
    slow = autoregressive(rho)
    return lambda random, count: mixed(slow(random, count), independent(random, count), part)


def mixed(one: list[float], other: list[float], part: float) -> list[float]:
    """Return noise of variance 1 of which the share *part*, 0 to 1, comes from *one*."""
    few, many = math.sqrt(part), math.sqrt(1 - part)
    return [few * a + many * b for a, b in zip(one, other, strict=True)]


def flat(_: Random, count: int) -> list[float]:
    """Return no noise: all minutes are alike."""
    return [0.0] * count


def steady(requests: float) -> Traffic:
    """Return constant traffic, *requests* a minute; the candidate gets a copy of each during the trial."""
    return lambda _, count: ([requests] * count, [0.0] * PAST + [requests] * (count - PAST))


def divided(requests: float, share: float, *, bursts: bool = False) -> Traffic:
    """Return Poisson traffic, *requests* a minute; in the trial the candidate gets the *share*, 0 to 1."""

    def traffic(random: Random, count: int) -> tuple[list[float], list[float]]:
        control, candidate = [], []
        for minute in range(count):
            many = requests * (5 if bursts and random.random() < BURSTING else 1)
            part = share if minute >= PAST else 0.0
            candidate.append(float(poisson(random, many * part)))
            control.append(float(poisson(random, many * (1 - part))))
        return control, candidate

    return traffic


def linear(requests: float, *, steps: int = 9) -> Traffic:
    """Return Poisson traffic, *requests* a minute; the candidate gets 10 % more of it with each step."""

    def traffic(random: Random, count: int) -> tuple[list[float], list[float]]:
        control, candidate = [], []
        for minute in range(count):
            step = max(minute - PAST, 0) * steps // (count - PAST) + 1
            share = step / (steps + 1) if minute >= PAST else 0.0
            candidate.append(float(poisson(random, requests * share)))
            control.append(float(poisson(random, requests * (1 - share))))
        return control, candidate

    return traffic


def latencies(
    noise: Noise,
    traffic: Traffic,
    *,
    effect: float | Effect = 0.0,
    daily: float = 0.0,
    spread: float = SPREAD,
    shared: float = 0.0,
    movement: Noise | None = None,
    grain: float = 0.0,
    candidates: Noise | None = None,
) -> Callable[[Random, int], Trial]:
    """
    Return a maker of trials with the mean latency of each minute.

    :param effect: fraction by which the candidate is slower.
    :param daily: half the height of a daily wave that both sides share, as a fraction.
    :param spread: standard deviation of a minute, as a fraction.
    :param shared: share of the variance, 0 to 1, of a movement that both sides share.
    :param movement: the kind of that movement, if it is another than each side's own noise.
    :param grain: distance between the values that are possible, as a fraction; 0: any value.
    :param candidates: the candidate's noise, if it is another.
    """
    slower = effect if callable(effect) else constant(effect)
    grid = LATENCY * grain

    def trial(random: Random, minutes: int) -> Trial:
        count = PAST + minutes
        begin = random.random()
        wave = [1 + daily * math.sin(2 * math.pi * (begin + minute / 1440)) for minute in range(count)]
        common = (movement or noise)(random, count) if shared else [0.0] * count
        factors = [1.0] * PAST + [1 + slower(minute, minutes) for minute in range(minutes)]

        def side(noise: Noise, factors: list[float]) -> list[float]:
            rest = mixed(common, noise(random, count), shared)
            values = [
                LATENCY * factor * max(w * (1 + spread * r), 0.0)
                for factor, w, r in zip(factors, wave, rest, strict=True)
            ]
            return [round(value / grid) * grid for value in values] if grid else values

        sides = side(noise, [1.0] * count), side(candidates or noise, factors)
        return begun(*sides, *traffic(random, count))

    return trial


def proportional(noise: Noise, traffic: Traffic, *, effect: float = 0.0) -> Callable[[Random, int], Trial]:
    """Return a maker of trials in which the candidate's values are production's times 1 + *effect*."""

    def trial(random: Random, minutes: int) -> Trial:
        values = [LATENCY * max(1 + SPREAD * one, 0.0) for one in noise(random, PAST + minutes)]
        return begun(values, [value * (1 + effect) for value in values], *traffic(random, PAST + minutes))

    return trial


def now_and_then(rate: float, traffic: Traffic, *, effect: float = 0.0) -> Callable[[Random, int], Trial]:
    """Return a maker of trials with a gauge of 0 or 1; it is 1 in the share *rate* of the minutes."""

    def trial(random: Random, minutes: int) -> Trial:
        def side(rate: float) -> list[float]:
            return [float(random.random() < rate) for _ in range(PAST + minutes)]

        return begun(side(rate), side(rate * (1 + effect)), *traffic(random, PAST + minutes))

    return trial


def skewed_requests(traffic: Traffic, *, effect: float = 0.0) -> Callable[[Random, int], Trial]:
    """Return a maker of trials with the mean latency of lognormal requests: some are ten times slower."""
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
    control: float,
    candidate: float,
    traffic: Traffic,
    *,
    burst: int = 1,
    lasting: int = 1,
    onset: float = 0.0,
    incident: float = 1.0,
) -> Callable[[Random, int], Trial]:
    """
    Return a maker of trials with failed requests.

    :param control: production's errors per request.
    :param candidate: the candidate's errors per request.
    :param burst: errors that come together, in one minute or over *lasting* minutes.
    :param onset: share of the trial, 0 to 1, before which the candidate is as production.
    :param incident: factor of both sides' errors in the first :data:`INCIDENT` minutes of the trial.
    """

    def side(random: Random, rates: list[float], requests: list[float]) -> list[float]:
        failed = [0.0] * len(requests)
        for minute, (rate, many) in enumerate(zip(rates, requests, strict=True)):
            for _ in range(poisson(random, rate * many / burst)):
                for one in range(burst):
                    at = minute + one * lasting // burst
                    if at < len(failed):
                        failed[at] = min(failed[at] + 1, requests[at])
        return failed

    def trial(random: Random, minutes: int) -> Trial:
        many, served = traffic(random, PAST + minutes)
        begin = PAST + round(onset * minutes)
        usual = [incident if PAST <= minute < PAST + INCIDENT else 1.0 for minute in range(PAST + minutes)]
        sides = (
            [control * times for times in usual],
            [(control if minute < begin else candidate) * times for minute, times in enumerate(usual)],
        )
        return begun(side(random, sides[0], many), side(random, sides[1], served), many, served)

    return trial


def shared_bursts(rate: float, traffic: Traffic) -> Callable[[Random, int], Trial]:
    """Return a maker of trials with bursts of about 8 errors over 4 minutes on both sides at once."""

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
    """Return a maker of trials in which only the candidate has errors: 1 or 2 in one minute of six."""

    def trial(random: Random, minutes: int) -> Trial:
        count = PAST + minutes
        failed = [0.0] * count
        for first in range(PAST, count, 6):
            failed[min(first + random.randrange(6), count - 1)] = float(random.choice((1, 2)))
        return begun([0.0] * count, failed, *traffic(random, count))

    return trial


def poisson(random: Random, mean: float) -> int:
    """Draw a Poisson count by the gaps between its events, or a rounded normal value if there are many."""
    if mean > MANY:
        return max(round(random.gauss(mean, math.sqrt(mean))), 0)
    count, reached = 0, random.expovariate(1)
    while reached < mean:
        count += 1
        reached += random.expovariate(1)
    return count


def moments(count: int, *, first: int = 0) -> list[datetime]:
    """Return *count* successive minutes; the trial begins at minute 0."""
    return [BEGIN + timedelta(minutes=first + minute) for minute in range(count)]
