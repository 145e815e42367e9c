"""CloudWatch's metrics of endpoints on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from math import ceil
from typing import Any

from airflow_guardrails.aws.errors import Unanswered, UnexpectedAnswer
from airflow_guardrails.aws.reading import Answer, items_of, number_of, sections_of, shown, text_of
from airflow_guardrails.domain.snapshots.metrics import REQUEST_NAMESPACE, MetricQuery
from airflow_guardrails.domain.times import parse_time

# GetMetricData, MetricDataQueries.
_MOST_QUERIES = 500

# MetricDataResult, StatusCode: "PartialData" goes on on the next page.
_UNREAD = frozenset({"InternalError", "Forbidden"})


def metric_data_requests(
    queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
) -> Iterator[tuple[Sequence[MetricQuery], dict[str, Any]]]:
    """Yield requests for all of *queries*, each with the queries that it is for."""
    for first in range(0, len(queries), _MOST_QUERIES):
        some = queries[first : first + _MOST_QUERIES]
        entries = [_entry(number, query, period) for number, query in enumerate(some)]
        yield some, {"MetricDataQueries": entries, "StartTime": start, "EndTime": end}


def parse_metric_data(
    pages: Iterable[Answer], queries: Sequence[MetricQuery]
) -> dict[MetricQuery, dict[datetime, float]]:
    """
    Put together the pages of one request; a query without data has an empty series.

    :raises Unanswered: if CloudWatch could not read one of them, which is not that it has no data.
    :raises UnexpectedAnswer: if times and values of a query do not belong together.
    """
    series: dict[MetricQuery, dict[datetime, float]] = {query: {} for query in queries}
    by_id = {_id(number): query for number, query in enumerate(queries)}
    for page in pages:
        for result in sections_of(page, "MetricDataResults"):
            query = by_id.get(text_of(result, "Id") or "")
            if query is None:
                continue
            if (status := text_of(result, "StatusCode")) in _UNREAD:
                raise Unanswered(reason=f"CloudWatch could not read {query.metric}: {status}")
            series[query].update(_points(result, query))
    return series


def _points(result: Answer, query: MetricQuery) -> dict[datetime, float]:
    moments, values = items_of(result, "Timestamps"), items_of(result, "Values")
    if len(moments) != len(values) or not _are_lists(result, "Timestamps", "Values"):
        raise UnexpectedAnswer(
            f"GetMetricData must say a value for each time of {query.metric} (it says {len(moments)} times "
            f"and {len(values)} values). Nothing is concluded from the answer"
        )
    read = (
        (parse_time(moment), number_of({"": value}, ""))
        for moment, value in zip(moments, values, strict=True)
    )
    return {moment: value for moment, value in read if moment is not None and value is not None}


def _are_lists(result: Answer, *keys: str) -> bool:
    return all(isinstance(result.get(key), list | tuple) for key in keys)


def _id(number: int) -> str:
    return f"q{number}"


def _entry(number: int, query: MetricQuery, period: int) -> dict[str, Any]:
    return {
        "Id": _id(number),
        "MetricStat": {
            "Metric": {
                "Namespace": query.namespace,
                "MetricName": query.metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in query.dimensions],
            },
            "Period": period,
            "Stat": query.stat,
        },
    }


_MOST_DATAPOINTS = 1440
_MINUTE = 60
# CloudWatch keeps minutes for 15 days; older data is there in steps of five.
_FIVE_MINUTES = 300


def requests_answered_request(
    *, endpoint_name: str, variant_name: str, endpoint_config_name: str, start: datetime, end: datetime
) -> dict[str, Any]:
    """
    Ask GetMetricStatistics for the requests a fleet answered.

    Blue and green share endpoint and variant; only the dimension EndpointConfigName tells them apart.
    """
    dimensions = {
        "EndpointName": endpoint_name,
        "VariantName": variant_name,
        "EndpointConfigName": endpoint_config_name,
    }
    return _requests_answered(dimensions, start=start, end=end)


def requests_had_request(
    *, endpoint_name: str, variant_name: str, start: datetime, end: datetime
) -> dict[str, Any]:
    """Ask GetMetricStatistics for the requests that a variant had, whichever configuration it was in."""
    dimensions = {"EndpointName": endpoint_name, "VariantName": variant_name}
    return _requests_answered(dimensions, start=start, end=end)


def parse_requests(answer: Answer) -> float:
    """
    Add up the requests in GetMetricStatistics' answer to one of the requests above.

    :raises UnexpectedAnswer: if it has no datapoints, not even an empty list.
    """
    if not isinstance(answer.get("Datapoints"), list | tuple):
        raise UnexpectedAnswer(
            f"GetMetricStatistics must say Datapoints (it says {shown(answer.get('Datapoints'))}). Nothing "
            "is concluded from the answer"
        )
    return sum(number_of(point, "Sum") or 0.0 for point in sections_of(answer, "Datapoints"))


def _requests_answered(dimensions: dict[str, str], *, start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "Namespace": REQUEST_NAMESPACE,
        "MetricName": "Invocations",
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "StartTime": start,
        "EndTime": end,
        "Period": _period(start, end),
        "Statistics": ["Sum"],
    }


def _period(start: datetime, end: datetime) -> int:
    """Seconds that CloudWatch accepts, so that the answer holds all of the time in one page."""
    minutes = max(1.0, (end - start).total_seconds() / _MINUTE)
    shortest = _MINUTE * ceil((minutes + 1) / _MOST_DATAPOINTS)
    return shortest if shortest == _MINUTE else _FIVE_MINUTES * ceil(shortest / _FIVE_MINUTES)
