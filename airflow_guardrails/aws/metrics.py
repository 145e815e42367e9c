"""Requests for CloudWatch metrics, and the responses as series and counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from math import ceil, isfinite
from typing import Any

from airflow_guardrails.aws.errors import Unanswered, UnexpectedAnswer
from airflow_guardrails.aws.reading import Response, items_of, number_of, sections_of, shown, text_of
from airflow_guardrails.domain.snapshots.metrics import REQUEST_NAMESPACE, MetricDatum, MetricQuery
from airflow_guardrails.domain.times import parse_time

# Limit of MetricDataQueries in one call of GetMetricData.
_MOST_QUERIES = 500

# StatusCode of a failed query. "PartialData" is none: the next page has more.
_FAILED = frozenset({"InternalError", "Forbidden"})


def metric_data_requests(
    queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
) -> Iterator[tuple[Sequence[MetricQuery], dict[str, Any]]]:
    """Yield batches of up to 500 queries, each with its request. *period* is in seconds."""
    for first in range(0, len(queries), _MOST_QUERIES):
        batch = queries[first : first + _MOST_QUERIES]
        entries = [_entry(number, query, period) for number, query in enumerate(batch)]
        yield batch, {"MetricDataQueries": entries, "StartTime": start, "EndTime": end}


def parse_metric_data(
    pages: Iterable[Response], queries: Sequence[MetricQuery]
) -> dict[MetricQuery, dict[datetime, float]]:
    """
    Return query -> (start of period -> value) from all pages of one request; without data: an empty series.

    :raises Unanswered: if CloudWatch failed to read a metric, which is not the same as having no data.
    :raises UnexpectedAnswer: if a query does not have one value for each time.
    """
    series: dict[MetricQuery, dict[datetime, float]] = {query: {} for query in queries}
    by_id = {_id(number): query for number, query in enumerate(queries)}
    for page in pages:
        for result in sections_of(page, "MetricDataResults"):
            query = by_id.get(text_of(result, "Id") or "")
            if query is None:
                continue
            if (status := text_of(result, "StatusCode")) in _FAILED:
                raise Unanswered(reason=f"CloudWatch could not read {query.metric}: {status}")
            series[query].update(_points(result, query))
    return series


def _points(result: Response, query: MetricQuery) -> dict[datetime, float]:
    moments, values = items_of(result, "Timestamps"), items_of(result, "Values")
    if len(moments) != len(values) or not _are_lists(result, "Timestamps", "Values"):
        raise UnexpectedAnswer(
            f"Unexpected response: GetMetricData must return one value for each time of {query.metric} (got "
            f"{len(moments)} times and {len(values)} values). It is treated as an error"
        )
    # By far the most responses, and a response may have 100,000 points.
    plain = {
        moment: value
        for moment, value in zip(moments, values, strict=True)
        if type(value) is float and isfinite(value) and type(moment) is datetime and moment.tzinfo is not None
    }
    if len(plain) == len(moments):
        return plain
    read = (
        (parse_time(moment), number_of({"": value}, ""))
        for moment, value in zip(moments, values, strict=True)
    )
    return {moment: value for moment, value in read if moment is not None and value is not None}


def _are_lists(result: Response, *keys: str) -> bool:
    return all(isinstance(result.get(key), list | tuple) for key in keys)


def _id(number: int) -> str:
    # CloudWatch requires that an Id begins with a lower-case letter.
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


# PutMetricData accepts 1000 metrics and 1 MB in one request. A datum of this package has at most about 1 KB.
_MOST_DATA = 500


def put_metric_data_requests(namespace: str, data: Sequence[MetricDatum]) -> Iterator[dict[str, Any]]:
    """Yield PutMetricData's requests for *data*, up to 500 in each."""
    for first in range(0, len(data), _MOST_DATA):
        batch = data[first : first + _MOST_DATA]
        yield {"Namespace": namespace, "MetricData": [_datum(each) for each in batch]}


def _datum(datum: MetricDatum) -> dict[str, Any]:
    return {
        "MetricName": datum.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in datum.dimensions],
        "Value": datum.value,
    }


# Limit of datapoints in one response of GetMetricStatistics.
_MOST_DATAPOINTS = 1440
_MINUTE = 60
# CloudWatch keeps data by the minute for 15 days; older data has periods of five minutes.
_FIVE_MINUTES = 300


def fleet_requests_request(
    *, endpoint_name: str, variant_name: str, endpoint_config_name: str, start: datetime, end: datetime
) -> dict[str, Any]:
    """
    Return GetMetricStatistics' request for the invocations of the fleet of one configuration.

    Blue and green fleet share endpoint and variant; only the dimension EndpointConfigName differs.
    """
    dimensions = {
        "EndpointName": endpoint_name,
        "VariantName": variant_name,
        "EndpointConfigName": endpoint_config_name,
    }
    return _invocations_request(dimensions, start=start, end=end)


def variant_requests_request(
    *, endpoint_name: str, variant_name: str, start: datetime, end: datetime
) -> dict[str, Any]:
    """Return GetMetricStatistics' request for the invocations of a variant, of any configuration."""
    dimensions = {"EndpointName": endpoint_name, "VariantName": variant_name}
    return _invocations_request(dimensions, start=start, end=end)


# CloudWatch keeps periods of a minute for 15 days.
_MINUTES_KEPT = timedelta(days=15)
# The longest time that one page has by the minute.
_PAGE_OF_MINUTES = timedelta(hours=23)


def first_request_windows(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Return the windows in which to look for the first request: the first day by the minute, then all."""
    if end - start <= _PAGE_OF_MINUTES:
        return [(start, end)]
    if end - start > _MINUTES_KEPT:
        return [(start, end)]
    return [(start, start + _PAGE_OF_MINUTES), (start, end)]


def parse_first_request(response: Response) -> datetime | None:
    """
    Return the start of the first period with invocations; None if there is none.

    :raises UnexpectedAnswer: if the list of datapoints is missing.
    """
    parse_requests(response)
    served = [
        moment
        for point in sections_of(response, "Datapoints")
        if (number_of(point, "Sum") or 0.0) > 0 and (moment := parse_time(point.get("Timestamp")))
    ]
    return min(served, default=None)


def parse_requests(response: Response) -> float:
    """
    Return the number of invocations in the response to one of the requests above.

    :raises UnexpectedAnswer: if the list of datapoints is missing; an empty list is 0.
    """
    if not isinstance(response.get("Datapoints"), list | tuple):
        raise UnexpectedAnswer(
            f"Unexpected response: Datapoints of GetMetricStatistics is missing or wrong (got "
            f"{shown(response.get('Datapoints'))}). It is treated as an error"
        )
    return sum(number_of(point, "Sum") or 0.0 for point in sections_of(response, "Datapoints"))


def _invocations_request(dimensions: dict[str, str], *, start: datetime, end: datetime) -> dict[str, Any]:
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
    """Return the shortest period in seconds that CloudWatch accepts and that fits all data into one page."""
    minutes = max(1.0, (end - start).total_seconds() / _MINUTE)
    # One more, because start and end need not be the beginning of a period.
    shortest = _MINUTE * ceil((minutes + 1) / _MOST_DATAPOINTS)
    return shortest if shortest == _MINUTE else _FIVE_MINUTES * ceil(shortest / _FIVE_MINUTES)
