"""Alarms on metric math and on anomaly bands: the ``Metrics`` of PutMetricAlarm."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_guardrails.simulator.cloudwatch import math_syntax
from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands
from airflow_guardrails.simulator.cloudwatch.errors import ValidationError
from airflow_guardrails.simulator.cloudwatch.math_values import Grid
from airflow_guardrails.simulator.cloudwatch.metric_math import Evaluation, Query, QuerySet, ReadMetric
from airflow_guardrails.simulator.cloudwatch.statistics import Points, is_statistic

_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
# API reference of MetricDataQuery: in PutMetricAlarm at most ten metrics and ten expressions.
_MOST = 10


class AlarmPoints(NamedTuple):
    """The values that an alarm watches, and the bounds of its band, which are empty without a band."""

    values: Points
    lower: Points
    upper: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmMath:
    """
    The queries of an alarm.

    :param watched: id of the query whose values are compared.
    :param band: id of the anomaly band, or None if the alarm has a threshold.
    """

    queries: QuerySet
    watched: str
    band: str | None

    @property
    def period(self) -> int:
        """The period in seconds."""
        return self.queries.period(self.watched)

    def points(self, read: ReadMetric, bands: Bands, grid: Grid) -> AlarmPoints:
        """
        Return the points of the evaluation range.

        There are none where the result is not one time series. With functions such as REMOVE_EMPTY that
        depends on the data.
        """
        evaluation = Evaluation(self.queries, read, bands)
        try:
            watched = evaluation.series(self.watched, grid)
            values = watched[0].points if len(watched) == 1 else {}
            if self.band is None:
                return AlarmPoints(values, {}, {})
            upper, lower = evaluation.series(self.band, grid)
        except ValidationError:
            return AlarmPoints({}, {}, {})
        return AlarmPoints(values, lower.points, upper.points)


def parse_alarm_math(queries: Sequence[Query], band: str | None) -> AlarmMath:
    """
    Read the ``Metrics`` of a request.

    :param band: the ThresholdMetricId, if there is one.
    :raises ValidationError: for what CloudWatch refuses, and for what is not simulated.
    """
    _check_queries(queries)
    returned = [query["Id"] for query in queries if query.get("ReturnData", True)]
    if band is not None:
        # AWS's text, quoted in public bug reports.
        if returned.count(band) != 1:
            raise ValidationError(
                "Metrics list must contain exactly one metric matching the ThresholdMetricId parameter"
            )
        returned.remove(band)
    if len(returned) != 1:
        raise ValidationError("Exactly one element of the metrics list should return data.")
    math = AlarmMath(queries=QuerySet(queries), watched=returned[0], band=band)
    _check_result(math)
    return math


def _check_queries(queries: Sequence[Query]) -> None:
    ids = [query["Id"] for query in queries]
    if wrong := [name for name in ids if not _ID.fullmatch(name) or ids.count(name) > 1]:
        raise ValidationError(f"The value {wrong[0]} for parameter Metrics.Id is invalid or not unique.")
    if wrong := [
        each["Id"] for each in queries if (each.get("MetricStat") is None) == (each.get("Expression") is None)
    ]:
        raise ValidationError(f"Metrics: {wrong[0]} must have exactly one of MetricStat and Expression.")
    stats: list[Mapping[str, Any]] = [query["MetricStat"] for query in queries if query.get("MetricStat")]
    for number, what in ((len(stats), "MetricStat"), (len(queries) - len(stats), "Expression")):
        if number > _MOST:
            raise ValidationError(f"Metrics must have at most {_MOST} members with {what} (got {number})")
    if wrong := [stat["Stat"] for stat in stats if not is_statistic(stat["Stat"])]:
        raise ValidationError(f"The value {wrong[0]} for parameter Stat is not supported.")


def _check_result(math: AlarmMath) -> None:
    queries = math.queries
    if math.watched in queries.arrays:
        # User guide: an alarm watches one time series.
        raise ValidationError(
            f"Error in expression '{math.watched}': an alarm needs one time series, not an array"
        )
    if math.band is None:
        return
    tree = queries.trees.get(math.band)
    if not isinstance(tree, ast.Call) or tree not in math_syntax.calls(tree, math_syntax.BAND):
        raise ValidationError(
            f"ThresholdMetricId must be the Id of an ANOMALY_DETECTION_BAND (got {math.band})"
        )
    if queries.period(math.band) != math.period:
        raise ValidationError(
            "The band of ThresholdMetricId must have the period of the metric that is watched"
        )
