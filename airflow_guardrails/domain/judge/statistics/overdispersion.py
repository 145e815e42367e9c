"""
How many events come as one: errors rarely come alone, and a burst of them is one thing that went wrong.

Production's past shows it best. A trial is short for that, and shows bursts only once some have come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

# Bursts last some minutes.
LENGTHS = (1, 2, 5, 10, 20)

# Fewer blocks have no variance worth the name.
_LEAST_BLOCKS = 5

# Minutes in which most bursts can be seen.
LEAST_MINUTES = 50

# Fewer do not even show how large bursts may be.
FEWEST_MINUTES = 10

_FEWEST_BLOCKS = 2

# What chance explains, in standard deviations, is no burst.
_DEVIATIONS = 2.0

# Where nobody knows, bursts may be so many standard deviations larger than they look. By that the benchmark's
# bursts of four minutes raise no more false alarms than alpha.
_CAUTION = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """Events and requests of a minute."""

    control: float
    candidate: float
    control_requests: float
    candidate_requests: float


def is_known(minutes: int, past: int) -> bool:
    """Say whether so many *minutes* of a trial, or of production's *past*, show how events come."""
    return max(minutes, past) >= LEAST_MINUTES


def dispersion(minutes: Sequence[Minute], past: Sequence[tuple[float, float]]) -> float:
    """
    Estimate how many events come as one, at least 1.

    It is how often a Poisson count's variance the count's is: of blocks, so that a burst of minutes is one;
    and of successive differences (von Neumann, "Distribution of the ratio of the mean square successive
    difference to the variance", Annals of Mathematical Statistics 12, 1941), so that a rate which changes
    once is none. In a trial it is the variance of the difference: what happens on both sides at once cancels.

    The past tells it, as far as the trial does not contradict it beyond chance: by larger bursts, or, once it
    is long enough, by smaller ones. Without a past a trial tells it that is long enough; where neither is
    (:func:`is_known`), it is the most that it may be.

    :param past: events and requests of production alone, in the minutes before.
    :return: ``inf`` below :data:`FEWEST_MINUTES` of a trial and no past.
    """
    trial = _of_trial(minutes)
    if len(past) >= LEAST_MINUTES:
        most = _burst_at_most(*trial) if len(minutes) >= LEAST_MINUTES else inf
        return max(min(_burst(*_of_past(past), beyond=_DEVIATIONS), most), _burst(*trial, beyond=_DEVIATIONS))
    if len(minutes) >= LEAST_MINUTES:
        return _burst(*trial, beyond=0.0)
    return _burst_at_most(*trial) if len(minutes) >= FEWEST_MINUTES else inf


def _of_past(past: Sequence[tuple[float, float]]) -> tuple[list[float], float]:
    """Give how far each minute's count is from what its requests foretell, and the sum of all counts."""
    events, requests = sum(many for many, _ in past), sum(served for _, served in past)
    return [many - events / requests * served for many, served in past], events


def _of_trial(minutes: Sequence[Minute]) -> tuple[list[float], float]:
    share = sum(m.candidate_requests for m in minutes) / sum(m.control_requests for m in minutes)
    events = sum(m.candidate + share * share * m.control for m in minutes)
    return [m.candidate - share * m.control for m in minutes], events


def _burst(rest: Sequence[float], events: float, *, beyond: float) -> float:
    """Take the largest of all block lengths that is more than *beyond* standard deviations above 1."""
    largest = 1.0
    for length, blocks, off in _blocks(rest, events):
        if len(blocks) >= _LEAST_BLOCKS or length == 1:
            found = _variation(blocks) / events
            largest = max(largest, found if found > 1 + beyond * off else 1.0)
    return largest


def _burst_at_most(rest: Sequence[float], events: float) -> float:
    """Put on top of what each block length shows what it may be off by, and take the largest."""
    return max(
        (
            max(_variation(blocks) / events, 1.0) * (1 + _CAUTION * off)
            for _, blocks, off in _blocks(rest, events)
            if len(blocks) >= _FEWEST_BLOCKS
        ),
        default=1.0,
    )


def _blocks(rest: Sequence[float], events: float) -> Iterator[tuple[int, list[float], float]]:
    """
    Sum *rest* by blocks of each length, and say by which part of itself their variance may be off.

    That of n Poisson counts of mean m, estimated by successive differences, is off by the root of
    (3 + 1 / m) / n.
    """
    for length in LENGTHS:
        blocks = _in_blocks(rest, length)
        if events > 0 and blocks:
            yield length, blocks, sqrt((3 + len(blocks) / events) / len(blocks))


def _in_blocks(values: Sequence[float], length: int) -> list[float]:
    """Sum *values* by blocks; what does not fill the last one waits."""
    return [sum(values[first : first + length]) for first in range(0, len(values) - length + 1, length)]


def _variation(values: Sequence[float]) -> float:
    """Half the squares of successive differences, as if the mean had been before and after."""
    mean = sum(values) / len(values)
    return sum((one - other) ** 2 for one, other in pairwise((mean, *values, mean))) / 2
