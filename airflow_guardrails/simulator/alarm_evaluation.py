"""
How an alarm's state follows from its datapoints, as pure functions.

Source: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data", whose tables the tests
hold row by row. Where the guide is silent: points that are too few to decide, and all breaching, leave the
state as it is.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import MappingProxyType

from airflow_guardrails.simulator.metrics import Metric

# CloudWatch looks further back than the periods it needs: two more in the guide's tables, else undocumented.
EXTRA_PERIODS = 2


class State(str, Enum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class MissingData(str, Enum):
    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


@dataclass(frozen=True, slots=True)
class Comparison:
    compare: Callable[[float, float], bool]
    words: str


COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "GreaterThanOrEqualToThreshold": Comparison(operator.ge, "greater than or equal to"),
        "GreaterThanThreshold": Comparison(operator.gt, "greater than"),
        "LessThanThreshold": Comparison(operator.lt, "less than"),
        "LessThanOrEqualToThreshold": Comparison(operator.le, "less than or equal to"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSpec:
    """What a metric alarm watches and when it goes off; *datapoints_given* only changes a reason's words."""

    metric: Metric
    statistic: str
    unit: str | None
    period: int
    evaluation_periods: int
    datapoints_to_alarm: int
    datapoints_given: bool
    threshold: float
    comparison: Comparison
    treat_missing: MissingData

    @property
    def high_resolution(self) -> bool:
        return self.period < 60  # noqa: PLR2004 - a minute

    @property
    def evaluation_range(self) -> int:
        return self.evaluation_periods + EXTRA_PERIODS

    def breaches(self, value: float) -> bool:
        return self.comparison.compare(value, self.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Datapoint:
    at: datetime
    value: float
    sample_count: float


def evaluate(spec: AlarmSpec, points: Sequence[Datapoint | None], *, state: State) -> State:
    """Return the state after a look at the evaluation range: oldest point first, None where it is missing."""
    return decide(
        [None if point is None else spec.breaches(point.value) for point in points],
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
    real = [point for point in breaching if point is not None][-evaluation_periods:]
    if not real:
        return _without_data(treat_missing, state)
    missing = evaluation_periods - len(real)
    bad = sum(real) + (missing if treat_missing is MissingData.BREACHING else 0)
    if bad >= datapoints_to_alarm:
        return State.ALARM
    filled = treat_missing in (MissingData.BREACHING, MissingData.NOT_BREACHING)
    if filled or not missing or not all(real):
        return State.OK
    # "- - X - -" has waited for its successors long enough, "- - - - X" has not.
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
