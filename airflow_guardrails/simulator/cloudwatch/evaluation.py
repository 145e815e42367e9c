"""
How the state of an alarm follows from its datapoints, as pure functions.

Source: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data". The tests have each row
of its tables. The guide does not say what happens if there are too few points to decide and all of them
breach; here the state stays.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any

from airflow_guardrails.simulator.cloudwatch.alarm_math import AlarmMath
from airflow_guardrails.simulator.cloudwatch.metrics import Metric
from airflow_guardrails.simulator.cloudwatch.statistics import is_extended

# CloudWatch reads more periods than it needs. The guide's tables show two more; the number is not documented.
_EXTRA_PERIODS = 2


class State(str, Enum):
    """The state of an alarm."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class MissingData(str, Enum):
    """The values of TreatMissingData."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A ComparisonOperator, and its text in a StateReason."""

    compare: Callable[[float, float], bool]
    text: str


COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "GreaterThanOrEqualToThreshold": Comparison(operator.ge, "greater than or equal to"),
        "GreaterThanThreshold": Comparison(operator.gt, "greater than"),
        "LessThanThreshold": Comparison(operator.lt, "less than"),
        "LessThanOrEqualToThreshold": Comparison(operator.le, "less than or equal to"),
    }
)


@dataclass(frozen=True, slots=True)
class Range:
    """A ComparisonOperator of alarms on an anomaly band: the bounds that it compares with."""

    lower: bool
    upper: bool


RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "LessThanLowerOrGreaterThanUpperThreshold": Range(lower=True, upper=True),
        "LessThanLowerThreshold": Range(lower=True, upper=False),
        "GreaterThanUpperThreshold": Range(lower=False, upper=True),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSpec:
    """
    What a metric alarm measures and when it goes into ALARM.

    :param metric: None with *math*, which then gives the values.
    :param period: seconds.
    :param threshold: NaN for an alarm on an anomaly band.
    :param datapoints_given: whether the request has DatapointsToAlarm; it changes only the text of the
        reason.
    """

    metric: Metric | None
    math: AlarmMath | None = None
    statistic: str
    unit: str | None
    period: int
    evaluation_periods: int
    datapoints_to_alarm: int
    datapoints_given: bool
    threshold: float
    comparison: Comparison | Range
    treat_missing: MissingData

    @property
    def high_resolution(self) -> bool:
        """Whether the period is shorter than a minute."""
        return self.period < 60  # noqa: PLR2004 - a minute

    @property
    def evaluation_range(self) -> int:
        """Number of periods that an evaluation reads."""
        return self.evaluation_periods + _EXTRA_PERIODS

    def breaches(self, point: Datapoint) -> bool:
        """Whether a point breaches the threshold, or is outside the band."""
        if isinstance(self.comparison, Comparison):
            return self.comparison.compare(point.value, self.threshold)
        below = self.comparison.lower and point.lower is not None and point.value < point.lower
        return below or (self.comparison.upper and point.upper is not None and point.value > point.upper)


@dataclass(frozen=True, slots=True, kw_only=True)
class Datapoint:
    """
    The statistic of one period, which begins at *at*.

    :param sample_count: None for the result of metric math.
    :param lower: lower bound of the anomaly band, if the alarm has one.
    :param upper: its upper bound.
    """

    at: datetime
    value: float
    sample_count: float | None = None
    lower: float | None = None
    upper: float | None = None


def evaluate(spec: AlarmSpec, points: Sequence[Datapoint | None], *, state: State) -> State:
    """
    Return the state after an evaluation.

    :param points: the evaluation range, oldest first; None where a point is missing.
    :param state: the state before.
    """
    return decide(
        [None if point is None else spec.breaches(point) for point in points],
        evaluation_periods=spec.evaluation_periods,
        datapoints_to_alarm=spec.datapoints_to_alarm,
        treat_missing=spec.treat_missing,
        state=state,
    )


