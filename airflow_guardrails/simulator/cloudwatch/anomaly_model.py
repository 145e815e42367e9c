"""
The model behind anomaly bands.

CloudWatch does not document its model. It learns from up to two weeks of data and knows the time of the day
(CloudWatch user guide, "Using CloudWatch anomaly detection"). The model of the simulator is simple:

- The band is the mean plus and minus *width* standard deviations of the values of the two weeks before.
- If the same hour of the day was seen on at least three days, only the values of this hour count.
- The model learns every 15 minutes. There is no band before it has learned 30 values.
- It learns a value only once: one that is published late, for a time that was learned, does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo

from airflow_guardrails.simulator.cloudwatch.math_values import Grid
from airflow_guardrails.simulator.cloudwatch.statistics import Points

_LEARNS_EVERY = 900
_LEARNS_FROM = 14 * 86_400
_ENOUGH_VALUES = 30
_ENOUGH_DAYS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """
    How a model learns.

    :param excluded: begin and end of the times that it does not learn from, in epoch seconds.
    :param zone: the zone of the hour of the day.
    """

    excluded: tuple[tuple[float, float], ...] = ()
    zone: tzinfo = timezone.utc

    def learns(self, second: int) -> bool:
        """Whether the model learns from a value at this second."""
        return not any(begin <= second < end for begin, end in self.excluded)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Number of values, their mean, and the sum of their squared distances from it."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def plus(self, other: _Moments) -> _Moments:
        count = self.count + other.count
        if not count:
            return self
        shift = other.mean - self.mean
        return _Moments(
            count,
            self.mean + shift * other.count / count,
            self.squares + other.squares + shift * shift * self.count * other.count / count,
        )

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / self.count)


class _Model:
    """What was learned of one metric or expression, by slots of time."""

    def __init__(self, slot: int, training: Training) -> None:
        self._slot = slot
        self._training = training
        self._learned: dict[int, _Moments] = {}
        self._expected: dict[int, _Moments | None] = {}
        # Hour and day of the slots with values.
        self._when: dict[int, tuple[int, int]] = {}

    def learn(self, first: int, last: int, read: Callable[[int, int], Points]) -> None:
        """Learn the slots from *first* to before *last* that are not known yet."""
        new = [slot for slot in range(first, last) if slot not in self._learned]
        if not new:
            return
        found: dict[int, _Moments] = {}
        for at, value in read(new[0] * self._slot, (new[-1] + 1) * self._slot).items():
            if self._training.learns(at):
                slot = at // self._slot
                found[slot] = found.get(slot, _Moments()).plus(_Moments(1, value))
        self._learned.update({slot: found.get(slot, _Moments()) for slot in new})
        self._when.update({slot: self._hour_and_day(slot) for slot in found})
        # Anything that was expected may have been computed without these.
        self._expected.clear()

    def expected(self, slot: int) -> _Moments | None:
        """Return the moments of what is expected in a slot, or None if too little was learned before it."""
        if slot not in self._expected:
            self._expected[slot] = self._computed(slot)
        return self._expected[slot]

    def _computed(self, slot: int) -> _Moments | None:
        first = slot - _LEARNS_FROM // self._slot
        past = [each for each in range(first, slot) if each in self._when]
        if sum(self._learned[each].count for each in past) < _ENOUGH_VALUES:
            return None
        hour, _ = self._hour_and_day(slot)
        same_hour = [each for each in past if self._when[each][0] == hour]
        days = {self._when[each][1] for each in same_hour}
        total = _Moments()
        for each in same_hour if len(days) >= _ENOUGH_DAYS else past:
            total = total.plus(self._learned[each])
        return total

    def _hour_and_day(self, slot: int) -> tuple[int, int]:
        moment = datetime.fromtimestamp(slot * self._slot, self._training.zone)
        return moment.hour, moment.toordinal()


class Bands:
    """
    The models of one region.

    :param visible_until: returns the newest time, in epoch seconds, whose values are visible.
    """

    def __init__(self, visible_until: Callable[[], float]) -> None:
        self._visible_until = visible_until
        self._models: dict[str, dict[tuple[str, int], _Model]] = {}
        self._trainings: dict[str, Training] = {}

    def configure(self, subject: str, training: Training | None) -> None:
        """Set how the models of a metric or of metric math learn; None goes back to the default."""
        self._trainings.pop(subject, None)
        if training is not None:
            self._trainings[subject] = training
        # They learn again.
        self._models.pop(subject, None)

    def band(
        self,
        subject: str,
        name: str,
        grid: Grid,
        *,
        width: float,
        learn: Callable[[Grid], Points],
    ) -> tuple[Points, Points]:
        """
        Return the upper and the lower bound of a band.

        :param subject: what the band is of.
        :param name: identifies the model among those of the subject.
        :param width: number of standard deviations.
        :param learn: returns the values of the past.
        """
        # A slot holds whole periods, so that each value is learned when its period is over.
        slot = -(-_LEARNS_EVERY // grid.period) * grid.period
        models = self._models.setdefault(subject, {})
        model = models.setdefault((name, slot), _Model(slot, self._trainings.get(subject, Training())))
        known = min(int(self._visible_until()), grid.end) // slot
        first = (grid.start - _LEARNS_FROM) // slot
        model.learn(first, known, lambda begin, end: learn(Grid(begin, end, grid.period)))
        upper, lower = {}, {}
        for at in grid.seconds:
            expected = model.expected(at // slot)
            if expected is not None:
                upper[at] = expected.mean + width * expected.deviation
                lower[at] = expected.mean - width * expected.deviation
        return upper, lower
