"""
Overdispersion: errors often come in bursts, and a burst counts as one event.

The index of dispersion (variance divided by mean of a count) is 1 for independent events. Production's
history shows it best. A trial is short, and shows it only after some bursts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isnan, sqrt

# Minutes of a block: a burst may last some minutes.
BLOCK_LENGTHS = (1, 2, 5, 10, 20)

# The variance of fewer blocks is too uncertain for an estimate.
_MIN_BLOCKS = 5

# Minutes that are needed for an estimate.
MIN_MINUTES = 50

# Minutes that are needed for an upper bound.
MIN_MINUTES_FOR_BOUND = 10

_MIN_BLOCKS_FOR_BOUND = 2

# Minutes after which a difference between the sides is no burst: if the history shows how events come, and if
# only the trial does.
_LASTING, _LASTING_WITHOUT_HISTORY = 10, 15

# Standard errors above 1 that chance explains.
_CHANCE = 2.0

# Standard errors that the upper bound adds. With these, bursts of four minutes in the benchmark raise no more
# false alarms than alpha.
_CAUTION = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteCounts:
    """Events (*control*, *candidate*) and requests of both sides in one minute."""

    control: float
    candidate: float
    control_requests: float
    candidate_requests: float


def is_estimable(minutes: int, history: int) -> bool:
    """Say whether *minutes* of a trial, or of production's *history*, are enough for an estimate."""
    return max(minutes, history) >= MIN_MINUTES


def dispersion(minutes: Sequence[MinuteCounts], history: Sequence[tuple[float, float]]) -> float:
    """
    Estimate the index of dispersion, at least 1: how many events come together.

    It is the variance of the counts of blocks, divided by that of a Poisson count. Blocks let a burst of some
    minutes count as one. The variance is estimated by successive differences (von Neumann, "Distribution of
    the ratio of the mean square successive difference to the variance", Annals of Mathematical Statistics 12,
    1941), so that a rate which changes once is no burst. For a trial it is the variance of the difference
    between the sides: what happens on both sides at once cancels. If the history shows how events come, that
    difference may change once: harm that begins during the trial is no burst.

    The history is used unless the trial contradicts it: by larger bursts or, after enough minutes, by smaller
    ones. Without a history, a trial that is long enough is used. If neither is (:func:`is_estimable`), the
    result is an upper bound.

    :param history: events and requests of production in each minute before the trial.
    :return: ``inf`` for fewer than :data:`MIN_MINUTES_FOR_BOUND` minutes of a trial without a history.
    """
    trial = _trial_residuals(minutes)
    if len(history) >= MIN_MINUTES:
        size = history_dispersion(history)
        # No bound is below 1, so it need not be computed if the history shows no bursts.
        if size > 1 and len(minutes) >= MIN_MINUTES:
            size = min(size, _upper_bound(trial))
        return max(size, _estimate(trial, tolerance=_CHANCE, may_change=True))
    # Without a history, harm that began ten minutes ago looks the same as one long burst.
    if len(minutes) >= MIN_MINUTES:
        return _estimate(trial, tolerance=0.0)
    return _upper_bound(trial) if len(minutes) >= MIN_MINUTES_FOR_BOUND else inf


def history_dispersion(history: Sequence[tuple[float, float]]) -> float:
    """Estimate the index of dispersion, at least 1, from events and requests of production in each minute."""
    return _estimate(_history_residuals(history), tolerance=_CHANCE)


def split_dispersion(minutes: Sequence[MinuteCounts]) -> float:
    """
    Estimate the index of dispersion, at least 1, from a short trial alone.

    It is the largest index of all block lengths, plus one standard error. That of blocks of more than one
    minute counts if it is more than one standard error above 1. The difference between the sides may change
    once. This is calibrated: :func:`dispersion` is more cautious, and needs more minutes or a history.

    :return: ``inf`` for fewer than :data:`MIN_MINUTES_FOR_BOUND` minutes.
    """
    if len(minutes) < MIN_MINUTES_FOR_BOUND:
        return inf
    residuals, largest = _trial_residuals(minutes, lasting=_LASTING_WITHOUT_HISTORY), 1.0
    for length, count, error in _blocks(residuals):
        index = min(
            _index(values, residuals.variance, length) for values in (residuals.values, residuals.changed)
        )
        if isnan(index):
            return inf
        if length == 1 or (count >= _MIN_BLOCKS_FOR_BOUND and index > 1 + error):
            largest = max(largest, max(index, 1.0) * (1 + error))
    return largest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Residuals:
    """
    What each minute has more or less than expected, and what that varies by if events are independent.

    :param values: one for each minute.
    :param changed: the same if the difference between the sides changes once; empty: that is not asked.
    :param variance: sum over all minutes of their variances under independence.
    :param events: the number of Poisson events that would have the same kurtosis.
    """

    values: list[float]
    changed: list[float]
    variance: float
    events: float


def _history_residuals(history: Sequence[tuple[float, float]]) -> _Residuals:
    """Return each minute's events minus those expected from its requests."""
    events, requests = sum(many for many, _ in history), sum(served for _, served in history)
    values = [many - events / requests * served for many, served in history]
    return _Residuals(values=values, changed=[], variance=events, events=events)


