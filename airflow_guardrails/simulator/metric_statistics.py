"""The statistics CloudWatch offers, computed from raw values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_PERCENTILE = re.compile(r"p(100|\d{1,2}(\.\d{1,10})?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticSet:
    """Values summed up before they were published; what lies between minimum and maximum is not known."""

    sample_count: float
    sum: float
    minimum: float
    maximum: float

    @classmethod
    def repeated(cls, value: float, count: float) -> StatisticSet:
        return cls(sample_count=count, sum=value * count, minimum=value, maximum=value)

    @property
    def known(self) -> bool:
        return self.sample_count == 1 or self.minimum == self.maximum


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured in one period: never empty."""

    values: Sequence[float]
    sets: Sequence[StatisticSet] = ()

    @property
    def count(self) -> float:
        return len(self.values) + sum(s.sample_count for s in self.sets)

    @property
    def sum(self) -> float:
        return sum(self.values) + sum(s.sum for s in self.sets)

    @property
    def average(self) -> float:
        return self.sum / self.count

    @property
    def minimum(self) -> float:
        return min([*self.values, *(s.minimum for s in self.sets)])

    @property
    def maximum(self) -> float:
        return max([*self.values, *(s.maximum for s in self.sets)])

    def percentile(self, percent: float) -> float | None:
        """
        Return the smallest value that at least *percent* (0 to 100) of all values do not exceed.

        None if the period holds a set whose values are not known, as in AWS.
        """
        if not all(s.known for s in self.sets):
            return None
        if not self.sets:
            rank = math.ceil(len(self.values) * percent / 100)
            return sorted(self.values)[max(rank, 1) - 1]
        return self._weighted_percentile(percent)

    def _weighted_percentile(self, percent: float) -> float:
        single, repeated = ((v, 1.0) for v in self.values), ((s.minimum, s.sample_count) for s in self.sets)
        weighted = sorted([*single, *repeated])
        rank, passed = self.count * percent / 100, 0.0
        for value, weight in weighted:
            passed += weight
            if passed >= rank:
                return value
        return weighted[-1][0]


_SIMPLE: dict[str, Callable[[Sample], float]] = {
    "SampleCount": lambda sample: sample.count,
    "Sum": lambda sample: sample.sum,
    "Average": lambda sample: sample.average,
    "Minimum": lambda sample: sample.minimum,
    "Maximum": lambda sample: sample.maximum,
}
SIMPLE_STATISTICS = tuple(_SIMPLE)


def is_percentile(name: str) -> bool:
    """Whether *name* is p0 to p100, with up to ten decimals (tm, wm, tc, ts and the like are not offered)."""
    return _PERCENTILE.fullmatch(name) is not None


def is_statistic(name: str) -> bool:
    return name in _SIMPLE or is_percentile(name)


def statistic(sample: Sample, name: str) -> float | None:
    """Return the statistic called *name*, or None where the data cannot tell it."""
    if name in _SIMPLE:
        return _SIMPLE[name](sample)
    return sample.percentile(float(name[1:]))
