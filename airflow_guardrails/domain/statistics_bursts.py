"""
How many events come as one: errors rarely come alone, and a burst of them is one thing that went wrong.

Production's past shows it best. A trial is short for that, and shows bursts only once some have come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

# Bursts last some minutes.
LENGTHS = (1, 2, 5, 10)

# Fewer blocks have no variance worth the name.
_LEAST_BLOCKS = 5

# Minutes in which bursts as long can be seen.
LEAST_MINUTES = _LEAST_BLOCKS * LENGTHS[-1]

# What chance explains, in standard deviations, is no burst.
_DEVIATIONS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """Events and requests of a minute."""

    control: float
    candidate: float
    control_requests: float
    candidate_requests: float


def burst_size(minutes: Sequence[Minute], past: Sequence[tuple[float, float]]) -> float | None:
    """
    Estimate how many events come as one, at least 1.

    It is how often a Poisson count's variance the count's is: of blocks, so that a burst of minutes is one;
    and of successive differences (von Neumann, "Distribution of the ratio of the mean square successive
    difference to the variance", Annals of Mathematical Statistics 12, 1941), so that a rate which changes
    once is none. In a trial it is the variance of the difference: what happens on both sides at once cancels.

    A trial tells it by itself once it is long enough; one that is shorter may show more than the past,
    beyond chance.

    :param past: events and requests of production alone, in the minutes before.
    :return: ``None`` if there are too few minutes of either to tell.
    """
    if len(minutes) >= LEAST_MINUTES:
        return _burst_of_trial(minutes, beyond=0.0)
    if len(past) >= LEAST_MINUTES:
        return max(_burst_of_past(past), _burst_of_trial(minutes, beyond=_DEVIATIONS))
    return None


def _burst_of_past(past: Sequence[tuple[float, float]]) -> float:
    events, requests = sum(many for many, _ in past), sum(served for _, served in past)
    return _burst([many - events / requests * served for many, served in past], events, beyond=_DEVIATIONS)


def _burst_of_trial(minutes: Sequence[Minute], *, beyond: float) -> float:
    share = sum(m.candidate_requests for m in minutes) / sum(m.control_requests for m in minutes)
    events = sum(m.candidate + share * share * m.control for m in minutes)
    return _burst([m.candidate - share * m.control for m in minutes], events, beyond=beyond)


def _burst(rest: Sequence[float], events: float, *, beyond: float) -> float:
    """
    Take the largest of all block lengths that is more than *beyond* standard deviations above 1.

    The variance of n Poisson counts of mean m, estimated by successive differences, is off by the root of
    (3 + 1 / m) / n.
    """
    largest = 1.0
    for length in LENGTHS:
        blocks = _in_blocks(rest, length)
        if events > 0 and (len(blocks) >= _LEAST_BLOCKS or length == 1):
            found = _variation(blocks) / events
            off = sqrt((3 + len(blocks) / events) / len(blocks))
            largest = max(largest, found if found > 1 + beyond * off else 1.0)
    return largest


def _in_blocks(values: Sequence[float], length: int) -> list[float]:
    """Sum *values* by blocks; what does not fill the last one waits."""
    return [sum(values[first : first + length]) for first in range(0, len(values) - length + 1, length)]


def _variation(values: Sequence[float]) -> float:
    """Half the squares of successive differences, as if the mean had been before and after."""
    mean = sum(values) / len(values)
    return sum((one - other) ** 2 for one, other in pairwise((mean, *values, mean))) / 2
