"""Series of CloudWatch on the wire: GetMetricData."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_guardrails.aws.errors import Unanswered
from airflow_guardrails.domain.metric_query import MetricQuery

# GetMetricData, MetricDataQueries.
_MOST_QUERIES = 500

# MetricDataResult, StatusCode: "PartialData" goes on on the next page.
_UNREAD = frozenset({"InternalError", "Forbidden"})

Answer = Mapping[str, Any]


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
    """
    series: dict[MetricQuery, dict[datetime, float]] = {query: {} for query in queries}
    for page in pages:
        for result in page["MetricDataResults"]:
            query = queries[int(result["Id"].removeprefix("q"))]
            if result.get("StatusCode") in _UNREAD:
                raise Unanswered(reason=f"CloudWatch could not read {query.metric}: {result['StatusCode']}")
            series[query].update(zip(result["Timestamps"], result["Values"], strict=True))
    return series


def _entry(number: int, query: MetricQuery, period: int) -> dict[str, Any]:
    return {
        "Id": f"q{number}",
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
