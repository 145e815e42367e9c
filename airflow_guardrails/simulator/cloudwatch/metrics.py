"""
The metric store: raw values by second for three hours, then different values by minute for 15 days.

Statistics of the last three hours are exact; see ``compaction`` for older ones. A raw value takes 16 bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, Protocol, TypeVar

from airflow_guardrails.simulator.cloudwatch.compaction import MINUTE, RAW_SECONDS, CompactTimeline
from airflow_guardrails.simulator.cloudwatch.statistics import Sample, StatisticSet
from airflow_guardrails.simulator.engine.clock import Clock

__all__ = ["MINUTE", "Metric", "MetricStore"]

_RETENTION_SECONDS = 15 * 86_400
# Moving values costs time, so it is done for so many seconds of them at once.
_STEP_SECONDS = 600

_Item = TypeVar("_Item")
_Given_co = TypeVar("_Given_co", covariant=True)


class _MetricKnobs(Protocol):
    """The knob that the store reads."""

    @property
    def metric_delay_seconds(self) -> float:
        """Simulated seconds until a value is visible."""


class Metric(NamedTuple):
    """A metric: namespace, name and dimensions, sorted by name."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
        """Return the metric with these dimensions, in any order."""
        return cls(namespace, name, tuple(sorted(dimensions.items())))


class MetricStore:
    """
    All published values.

    A value is visible to queries and alarms ``metric_delay_seconds`` of simulated time after its own time.
    """

    def __init__(self, clock: Clock, knobs: _MetricKnobs | None = None) -> None:
        self._clock = clock
        self._knobs = knobs
        self._series: dict[Metric, dict[str, _Series]] = {}

    def record(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        values: Sequence[float],
        *,
        at: datetime,
        unit: str = "None",
        storage_resolution: int = MINUTE,
    ) -> None:
        """
        Store *values*, all measured in the second of *at*.

        :param storage_resolution: seconds: 60, or 1 for data that periods shorter than a minute can separate.
            Once 1 was used, the metric keeps it.
        """
        if values:
            series = self._series_of(Metric.of(namespace, name, dimensions), unit, storage_resolution)
            series.values.add(int(at.timestamp()), values)
            series.compact()

    def record_sets(
        self,
        metric: Metric,
        sets: Sequence[StatisticSet],
        *,
        at: datetime,
        unit: str = "None",
        storage_resolution: int = MINUTE,
    ) -> None:
        """Store statistic sets, all measured in the second of *at*."""
        self._series_of(metric, unit, storage_resolution).sets.add(int(at.timestamp()), sets)

    def samples(
        self, metric: Metric, *, start: int, end: int, period: int, unit: str | None = None
    ) -> dict[int, Sample]:
        """
        Return the second at which a period begins -> its data, for periods with visible data.

        :param start: begin of the first period, in epoch seconds.
        :param end: end, in epoch seconds; periods begin before it.
        :param period: seconds.
        :param unit: None takes the data of all units together.
        """
        values: dict[int, list[float]] = defaultdict(list)
        sets: dict[int, list[StatisticSet]] = defaultdict(list)
        for series in self._chosen(metric, unit):
            grid = _Grid(start, end, period, series.resolution, self.visible_until)
            for begin, chunk in grid.chunks(series.values):
                values[begin].extend(chunk)
            for line in (series.sets, series.old):
                for begin, some in grid.chunks(line):
                    sets[begin].extend(some)
        return {begin: Sample(values[begin], sets[begin]) for begin in sorted({*values, *sets})}

    def units(self, metric: Metric) -> list[str]:
        """Return the units in which a metric was published."""
        return sorted(self._series.get(metric, {}))

    def metrics(self, *, active_since: float | None = None) -> list[Metric]:
        """
        Return every metric with visible data; with *active_since* (epoch seconds), only with data since then.
        """
        since = active_since or 0
        return sorted(metric for metric, units in self._series.items() if self._shows(units, since))

    @property
    def visible_until(self) -> float:
        """The newest time, in epoch seconds, whose values are visible."""
        delay = self._knobs.metric_delay_seconds if self._knobs else 0
        return self._clock.now().timestamp() - delay

    def _shows(self, units: Mapping[str, _Series], since: float) -> bool:
        return any(
            bisect_left(line.times, since) < bisect_right(line.times, self.visible_until)
            for series in units.values()
            for line in (series.values, series.sets, series.old)
        )

    def _chosen(self, metric: Metric, unit: str | None) -> list[_Series]:
        units = self._series.get(metric, {})
        return [series for name, series in units.items() if unit in (None, name)]

    def _series_of(self, metric: Metric, unit: str, resolution: int) -> _Series:
        series = self._series.setdefault(metric, {}).get(unit)
        if series is None:
            series = self._series[metric][unit] = _Series(resolution)
        # A metric that was published once with one-second resolution keeps it.
        series.resolution = min(series.resolution, resolution)
        return series


