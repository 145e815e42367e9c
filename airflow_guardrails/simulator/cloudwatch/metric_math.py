"""Alarms on an expression over several metrics: PutMetricAlarm with ``Metrics``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.simulator.cloudwatch.errors import ValidationError
from airflow_guardrails.simulator.cloudwatch.statistics import Points, calculate, is_statistic

_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
# API reference of PutMetricAlarm: one expression and up to ten metrics for it.
_MOST_METRICS = 10

# Returns second -> value of a MetricStat.
ReadMetric = Callable[[Mapping[str, Any]], Points]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMath:
    """
    An expression, and the metrics in it.

    :param stats: Id -> MetricStat, as in the request.
    :param period: seconds; all metrics have the same.
    """

    result_id: str
    expression: str
    stats: Mapping[str, Mapping[str, Any]]
    period: int

    def points(self, read: ReadMetric) -> Points:
        """Return second -> value of the expression, for seconds at which all of its metrics have one."""
        return calculate(
            self.result_id, self.expression, {name: read(stat) for name, stat in self.stats.items()}
        )


def parse_metric_math(queries: Sequence[Mapping[str, Any]]) -> MetricMath:
    """
    Read the ``Metrics`` of a request with an expression.

    :raises ValidationError: for what CloudWatch refuses, and for what is not simulated: several expressions,
        different periods, and functions.
    """
    ids = [query["Id"] for query in queries]
    if wrong := [name for name in ids if not _ID.fullmatch(name) or ids.count(name) > 1]:
        raise ValidationError(f"The value {wrong[0]} for parameter Metrics.Id is invalid or not unique.")
    results = [query for query in queries if query.get("Expression") is not None]
    stats = {query["Id"]: query["MetricStat"] for query in queries if query.get("MetricStat") is not None}
    returned = [query["Id"] for query in queries if query.get("ReturnData", True)]
    if len(results) != 1 or len(stats) + 1 != len(queries) or not 1 <= len(stats) <= _MOST_METRICS:
        raise ValidationError(
            f"Metrics is simulated with one Expression over 1 to {_MOST_METRICS} MetricStat (got "
            f"{len(results)} and {len(stats)})"
        )
    if returned != [results[0]["Id"]]:
        raise ValidationError("Exactly one element of the metrics list should return data.")
    if wrong := [stat["Stat"] for stat in stats.values() if not is_statistic(stat["Stat"])]:
        raise ValidationError(f"The value {wrong[0]} for parameter Stat is not supported.")
    periods = {stat["Period"] for stat in stats.values()}
    if len(periods) > 1:
        raise ValidationError(f"Metrics with different periods are not simulated (got {sorted(periods)})")
    math = MetricMath(
        result_id=results[0]["Id"], expression=results[0]["Expression"], stats=stats, period=periods.pop()
    )
    # An expression that cannot be calculated is refused now, as in CloudWatch.
    math.points(lambda _: {})
    return math
