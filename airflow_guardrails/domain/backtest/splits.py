"""
Random splits of past requests, as a canary would have divided them.

Every request goes to the new fleet with the same chance, and both fleets are the fleet that served. So
nothing differs but chance. Differences between instances are not in it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import exp, log, sqrt

from airflow_guardrails.domain.judge import Evidence, History, Series, SlowRequests
from airflow_guardrails.domain.judge.rules import Direction, MetricRule, with_denominators
from airflow_guardrails.domain.judge.tails import Limits, is_counted_by_limit
from airflow_guardrails.domain.snapshots.metrics import Points

_MINUTE = timedelta(minutes=1)
# Of a normal distribution, in standard deviations.
_P10_TO_P90 = 2.563
_NEAR = 0.05
_FEW = 30.0
# Requests vary by at least this part of the percentile; no more than all of them are slow.
_LEAST_SCALE, _LARGEST_EXPONENT = 1e-3, 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """
    What one variant did in the last days, minute by minute.

    :param requests: minute -> requests.
    :param metrics: minute -> value, for each rule and denominator.
    :param spreads: for each rule of a mean or percentile, minute -> how much single requests vary, as
        :func:`spread_of` gives it. A rule without has no variation but that of the minutes.
    """

    requests: Points
    metrics: Mapping[MetricRule, Points]
    spreads: Mapping[MetricRule, Points] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """
    What is wrong with the new fleet.

    :param size: share of the requests that fail in addition, if the rule counts events; else the part by
        which the metric is worse: 0.2 is 20 %.
    """

    rule: MetricRule
    size: float


def spread_stats(rule: MetricRule) -> tuple[str, str] | None:
    """Return the two percentiles that show how much single requests vary; None for counts and sums."""
    if rule.counted or rule.stat == "Sum":
        return None
    low, high = (0.1, 0.9) if rule.quantile is None else _beside(rule.quantile)
    return f"p{100 * low:.4g}", f"p{100 * high:.4g}"


def spread_of(rule: MetricRule, low: Points, high: Points) -> dict[datetime, float]:
    """Return minute -> standard deviation of the statistic for one request, from :func:`spread_stats`."""
    if rule.quantile is None:
        factor = 1 / _P10_TO_P90
    else:
        # The asymptotic variance of a sample quantile: q (1 - q) / density^2.
        below, above = _beside(rule.quantile)
        factor = sqrt(rule.quantile * (1 - rule.quantile)) / (above - below)
    return {moment: max(0.0, high[moment] - low[moment]) * factor for moment in low.keys() & high.keys()}


def split(
    past: Past,
    rules: Sequence[MetricRule],
    *,
    start: datetime,
    shares: Sequence[float],
    rng: random.Random,
    harm: Harm | None = None,
) -> Evidence | None:
    """
    Divide the requests from *start* on between an old and a new fleet; None without requests to both.

    :param shares: for each minute, the new fleet's share of the requests, 0 to 1.
    """
    minutes = [start + number * _MINUTE for number in range(len(shares))]
    new: dict[datetime, float] = {}
    old: dict[datetime, float] = {}
    for moment, share in zip(minutes, shares, strict=True):
        count = round(past.requests.get(moment, 0))
        part = _binomial(count, share, rng)
        # As in an update, only minutes in which both fleets have requests are compared.
        if 0 < part < count:
            new[moment], old[moment] = part, count - part
    if not new:
        return None
    read = with_denominators(rules)
    metrics = {rule: _divide(past, rule, new, old, rng=rng, harm=harm) for rule in read}
    counted = {rule: _count_slow(past, rule, new, old, rng=rng, harm=harm) for rule in rules}
    return Evidence(
        requests=Series(control=old, candidate=new),
        metrics=metrics,
        slow={rule: one for rule, one in counted.items() if one is not None},
        expected_share=sum(new.values()) / sum(old.values()),
        paired=False,
        history=History.before(start, past.requests, {rule: past.metrics.get(rule, {}) for rule in read}),
    )


def _divide(
    past: Past,
    rule: MetricRule,
    new: Points,
    old: Points,
    *,
    rng: random.Random,
    harm: Harm | None,
) -> Series:
    values, spreads = past.metrics.get(rule, {}), past.spreads.get(rule, {})
    extra = harm.size if harm is not None and harm.rule == rule else 0.0
    control: dict[datetime, float] = {}
    candidate: dict[datetime, float] = {}
    for moment in new.keys() & values.keys():
        sizes, value = (old[moment], new[moment]), values[moment]
        if rule.counted:
            pair = _divided_events(rule, value, *sizes, extra=extra, rng=rng)
        elif rule.stat == "Sum":
            part = _binomial(round(value), sizes[1] / sum(sizes), rng)
            pair = value - part, part * _worse(rule, extra)
        else:
            pair = _divided_mean(value, spreads.get(moment, 0.0), *sizes, rng)
            pair = pair[0], pair[1] * _worse(rule, extra)
        control[moment], candidate[moment] = pair
    return Series(control=control, candidate=candidate)


def _count_slow(
    past: Past, rule: MetricRule, new: Points, old: Points, *, rng: random.Random, harm: Harm | None
) -> SlowRequests | None:
    """
    Draw the slow requests of both fleets, for a rule that the judge judges by their number.

    Beyond the percentile, the requests are taken as exponentially distributed.
    """
    values, spreads = past.metrics.get(rule, {}), past.spreads.get(rule, {})
    if not is_counted_by_limit(rule) or not values:
        return None
    start = min(new)
    history = History.before(start, past.requests, {rule: values}).metrics.get(rule, {})
    limits = Limits.of(rule, history, {at: value for at, value in values.items() if at >= start})
    if limits is None or rule.quantile is None:
        return None
    beyond = 1 - rule.quantile
    # From the spread back to the distance of the two percentiles, which is ln 3 of the exponential law.
    scale = sqrt(beyond / rule.quantile) / log(3)
    slower = _worse(rule, harm.size if harm is not None and harm.rule == rule else 0.0)

    def count(requests: Points, limit: float) -> dict[datetime, float]:
        found = {}
        for at in requests.keys() & values.keys() & spreads.keys():
            excess, typical = limit - values[at], max(spreads[at] * scale, _LEAST_SCALE * values[at])
            chance = min(1.0, beyond * exp(min(_LARGEST_EXPONENT, -excess / typical)))
            found[at] = float(_binomial(round(requests[at]), chance, rng))
        return found

    # A fleet that is slower by a tenth has as many requests beyond a limit as before beyond 10/11 of it.
    return limits.slow_requests(count(old, limits.control), count(new, limits.candidate / slower))


def _divided_events(
    rule: MetricRule, value: float, old: float, new: float, *, extra: float, rng: random.Random
) -> tuple[float, float]:
    is_rate = rule.stat != "Sum"
    events = round(value * (old + new) if is_rate else value)
    part = _binomial(events, new / (old + new), rng)
    # Only requests that were answered well can fail in addition.
    more = _binomial(max(0, round(new) - part), extra, rng) if extra else 0
    counts = float(events - part), float(part + more)
    return (counts[0] / old, counts[1] / new) if is_rate else counts


def _divided_mean(
    value: float, spread: float, old: float, new: float, rng: random.Random
) -> tuple[float, float]:
    """Divide a mean so that both parts together have the same mean again."""
    difference = rng.gauss(0.0, 1.0) * spread * sqrt(1 / old + 1 / new)
    total = old + new
    return value - difference * new / total, max(0.0, value + difference * old / total)


def _worse(rule: MetricRule, extra: float) -> float:
    return 1 / (1 + extra) if rule.direction is Direction.DECREASE else 1 + extra


def _beside(quantile: float) -> tuple[float, float]:
    near = min(_NEAR, quantile / 2, (1 - quantile) / 2)
    return quantile - near, quantile + near


def _binomial(trials: int, chance: float, rng: random.Random) -> int:
    """Draw how many of *trials* succeed: exactly if they are few, else by the nearest simple law."""
    if trials <= 0 or chance <= 0:
        return 0
    if chance >= 1:
        return trials
    if trials <= _FEW:
        return sum(rng.random() < chance for _ in range(trials))
    mean = trials * chance
    if mean < _FEW / 2:
        return min(trials, _poisson(mean, rng))
    return min(trials, max(0, round(rng.gauss(mean, sqrt(mean * (1 - chance))))))


def _poisson(mean: float, rng: random.Random) -> int:
    limit, product, count = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