def decide(
    breaching: Sequence[bool | None],
    *,
    evaluation_periods: int,
    datapoints_to_alarm: int,
    treat_missing: MissingData,
    state: State,
) -> State:
    """
    Return the state for points that breach (True), do not breach (False) or are missing (None), oldest first.
    """
    # User guide: with enough real points in the range, TreatMissingData has no effect.
    real = [point for point in breaching if point is not None][-evaluation_periods:]
    if not real:
        return _without_data(treat_missing, state)
    missing = evaluation_periods - len(real)
    bad = sum(real) + (missing if treat_missing is MissingData.BREACHING else 0)
    if bad >= datapoints_to_alarm:
        return State.ALARM
    # Missing points that count as breaching or not breaching are not missing any more.
    filled = treat_missing in (MissingData.BREACHING, MissingData.NOT_BREACHING)
    if filled or not missing or not all(real):
        return State.OK
    # In "- - X - -" the breaching point is old enough to decide, in "- - - - X" it is not yet.
    waited = _age_of_oldest(breaching) >= datapoints_to_alarm
    return State.ALARM if waited and treat_missing is MissingData.MISSING else state


def _without_data(treat_missing: MissingData, state: State) -> State:
    return {
        MissingData.MISSING: State.INSUFFICIENT_DATA,
        MissingData.IGNORE: state,
        MissingData.BREACHING: State.ALARM,
        MissingData.NOT_BREACHING: State.OK,
    }[treat_missing]


def _age_of_oldest(breaching: Sequence[bool | None]) -> int:
    return next(len(breaching) - place for place, point in enumerate(breaching) if point is not None)


# The service model allows 1023 characters in StateReason and 4000 in StateReasonData.
_POINTS_IN_REASON = 5
_POINTS_IN_DATA = 20

_TREATED_AS = {MissingData.BREACHING: "Breaching", MissingData.NOT_BREACHING: "NonBreaching"}


def reason(spec: AlarmSpec, points: Sequence[Datapoint | None], *, state: State) -> str:
    """Return the StateReason for *state*, reached with *points*."""
    real = _evaluated_points(spec, points)
    missing = spec.evaluation_periods - len(real)
    if real:
        return _threshold_crossed(spec, real, missing, state)
    if state is State.INSUFFICIENT_DATA:
        return f"Insufficient Data: {_count_was(missing, 'datapoint')} unknown."
    periods = _count(spec.evaluation_periods, "period")
    return f"Threshold Crossed: no datapoints were received for {periods} and {_treated(spec, missing)}."


def reason_data(spec: AlarmSpec, points: Sequence[Datapoint | None], *, now: datetime) -> str:
    """Return the StateReasonData as JSON; ``evaluatedDatapoints`` has the newest first."""
    real = _evaluated_points(spec, points)[-_POINTS_IN_DATA:]
    data: dict[str, Any] = {"version": "1.0", "queryDate": iso(now)}
    if real:
        data["startDate"] = iso(real[0].at)
    if spec.unit:
        data["unit"] = spec.unit
    if spec.math is None:
        data["extendedStatistic" if is_extended(spec.statistic) else "statistic"] = spec.statistic
    data["period"] = spec.period
    data["recentDatapoints"] = [point.value for point in real]
    data.update(_thresholds(spec, real))
    data["evaluatedDatapoints"] = [_evaluated(spec, point) for point in reversed(real)]
    return json.dumps(data, separators=(",", ":"))


def _thresholds(spec: AlarmSpec, real: Sequence[Datapoint]) -> dict[str, Any]:
    if isinstance(spec.comparison, Comparison):
        return {"threshold": spec.threshold}
    lower = {"recentLowerThresholds": [point.lower for point in real]} if spec.comparison.lower else {}
    upper = {"recentUpperThresholds": [point.upper for point in real]} if spec.comparison.upper else {}
    return {**lower, **upper}


