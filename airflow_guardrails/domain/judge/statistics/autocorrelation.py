"""
Autocorrelation: how much each minute resembles the one before, and how to remove it.

A slow minute is mostly followed by another slow one, so 60 minutes carry less information than 60 independent
values. How much less is estimated from production's history, which is longer than a trial, or else from the
trial itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from statistics import median

# A shorter history is no better than the trial itself.
MIN_HISTORY_MINUTES = 60

_MAX_AUTOCORRELATION = 0.95

# Standard errors that are added to the estimate from a short series.
_SAFETY_MARGIN = 1.25

# Each hour has its own mean, so that a daily trend is not taken for autocorrelation.
_HOUR, _BLOCK = 60, 10

_BISECTION_STEPS = 20

# An hour is left out only where at least two others remain.
_MIN_HOURS_WITH_OUTLIER = 3

# The trial contradicts the history if its estimate is so many standard errors higher.
_CONTRADICTION = 2.0


def autocorrelation(residuals: Sequence[float], history: Sequence[float]) -> float:
    """
    Estimate the lag-1 autocorrelation of the minutes, from 0 to 0.95; rather too high than too low.

    The longer series is used. If the trial shows a much higher autocorrelation than the history, the trial is
    used.

    :param residuals: the minutes of the trial without the difference between the sides that is tested.
    :param history: production's minutes before the trial; may be empty.
    """
    if len(history) < MIN_HISTORY_MINUTES:
        return upper_autocorrelation(residuals)
    if len(residuals) >= len(history):
        return long_run_autocorrelation(residuals)
    before, found = long_run_autocorrelation(history), _lag_1(residuals)
    contradicted = found - _CONTRADICTION * _standard_error(found, len(residuals)) > before
    return upper_autocorrelation(residuals) if contradicted else before


def upper_autocorrelation(values: Sequence[float]) -> float:
    """
    Return a cautious estimate of the lag-1 autocorrelation of a short series, from 0 to 0.95.

    The estimate of a short series is biased by -(1 + 3 rho) / n (Kendall, "Note on bias in the estimation of
    autocorrelation", Biometrika 41, 1954) and has a standard error of sqrt((1 - rho^2) / n). The bias and
    1.25 standard errors are added. With these, the autoregressive series of ``benchmarks/calibrate.py`` raise
    no more false alarms than alpha.
    """
    if len(values) < 3:  # noqa: PLR2004 - lag 1 needs three values
        return _MAX_AUTOCORRELATION
    found = _lag_1(values)
    return _clamped(found + _SAFETY_MARGIN * _standard_error(found, len(values)))


def long_run_autocorrelation(values: Sequence[float]) -> float:
    """
    Estimate the autocorrelation of at least :data:`MIN_HISTORY_MINUTES` minutes, from 0 to 0.95.

    Noise can hide autocorrelation from the lag-1 estimate. It still shows in the variance of block sums of
    ten minutes. The result is the larger of the two estimates, with a margin for its standard error.
    """
    hours = [values[end - _HOUR : end] for end in range(len(values), _HOUR - 1, -_HOUR)]
    residuals = [_without_mean(hour) for hour in hours]
    count = _HOUR * len(hours)
    squares = sum(value * value for hour in residuals for value in hour)
    if _is_rounding(squares, values):
        return 0.0
    found = sum(one * other for hour in residuals for one, other in pairwise(hour)) / squares
    found = min(found + (1 + 3 * max(found, 0.0)) / _HOUR, _MAX_AUTOCORRELATION)
    blocks = [sum(hour[first : first + _BLOCK]) for hour in residuals for first in range(0, _HOUR, _BLOCK)]
    # Each hour's mean was subtracted: that is one degree of freedom less for each hour.
    block_variance = sum(block * block for block in blocks) / (len(blocks) - len(hours))
    inflation = block_variance / (_BLOCK * squares / (count - len(hours)))
    upper = found + _standard_error(found, count)
    # The relative standard error of a variance of n values is sqrt(2 / n).
    error = sqrt(2 / (len(blocks) - len(hours)))
    by_blocks = _autocorrelation_of(inflation)
    return _clamped(upper if by_blocks < upper else _autocorrelation_of(inflation * (1 + error / 2)))


def outlier_hour(values: Sequence[float]) -> tuple[int, int]:
    """
    Find the hour of the history that differs most from the rest: its first index, and the one after its last.

    An incident, such as a rollout that was rolled back, is not how production usually behaves. One hour is
    left out for that. A history of less than three hours has none: (0, 0).
    """
    if len(values) < _MIN_HOURS_WITH_OUTLIER * _HOUR:
        return 0, 0
    middle = median(values)
    squares = [(value - middle) ** 2 for value in values]
    firsts = range(0, len(values) - _HOUR + 1, _BLOCK)
    first = max(firsts, key=lambda first: sum(squares[first : first + _HOUR]))
    return first, first + _HOUR


def whitened(values: Sequence[float], autocorrelation: float) -> list[float]:
    """
    Remove from each value what the one before predicts; an autoregressive series becomes independent.

    The first value is scaled to the same variance (Prais and Winsten, "Trend estimators and serial
    correlation", Cowles Commission discussion paper 383, 1954).
    """
    first = [values[0] * sqrt(1 - autocorrelation * autocorrelation)] if values else []
    return first + [value - autocorrelation * before for before, value in pairwise(values)]


def variance_inflation(autocorrelation: float, length: int) -> float:
    """
    Return the design effect of a block: its sum's variance, divided by that of independent minutes.

    For an AR(1) series it is 1 + 2 sum (1 - k / length) rho^k, over k from 1 to length - 1.

    :param length: minutes of a block.
    """
    return 1 + 2 * sum((1 - lag / length) * autocorrelation**lag for lag in range(1, length))


def _autocorrelation_of(inflation: float) -> float:
    """Invert :func:`variance_inflation` for blocks of ten minutes, by bisection."""
    low, high = 0.0, _MAX_AUTOCORRELATION
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if variance_inflation(middle, _BLOCK) < inflation else (low, middle)
    return low


def _lag_1(values: Sequence[float]) -> float:
    """Estimate the lag-1 autocorrelation, with Kendall's correction of the bias; -1 for equal values."""
    count = len(values)
    residuals = _without_mean(values)
    squares = sum(value * value for value in residuals)
    if _is_rounding(squares, values):
        return -1.0
    found = sum(one * other for one, other in pairwise(residuals)) / squares
    return min(found + (1 + 3 * max(found, 0.0)) / count, _MAX_AUTOCORRELATION)


def _standard_error(found: float, count: int) -> float:
    return sqrt(max(1 - found * found, 0.0) / count)


def _clamped(autocorrelation: float) -> float:
    return min(max(autocorrelation, 0.0), _MAX_AUTOCORRELATION)


def _without_mean(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]


def _is_rounding(squares: float, values: Sequence[float]) -> bool:
    """Say whether the values are equal, so that the sum of squares is only rounding error."""
    return squares <= 1e-18 * sum(value * value for value in values)
