"""
Values of old minutes, compactly: the different values of a minute and how often each occurs.

CloudWatch keeps data by the second for three hours, and by the minute for 15 days. So does this.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from airflow_guardrails.simulator.cloudwatch.statistics import StatisticSet

MINUTE = 60
RAW_SECONDS = 3 * 3600
# Up to so many different values in a minute are kept as they are.
_EXACT_VALUES = 24
# Otherwise values are merged that differ by less than this share.
_BUCKET_WIDTH = 0.03


class CompactTimeline:
    """Minutes in order, each with its different values and their counts; 20 bytes for each value."""

    __slots__ = ("_counts", "_values", "times")

    def __init__(self) -> None:
        self.times = array("q")
        self._values = array("d")
        self._counts = array("L")

    @property
    def items(self) -> CompactTimeline:
        """Itself: slices of it are sets of equal values."""
        return self

    def __getitem__(self, part: slice) -> list[StatisticSet]:
        pairs = zip(self._values[part], self._counts[part], strict=True)
        return [StatisticSet.repeated(value, count) for value, count in pairs]

    def __len__(self) -> int:
        return len(self.times)

    def add(self, times: Sequence[int], values: Sequence[float]) -> None:
        """Add the values of these seconds, in order of time."""
        by_minute = groupby(zip(times, values, strict=True), key=lambda one: one[0] - one[0] % MINUTE)
        for minute, some in by_minute:
            merged = merge([value for _, value in some])
            # Usually the end; a client may have published for a minute that is compact already.
            place = bisect_right(self.times, minute)
            self.times[place:place] = array("q", [minute] * len(merged))
            self._values[place:place] = array("d", [value for value, _ in merged])
            self._counts[place:place] = array("L", [count for _, count in merged])

    def forget(self, before: int) -> None:
        """Drop the minutes before a second."""
        place = bisect_left(self.times, before)
        for line in (self.times, self._values, self._counts):
            del line[:place]


def merge(values: Sequence[float]) -> list[tuple[float, int]]:
    """
    Return different values and how often each occurs, ascending.

    Count, sum, minimum and maximum of many different values stay as they are, and every other value changes
    by less than 3 %.
    """
    counts = Counter(values)
    if len(counts) <= _EXACT_VALUES:
        return sorted(counts.items())
    least, most = min(counts), max(counts)
    buckets: dict[tuple[bool, int], list[float]] = {}
    for value in values:
        if value not in {least, most}:
            buckets.setdefault(_bucket(value), []).append(value)
    between = [(math.fsum(some) / len(some), len(some)) for some in buckets.values()]
    return sorted([(least, counts[least]), *between, (most, counts[most])])


def _bucket(value: float) -> tuple[bool, int]:
    # Zero has a bucket of its own, far below every other.
    return value < 0, math.floor(math.log(abs(value)) / _BUCKET_WIDTH) if value else -(10**9)
