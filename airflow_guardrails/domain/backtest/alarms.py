"""When an alarm would have been in ALARM, from past values of its metric."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_guardrails.domain.snapshots.alarms import AlarmRule
from airflow_guardrails.domain.snapshots.metrics import Points

_COMPARISONS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmPast:
    """
    What an alarm would have done.

    :param times: how often it would have gone into ALARM.
    :param rolled_back: share of the bakes, begun at any minute, in which it would have been in ALARM, 0 to 1.
    :param periods: number of periods with a value.
    """

    times: int
    rolled_back: float
    periods: int


def replay_alarm(
    rule: AlarmRule, points: Points, *, start: datetime, end: datetime, bake: timedelta
) -> AlarmPast:
    """
    Evaluate *rule* at the end of every period from *start* to *end*.

    :param points: beginning of a period -> value of the metric.
    :param bake: length of the bakes of an update together.
    """
    periods = [*_periods(start, end, rule.period)]
    states = [*_states(rule, [points.get(moment) for moment in periods])]
    went_off = sum(now and not before for before, now in zip([False, *states], states, strict=False))
    alarming = [moment + rule.period for moment, is_alarm in zip(periods, states, strict=True) if is_alarm]
    return AlarmPast(
        times=went_off,
        rolled_back=_share_of_bakes(alarming, start=start, end=end, bake=bake, lasts=rule.period),
        periods=sum(moment in points for moment in periods),
    )


def _periods(start: datetime, end: datetime, period: timedelta) -> Iterable[datetime]:
    # CloudWatch's periods begin at multiples of their length.
    epoch = datetime(1970, 1, 1, tzinfo=start.tzinfo)
    moment = start - (start - epoch) % period
    while moment + period <= end:
        yield moment
        moment += period


def _states(rule: AlarmRule, values: list[float | None]) -> Iterable[bool]:
    """Yield for each period whether the alarm is in ALARM at its end."""
    breaches = _COMPARISONS.get(rule.comparison, operator.gt)
    state = False
    for last in range(1, len(values) + 1):
        window = values[max(0, last - rule.evaluation_periods) : last]
        present = [value for value in window if value is not None]
        breaching = sum(breaches(value, rule.threshold) for value in present)
        if rule.treat_missing_data == "breaching":
            breaching += len(window) - len(present)
        # Without any data, "ignore" keeps the state, and "missing" is INSUFFICIENT_DATA.
        if present or rule.treat_missing_data != "ignore":
            state = breaching >= rule.datapoints_to_alarm
        yield state


def _share_of_bakes(
    alarming: list[datetime], *, start: datetime, end: datetime, bake: timedelta, lasts: timedelta
) -> float:
    """Return the share of the beginnings of a bake from which it meets a moment in ALARM."""
    beginnings = max(1, int((end - bake - start) / _MINUTE) + 1)
    met: set[int] = set()
    for moment in alarming:
        # It stays in ALARM for a period at least, so bakes that begin in it are met, too.
        first = int((moment - bake - start) / _MINUTE)
        last = int((moment + lasts - start) / _MINUTE)
        met.update(range(max(0, first), min(beginnings, last + 1)))
    return len(met) / beginnings
