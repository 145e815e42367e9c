"""GetMetricData, GetMetricStatistics and ListMetrics."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, NamedTuple, TypeVar

from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands
from airflow_guardrails.simulator.cloudwatch.errors import (
    CloudWatchError,
    InvalidNextToken,
    InvalidParameterCombination,
    InvalidParameterValue,
    ValidationError,
)
from airflow_guardrails.simulator.cloudwatch.math_values import Grid, Series
from airflow_guardrails.simulator.cloudwatch.metric_math import Evaluation, QuerySet
from airflow_guardrails.simulator.cloudwatch.metrics import MINUTE, Metric, MetricStore
from airflow_guardrails.simulator.cloudwatch.publishing import with_zone
from airflow_guardrails.simulator.cloudwatch.statistics import (
    SIMPLE_STATISTICS,
    Points,
    Sample,
    is_extended,
    is_statistic,
    statistic,
)

_Item = TypeVar("_Item")
_PREFIX = "from-"


def page(items: Sequence[_Item], token: str | None, size: int) -> tuple[Sequence[_Item], str | None]:
    """Return one page of *items* and the token of the next page, or None after the last."""
    begin = _offset_of(token)
    end = begin + size
    return items[begin:end], _token_at(end) if end < len(items) else None


def _offset_of(token: str | None) -> int:
    if token is None:
        return 0
    offset = token.removeprefix(_PREFIX)
    if not token.startswith(_PREFIX) or not offset.isdecimal():
        raise InvalidNextToken(f"The token '{token}' is invalid.")
    return int(offset)


def _token_at(offset: int) -> str:
    return f"{_PREFIX}{offset}"


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return *members* without those that are None: AWS leaves out absent fields."""
    return {name: value for name, value in members.items() if value is not None}


# Limits of the API references of GetMetricData and GetMetricStatistics.
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_SHORT_PERIODS = (1, 5, 10, 20, 30)
_QUERIES, _DATAPOINTS = 500, 100_800
_STATISTICS_DATAPOINTS = 1440
# API reference of ListMetrics.
_METRICS_ON_PAGE = 500


def get_metric_data(store: MetricStore, bands: Bands, request: Mapping[str, Any]) -> dict[str, Any]:
    """
    Carry out GetMetricData for up to 500 queries. A page holds up to MaxDatapoints of all queries together.

    :raises ValidationError: for what CloudWatch refuses, and for expressions that are not simulated.
    """
    queries = request["MetricDataQueries"]
    _check_queries(queries)
    start, end = _span(request, ValidationError)
    limit = request.get("MaxDatapoints") or _DATAPOINTS
    if not 1 <= limit <= _DATAPOINTS:
        raise ValidationError(f"MaxDatapoints must be from 1 to {_DATAPOINTS} (got {limit})")
    math = QuerySet(queries)
    evaluation = Evaluation(math, partial(stat_points, store), bands)
    ascending = request.get("ScanBy") == "TimestampAscending"
    rows = []
    for query in queries:
        if query.get("ReturnData", True):
            period = math.period(query["Id"])
            grid = Grid(_rounded(start, period), end, period)
            for series in evaluation.series(query["Id"], grid):
                points = sorted(series.points.items(), reverse=not ascending)
                rows.append(_Row(query["Id"], _label(query, series, math), points))
    return _data_page(rows, _offset_of(request.get("NextToken")), limit)