def _evaluated(spec: AlarmSpec, point: Datapoint) -> dict[str, Any]:
    shown: dict[str, Any] = {"timestamp": iso(point.at)}
    if point.sample_count is not None:
        shown["sampleCount"] = point.sample_count
    shown["value"] = point.value
    # With two bounds it is not known what AWS shows here.
    if isinstance(spec.comparison, Range) and spec.comparison.lower != spec.comparison.upper:
        shown["threshold"] = point.lower if spec.comparison.lower else point.upper
    return shown


def _evaluated_points(spec: AlarmSpec, points: Sequence[Datapoint | None]) -> list[Datapoint]:
    """Return the points that an evaluation counts, oldest first."""
    return [point for point in points if point is not None][-spec.evaluation_periods :]


def iso(moment: datetime) -> str:
    """Return a time as CloudWatch writes it in reasons, with milliseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def _threshold_crossed(spec: AlarmSpec, real: Sequence[Datapoint], missing: int, state: State) -> str:
    alarm = state is State.ALARM
    decisive = [point for point in reversed(real) if spec.breaches(point) is alarm]
    if not decisive:
        return f"Threshold Crossed: {_treated(spec, missing)}."
    crossed = _crossed(spec, decisive, alarm=alarm)
    also = f" and {_treated(spec, missing)}" if missing and spec.treat_missing in _TREATED_AS else ""
    counted, listed = _counted(spec, len(decisive)), _listed(decisive)
    needed = f" ({_needed(spec, state)})" if spec.datapoints_given else ""
    kind = "Threshold" if isinstance(spec.comparison, Comparison) else "Thresholds"
    if len(decisive) > _POINTS_IN_REASON:
        recent = f". The most recent datapoints which crossed the threshold: {listed}"
        return f"{kind} Crossed: {counted} {crossed}{also}{recent}{needed}."
    return f"{kind} Crossed: {counted} {listed} {crossed}{also}{needed}."


def _crossed(spec: AlarmSpec, decisive: Sequence[Datapoint], *, alarm: bool) -> str:
    verb = f"{'was' if len(decisive) == 1 else 'were'}{'' if alarm else ' not'}"
    if isinstance(spec.comparison, Comparison):
        return f"{verb} {spec.comparison.text} the threshold ({spec.threshold})"
    # AWS's words, from notifications that are quoted in public code.
    shown = decisive[:_POINTS_IN_REASON]
    lower = f"less than the lower thresholds [{', '.join(str(point.lower) for point in shown)}]"
    upper = f"greater than the upper thresholds [{', '.join(str(point.upper) for point in shown)}]"
    parts = [text for text, used in ((lower, spec.comparison.lower), (upper, spec.comparison.upper)) if used]
    return f"{verb} {(' or ' if alarm else ' or not ').join(parts)}"


def _counted(spec: AlarmSpec, number: int) -> str:
    if spec.datapoints_given:
        return f"{number} out of the last {spec.evaluation_periods} datapoints"
    return _count(number, "datapoint")


def _listed(points: Sequence[Datapoint]) -> str:
    shown = (f"{point.value} ({point.at:%d/%m/%y %H:%M:%S})" for point in points[:_POINTS_IN_REASON])
    return f"[{', '.join(shown)}]"


def _needed(spec: AlarmSpec, state: State) -> str:
    if state is State.ALARM:
        return f"minimum {_count(spec.datapoints_to_alarm, 'datapoint')} for OK -> ALARM transition"
    # So many good points leave too few bad ones for ALARM.
    enough = spec.evaluation_periods - spec.datapoints_to_alarm + 1
    return f"minimum {_count(enough, 'datapoint')} for ALARM -> OK transition"


def _treated(spec: AlarmSpec, missing: int) -> str:
    treated = _TREATED_AS.get(spec.treat_missing, "Missing")
    return f"{_count_was(missing, 'missing datapoint')} treated as [{treated}]"


def _count_was(number: int, thing: str) -> str:
    return f"{_count(number, thing)} {'was' if number == 1 else 'were'}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
