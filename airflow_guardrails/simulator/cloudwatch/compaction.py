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
_BUCKET_WIDTH = 0.05


class CompactTimeline:
    """Minutes in order, each with its different values and their counts: 12 bytes a value, 16 a minute."""

    __slots__ = ("_counts", "_ends", "_values", "times")

    def __init__(self) -> None:
        self.times = array("q")
        # Where the values of each minute end.
        self._ends = array("q")
        self._values = array("d")
        self._counts = array("I")

    @property
    def items(self) -> CompactTimeline:
        """Itself: slices of it are sets of equal values."""
        return self

    def __getitem__(self, minutes: slice) -> list[StatisticSet]:
        first, after, _ = minutes.indices(len(self.times))
        part = slice(self._begin(first), self._begin(after))
        pairs = zip(self._values[part], self._counts[part], strict=True)
        return [StatisticSet.repeated(value, count) for value, count in pairs]

    def __len__(self) -> int:
        return len(self._values)

    def add(self, times: Sequence[int], values: Sequence[float]) -> None:
        """Add the values of these seconds, in order of time."""
        by_minute = groupby(zip(times, values, strict=True), key=lambda one: one[0] - one[0] % MINUTE)
        for minute, some in by_minute:
            self._add_minute(minute, merge([value for _, value in some]))

    def forget(self, before: int) -> None:
        """Drop the minutes before a second."""
        minutes = bisect_left(self.times, before)
        if not minutes:
            return
        values = self._begin(minutes)
        del self.times[:minutes], self._values[:values], self._counts[:values]
        self._ends = array("q", [end - values for end in self._ends[minutes:]])

    def _add_minute(self, minute: int, merged: list[tuple[float, int]]) -> None:
        # Usually at the end; a client may have published for a minute that is compact already.
        place = bisect_right(self.times, minute)
        begin = self._begin(place)
        self.times.insert(place, minute)
        self._values[begin:begin] = array("d", [value for value, _ in merged])
        self._counts[begin:begin] = array("I", [count for _, count in merged])
        self._ends.insert(place, begin + len(merged))
        for later in range(place + 1, len(self._ends)):
            self._ends[later] += len(merged)

    def _begin(self, minute: int) -> int:
        """Return where the values of the minute at this place begin."""
        return self._ends[minute - 1] if minute else 0


def merge(values: Sequence[float]) -> list[tuple[float, int]]:
    """
    Return different values and how often each occurs, ascending.

    Count, sum, minimum and maximum of many different values stay as they are, and every other value changes
    by less than 5 %.
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