class _Timeline(Generic[_Item]):
    """Items ordered by their seconds. Adding in order is fast."""

    __slots__ = ("items", "times")

    def __init__(self, items: MutableSequence[_Item]) -> None:
        # Compact arrays: a busy replay records millions of values.
        self.times = array("q")
        self.items = items

    def add(self, second: int, items: Sequence[_Item]) -> None:
        if not self.times or second >= self.times[-1]:
            self.times.extend([second] * len(items))
            self.items.extend(items)
            self._forget()
        else:
            self._insert(second, items)

    def _insert(self, second: int, items: Sequence[_Item]) -> None:
        for item in items:
            # Slow, but rare: traffic comes in order, and only clients publish for another time.
            place = bisect_right(self.times, second)
            self.times.insert(place, second)
            self.items.insert(place, item)

    def _forget(self) -> None:
        # Deleting moves all remaining items, so it is done once an hour at most.
        oldest = self.times[-1] - _RETENTION_SECONDS
        if self.times[0] < oldest - 3600:
            place = bisect_left(self.times, oldest)
            del self.times[:place]
            del self.items[:place]


class _Line(Protocol[_Given_co]):
    """Items ordered by their seconds."""

    @property
    def times(self) -> array[int]:
        """The seconds."""

    @property
    def items(self) -> _Sliceable[_Given_co]:
        """The items, each at the place of its second."""


class _Sliceable(Protocol[_Given_co]):
    def __getitem__(self, part: slice, /) -> Sequence[_Given_co]: ...


class _Series:
    """
    The data of one metric in one unit.

    :ivar old: the values of more than three hours ago.
    """

    __slots__ = ("old", "resolution", "sets", "values")

    def __init__(self, resolution: int) -> None:
        self.resolution = resolution
        self.values: _Timeline[float] = _Timeline(array("d"))
        self.sets: _Timeline[StatisticSet] = _Timeline([])
        self.old = CompactTimeline()

    def compact(self) -> None:
        """Keep the values of old minutes compactly, and forget those of 15 days ago."""
        times, items = self.values.times, self.values.items
        newest = times[-1]
        edge = newest - newest % MINUTE - RAW_SECONDS
        if times[0] >= edge - _STEP_SECONDS:
            return
        place = bisect_left(times, edge)
        self.old.add(times[:place], items[:place])
        del times[:place]
        del items[:place]
        self.old.forget(edge + RAW_SECONDS - _RETENTION_SECONDS)


class _Grid(NamedTuple):
    """
    The periods of one query over one series.

    With one-minute resolution, all values of a minute count at its beginning, as CloudWatch stores them.
    """

    start: int
    end: int
    period: int
    resolution: int
    visible_until: float

    def chunks(self, line: _Line[_Given_co]) -> Iterator[tuple[int, Sequence[_Given_co]]]:
        here = bisect_left(line.times, self._edge(self.start))
        # A client may publish up to two hours ahead. Such a value is hidden until its time.
        visible = bisect_right(line.times, self.visible_until)
        last = min(bisect_left(line.times, self._edge(self.end)), visible)
        while here < last:
            begin = self._begin(line.times[here])
            after = bisect_left(line.times, self._edge(begin + self.period), here, last)
            yield begin, line.items[here:after]
            here = after

    def _begin(self, second: int) -> int:
        stored = second - second % self.resolution
        # Periods count from the start of the query, so the window of an alarm can move every minute.
        return stored - (stored - self.start) % self.period

    def _edge(self, second: int) -> int:
        # Up, because a stored minute belongs to a range only if it begins in it.
        return -(-second // self.resolution) * self.resolution
