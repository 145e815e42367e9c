"""Statistics over raw values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airflow_guardrails.simulator.cloudwatch.extended import Weighted, parse

# Second -> value.
Points = Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticSet:
    """Values that were published as a summary. Values between minimum and maximum are not known."""

    sample_count: float
    sum: float
    minimum: float
    maximum: float

    @classmethod
    def repeated(cls, value: float, count: float) -> StatisticSet:
        """Return a set of *count* equal values."""
        return cls(sample_count=count, sum=value * count, minimum=value, maximum=value)

    @property
    def known(self) -> bool:
        """Whether all values in the set are known."""
        # User guide: Min and Max are equal, and Sum is Min multiplied by SampleCount. The client's sum may be
        # rounded.
        return self.minimum == self.maximum and math.isclose(self.sum, self.minimum * self.sample_count)


@dataclass(frozen=True, slots=True)
class Sample:
    """The data of one period. It is never empty."""

    values: Sequence[float]
    sets: Sequence[StatisticSet] = ()

    @property
    def count(self) -> float:
        """Number of values, CloudWatch's SampleCount."""
        return len(self.values) + sum(s.sample_count for s in self.sets)

    @property
    def sum(self) -> float:
        """Sum of all values."""
        return sum(self.values) + sum(s.sum for s in self.sets)

    @property
    def average(self) -> float:
        """Mean of all values."""
        return self.sum / self.count

    @property
    def minimum(self) -> float:
        """Smallest value."""
        return min([*self.values, *(s.minimum for s in self.sets)])

    @property
    def maximum(self) -> float:
        """Largest value."""
        return max([*self.values, *(s.maximum for s in self.sets)])

    def weighted(self) -> Weighted | None:
        """
        Return the different values and how often each occurs, ascending.

        None if not all values are known, or if one is negative.
        """
        # User guide, "Requirements to use percentiles": negative values of a metric rule out every statistic
        # that needs all values. It does not say for how long; here, for the period that has one.
        if not all(s.known for s in self.sets) or self.minimum < 0:
            return None
        counts: dict[float, float] = dict(Counter(self.values))
        for each in self.sets:
            counts[each.minimum] = counts.get(each.minimum, 0) + each.sample_count
        return sorted(counts.items())


_SIMPLE: dict[str, Callable[[Sample], float]] = {
    "SampleCount": lambda sample: sample.count,
    "Sum": lambda sample: sample.sum,
    "Average": lambda sample: sample.average,
    "Minimum": lambda sample: sample.minimum,
    "Maximum": lambda sample: sample.maximum,
}
SIMPLE_STATISTICS = tuple(_SIMPLE)


def is_percentile(name: str) -> bool:
    """Whether *name* is p0 to p100, with up to ten decimals."""
    parsed = parse(name)
    return parsed is not None and parsed.kind == "p"


def is_extended(name: str) -> bool:
    """Whether *name* is an extended statistic: a percentile, or for example tm90, TC(300:), IQM."""
    return parse(name) is not None


def is_statistic(name: str) -> bool:
    """Whether *name* is a statistic of CloudWatch."""
    return name in _SIMPLE or is_extended(name)


def statistic(sample: Sample, name: str) -> float | None:
    """Return the statistic *name* of a period, or None if there is none or the data does not determine it."""
    if name in _SIMPLE:
        return _SIMPLE[name](sample)
    parsed, values = parse(name), sample.weighted()
    return None if parsed is None or values is None else parsed.of(values)
