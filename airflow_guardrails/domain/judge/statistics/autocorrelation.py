"""
How much minutes resemble their neighbours, and what is left of them without that.

A slow minute mostly follows a slow one, so an hour of minutes tells less than sixty independent ones. How
much less is learned from production's past, which is longer than a trial, or has to be found out from the
trial itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from statistics import median

# Fewer minutes of the past tell no more than a trial does.
LEAST_PAST = 60

MOST = 0.95

# Standard deviations by which the likeness of a short series is taken for larger than it was found.
CAUTION = 1.25

# Hours are taken by themselves, so that what changes over a day is not taken for likeness.
_HOUR, _BLOCK = 60, 10

_HALVINGS = 20

# Hours of which one may be left out.
_HOURS_WITH_ONE = 3

# A trial contradicts the past if its likeness lies so many standard deviations above.
_CONTRADICTS = 2.0


def autocorrelation(rest: Sequence[float], past: Sequence[float]) -> float:
    """
    Say how much the minutes of a trial resemble each other, rather more than less.

    The longer of the two tells it, and a trial that contradicts the past is believed.

    :param rest: what the trial has beside the difference that is looked for.
    :param past: what production did before.
    """
    if len(past) < LEAST_PAST:
        return upper_autocorrelation(rest)
    if len(rest) >= len(past):
        return long_run_autocorrelation(rest)
    before, found = long_run_autocorrelation(past), _found(rest)
    contradicted = found - _CONTRADICTS * _deviation(found, len(rest)) > before
    return upper_autocorrelation(rest) if contradicted else before


def upper_autocorrelation(values: Sequence[float]) -> float:
    """
    Estimate how much each value resembles the one before: the autocorrelation at lag 1, from 0 to 0.95.

    The estimate of a short series is too low by (1 + 3 rho) / n (Kendall, "Note on bias in the estimation of
    autocorrelation", Biometrika 41, 1954) and off by sqrt((1 - rho^2) / n). That and :data:`CAUTION` times
    this are put on top: by that the benchmark's autoregressive series raise no more false alarms than alpha.
    """
    if len(values) < 3:  # noqa: PLR2004 - a lag of one needs three
        return MOST
    found = _found(values)
    return _within(found + CAUTION * _deviation(found, len(values)))


def long_run_autocorrelation(values: Sequence[float]) -> float:
    """
    Estimate it from at least :data:`LEAST_PAST` minutes, from 0 to 0.95.

    Likeness that hides under noise, so that lag 1 shows little of it, shows in how much blocks of ten minutes
    vary; the larger of the two counts, with half of what it may be off by on top.
    """
    hours = [values[end - _HOUR : end] for end in range(len(values), _HOUR - 1, -_HOUR)]
    rest = [_without_mean(hour) for hour in hours]
    count = _HOUR * len(hours)
    spread = sum(value * value for hour in rest for value in hour)
    if _is_rounding(spread, values):
        return 0.0
    found = sum(one * other for hour in rest for one, other in pairwise(hour)) / spread
    found = min(found + (1 + 3 * max(found, 0.0)) / _HOUR, MOST)
    blocks = [sum(hour[first : first + _BLOCK]) for hour in rest for first in range(0, _HOUR, _BLOCK)]
    # A mean was taken from each hour, which both lose by.
    per_block = sum(block * block for block in blocks) / (len(blocks) - len(hours))
    times = per_block / (_BLOCK * spread / (count - len(hours)))
    near = found + _deviation(found, count)
    # A variance of n values is off by the root of 2 / n of itself.
    off = sqrt(2 / (len(blocks) - len(hours)))
    return _within(near if _that_varies(times) < near else _that_varies(times * (1 + off / 2)))


def unquiet_hour(values: Sequence[float]) -> tuple[int, int]:
    """
    Find the hour in which the past was least like itself, from its first minute to behind its last.

    A rollout that was undone, or another incident, is not how production is; it shows in one hour of several,
    and less than three hours have none.
    """
    if len(values) < _HOURS_WITH_ONE * _HOUR:
        return 0, 0
    usual = median(values)
    squares = [(value - usual) ** 2 for value in values]
    firsts = range(0, len(values) - _HOUR + 1, _BLOCK)
    first = max(firsts, key=lambda first: sum(squares[first : first + _HOUR]))
    return first, first + _HOUR


def whitened(values: Sequence[float], autocorrelation: float) -> list[float]:
    """
    Take from each value what the one before foretells, which leaves an autoregressive series independent.

    The first one is made as large as the rest (Prais and Winsten, "Trend estimators and serial correlation",
    Cowles Commission discussion paper 383, 1954).
    """
    first = [values[0] * sqrt(1 - autocorrelation * autocorrelation)] if values else []
    return first + [value - autocorrelation * before for before, value in pairwise(values)]


def variation(autocorrelation: float, length: int) -> float:
    """
    Say how much more a block of *length* minutes varies than as many independent ones would make it.

    Of an autoregressive series: 1 + 2 sum (1 - k / length) rho^k, over k from 1 to below *length*.
    """
    return 1 + 2 * sum((1 - lag / length) * autocorrelation**lag for lag in range(1, length))


def _that_varies(times: float) -> float:
    """Find the likeness by which blocks vary so many times as much."""
    low, high = 0.0, MOST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if variation(middle, _BLOCK) < times else (low, middle)
    return low


def _found(values: Sequence[float]) -> float:
    count = len(values)
    rest = _without_mean(values)
    spread = sum(value * value for value in rest)
    if _is_rounding(spread, values):
        return -1.0
    found = sum(one * other for one, other in pairwise(rest)) / spread
    return min(found + (1 + 3 * max(found, 0.0)) / count, MOST)


def _deviation(found: float, count: int) -> float:
    return sqrt(max(1 - found * found, 0.0) / count)


def _within(autocorrelation: float) -> float:
    return min(max(autocorrelation, 0.0), MOST)


def _without_mean(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]


def _is_rounding(spread: float, values: Sequence[float]) -> bool:
    """Say whether the values are equal: what is left of them is rounding."""
    return spread <= 1e-18 * sum(value * value for value in values)
