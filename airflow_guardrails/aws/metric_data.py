"""Series of CloudWatch on the wire: GetMetricData."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from airflow_guardrails.aws.errors import Unanswered, UnexpectedAnswer
from airflow_guardrails.aws.reading import Answer, items_of, number_of, sections_of, text_of
from airflow_guardrails.domain.metric_query import MetricQuery
from airflow_guardrails.domain.moments import read_moment

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
        (read_moment(moment), number_of({"": value}, ""))
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