def _trial_residuals(minutes: Sequence[MinuteCounts], *, lasting: int = _LASTING) -> _Residuals:
    """
    Return the candidate's events minus its share of each minute's events, minute by minute.

    Each minute has its own share p of the requests. The candidate has c events and production b, so the
    residual is c - p (c + b) = (1 - p) c - p b. Its variance is estimated by (1 - p)^2 c + p^2 b, which has
    the right expectation for independent events at any rates of the two sides. A constant difference d of
    the rates adds p (1 - p) d for each request, which is subtracted: shares that change are no bursts.

    :param lasting: minutes that a difference must last, before and after it changes.
    """
    control, candidate = [m.control_requests for m in minutes], [m.candidate_requests for m in minutes]
    both = [x + y for x, y in zip(control, candidate, strict=True)]
    rows = [(y / n, x / n, m) for x, y, n, m in zip(control, candidate, both, minutes, strict=True)]
    raw = [rest * m.candidate - share * m.control for share, rest, m in rows]
    # What a difference of 1 adds in each minute.
    reach = [rest * m.candidate_requests for _, rest, m in rows]
    variance = sum(rest**2 * m.candidate + share**2 * m.control for share, rest, m in rows)
    fourth = sum(rest**4 * m.candidate + share**4 * m.control for share, rest, m in rows)
    change = _change(raw, reach, lasting)
    return _Residuals(
        values=_centred(raw, reach),
        changed=[*_centred(raw[:change], reach[:change]), *_centred(raw[change:], reach[change:])],
        variance=variance,
        events=variance * variance / fourth if fourth > 0 else 0.0,
    )


def _centred(values: Sequence[float], reach: Sequence[float]) -> list[float]:
    """Subtract the difference that the *values* have in common."""
    whole = sum(reach)
    difference = sum(values) / whole if whole > 0 else 0.0
    return [value - difference * each for value, each in zip(values, reach, strict=True)]


def _change(values: Sequence[float], reach: Sequence[float], lasting: int) -> int:
    """
    Return the minute in which a lasting change of the difference most likely begins; 0 if there is none.

    It is where the sum of squares between the times before and after is largest (least squares). Less than
    *lasting* minutes may be a burst.
    """
    most, change = 0.0, 0
    all_values, all_reach = sum(values), sum(reach)
    value = served = 0.0
    for minute, (one, each) in enumerate(zip(values, reach, strict=True), 1):
        value, served = value + one, served + each
        rest = all_reach - served
        if lasting <= minute <= len(values) - lasting and served > 0 and rest > 0:
            step = value / served - (all_values - value) / rest
            between = step * step * served * rest
            if between > most:
                most, change = between, minute
    return change


def _estimate(residuals: _Residuals, *, tolerance: float, may_change: bool = False) -> float:
    """
    Return the largest index of all block lengths that is more than *tolerance* standard errors above 1.

    :param may_change: whether harm that begins during the trial may explain what varies.
    """
    largest = 1.0
    for length, count, error in _blocks(residuals):
        # Single minutes are always used, or a trial of few minutes would have no estimate at all.
        if count >= _MIN_BLOCKS or length == 1:
            index = _index(residuals.values, residuals.variance, length)
            if may_change:
                index = min(index, _index(residuals.changed, residuals.variance, length))
            if isnan(index):
                return inf
            largest = max(largest, index if index > 1 + tolerance * error else 1.0)
    return largest


def _upper_bound(residuals: _Residuals) -> float:
    """Return the largest index of all block lengths, after the margin for its standard error is added."""
    return max(
        (
            max(_index(residuals.values, residuals.variance, length), 1.0) * (1 + _CAUTION * error)
            for length, count, error in _blocks(residuals)
            if count >= _MIN_BLOCKS_FOR_BOUND
        ),
        default=1.0,
    )


def _blocks(residuals: _Residuals) -> Iterator[tuple[int, int, float]]:
    """
    Yield each block length, the number of blocks, and the relative standard error of their index.

    For n Poisson counts of mean m and an estimate by successive differences it is sqrt((3 + 1 / m) / n).
    """
    for length in BLOCK_LENGTHS:
        count = len(residuals.values) // length
        if residuals.variance > 0 and residuals.events > 0 and count:
            yield length, count, sqrt((3 + count / residuals.events) / count)


def _index(values: Sequence[float], variance: float, length: int) -> float:
    """Return the variance of blocks divided by that of independent events."""
    return _variation(_block_sums(values, length)) / variance


def _block_sums(values: Sequence[float], length: int) -> list[float]:
    """Sum *values* by blocks; an incomplete last block is left out."""
    return [sum(values[first : first + length]) for first in range(0, len(values) - length + 1, length)]


def _variation(values: Sequence[float]) -> float:
    """Return half the squares of successive differences, with the mean as value before and after."""
    mean = sum(values) / len(values)
    return sum((one - other) * (one - other) for one, other in pairwise((mean, *values, mean))) / 2