def get_metric_statistics(store: MetricStore, request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out GetMetricStatistics. As in AWS, datapoints are not ordered by time."""
    simple, extended = request.get("Statistics") or [], request.get("ExtendedStatistics") or []
    _check_statistics(simple, extended)
    period = request["Period"]
    _check_period(period, InvalidParameterValue)
    start, end = _span(request, InvalidParameterValue)
    start = _rounded(start, period)
    if (wanted := -(-(end - start) // period)) > _STATISTICS_DATAPOINTS:
        raise InvalidParameterCombination(
            f"You have requested up to {wanted:,} datapoints, which exceeds the limit of "
            f"{_STATISTICS_DATAPOINTS:,}. You may reduce the datapoints requested by increasing Period, or "
            "decreasing the time range."
        )
    metric = metric_of(request)
    datapoints = [
        {"Timestamp": _at(begin), "Unit": unit, **_measured(sample, simple, extended)}
        # API reference: without Unit, the data of every unit is returned, each with its unit.
        for unit in ([request["Unit"]] if request.get("Unit") else store.units(metric))
        for begin, sample in store.samples(metric, start=start, end=end, period=period, unit=unit).items()
    ]
    # AWS returns no order, so clients must not see one here.
    shuffled = sorted(datapoints, key=lambda point: zlib.crc32(str(point["Timestamp"]).encode()))
    return {"Label": metric.name, "Datapoints": shuffled}


def list_metrics(store: MetricStore, request: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Carry out ListMetrics."""
    # API reference of ListMetrics: PT3H is the only value of RecentlyActive.
    recently = (now - timedelta(hours=3)).timestamp() if request.get("RecentlyActive") else None
    found = [metric for metric in store.metrics(active_since=recently) if _matches(metric, request)]
    metrics, token = page(found, request.get("NextToken"), _METRICS_ON_PAGE)
    return without_none({"Metrics": [_described(metric) for metric in metrics], "NextToken": token})


def _check_queries(queries: Sequence[Mapping[str, Any]]) -> None:
    if not 1 <= len(queries) <= _QUERIES:
        raise ValidationError(f"MetricDataQueries must have 1 to {_QUERIES} members (got {len(queries)})")
    seen = set()
    for place, query in enumerate(queries, 1):
        path = f"MetricDataQueries.member.{place}"
        if not _ID.fullmatch(query["Id"]) or query["Id"] in seen:
            raise ValidationError(
                f"The value {query['Id']} for parameter {path}.Id is invalid or not unique."
            )
        seen.add(query["Id"])
        if ("MetricStat" in query) == ("Expression" in query):
            raise ValidationError(f"{path} must have exactly one of MetricStat and Expression.")
        if "MetricStat" in query:
            _check_period(query["MetricStat"]["Period"], ValidationError)
        elif query.get("Period"):
            _check_period(query["Period"], ValidationError)
    _check_stats(queries)


def _check_stats(queries: Sequence[Mapping[str, Any]]) -> None:
    # AWS's text, with a line for each wrong query (yet-another-cloudwatch-exporter#385).
    if wrong := [
        f"The value {query['MetricStat']['Stat']} for parameter "
        f"MetricDataQueries.member.{place}.MetricStat.Stat is not a valid statistic."
        for place, query in enumerate(queries, 1)
        if "MetricStat" in query and not is_statistic(query["MetricStat"]["Stat"])
    ]:
        raise ValidationError("\n".join(wrong))


def _check_statistics(simple: Sequence[str], extended: Sequence[str]) -> None:
    if bool(simple) == bool(extended):
        raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
    for name in (name for name in simple if name not in SIMPLE_STATISTICS):
        raise InvalidParameterValue(f"The value {name} for parameter Statistics is invalid.")
    for name in (name for name in extended if not is_extended(name)):
        raise InvalidParameterValue(f"The value {name} for parameter ExtendedStatistics is not supported.")


def _check_period(period: int, error: type[CloudWatchError]) -> None:
    if period not in _SHORT_PERIODS and (period < MINUTE or period % MINUTE):
        raise error(f"Period must be 1, 5, 10, 20, 30 or a multiple of 60 (got {period})")


def _span(request: Mapping[str, Any], error: type[CloudWatchError]) -> tuple[int, int]:
    start, end = with_zone(request["StartTime"]).timestamp(), with_zone(request["EndTime"]).timestamp()
    if start >= end:
        raise error("The parameter StartTime must be less than the parameter EndTime.")
    # A fraction of a second at the end still includes that second.
    return int(start), -int(-end // 1)


def _rounded(start: int, period: int) -> int:
    """Round the start down to a whole minute, or to the period if it is shorter."""
    # API reference. Its coarser rounding is for data older than 15 days, which is not kept here.
    return start - start % min(period, MINUTE)


def stat_points(store: MetricStore, stat: Mapping[str, Any], grid: Grid) -> Points:
    """Return second -> value of a MetricStat, for the periods that have a value."""
    samples = store.samples(
        metric_of(stat["Metric"]), start=grid.start, end=grid.end, period=grid.period, unit=stat.get("Unit")
    )
    values = ((begin, statistic(sample, stat["Stat"])) for begin, sample in samples.items())
    return {begin: value for begin, value in values if value is not None}


class _Row(NamedTuple):
    """One time series of the answer. The series of an array have the same id."""

    id: str
    label: str
    points: Sequence[tuple[int, float]]


def _label(query: Mapping[str, Any], series: Series, math: QuerySet) -> str:
    if query["Id"] not in math.trees:
        return series.label
    own = str(query.get("Label", query["Id"]))
    # User guide: the label of the expression, then that of the metric. An empty one is left out.
    return f"{own} {series.label}".strip() if query["Id"] in math.arrays else own


def _data_page(rows: Iterable[_Row], offset: int, limit: int) -> dict[str, Any]:
    results, before = [], 0
    for row in rows:
        begin, end = max(offset - before, 0), max(offset + limit - before, 0)
        results.append(_result(row, row.points[begin:end], complete=end >= len(row.points)))
        before += len(row.points)
    more = _token_at(offset + limit) if offset + limit < before else None
    return without_none({"MetricDataResults": results, "Messages": [], "NextToken": more})


def _result(row: _Row, shown: Sequence[tuple[int, float]], *, complete: bool) -> dict[str, Any]:
    return {
        "Id": row.id,
        "Label": row.label,
        "Timestamps": [_at(begin) for begin, _ in shown],
        "Values": [value for _, value in shown],
        "StatusCode": "Complete" if complete else "PartialData",
    }


def _measured(sample: Sample, simple: Iterable[str], extended: Iterable[str]) -> dict[str, Any]:
    measured: dict[str, Any] = {name: statistic(sample, name) for name in simple}
    values = {name: statistic(sample, name) for name in extended}
    known = {name: value for name, value in values.items() if value is not None}
    return {**measured, "ExtendedStatistics": known} if known else measured


def _matches(metric: Metric, request: Mapping[str, Any]) -> bool:
    have = dict(metric.dimensions)
    return (
        request.get("Namespace") in (None, metric.namespace)
        and request.get("MetricName") in (None, metric.name)
        and all(
            each["Name"] in have and each.get("Value") in (None, have[each["Name"]])
            for each in request.get("Dimensions") or ()
        )
    )


def metric_of(given: Mapping[str, Any]) -> Metric:
    """Return the metric with this Namespace, MetricName and Dimensions."""
    dimensions = {each["Name"]: each["Value"] for each in given.get("Dimensions") or ()}
    return Metric.of(given["Namespace"], given["MetricName"], dimensions)


def _described(metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, timezone.utc)
