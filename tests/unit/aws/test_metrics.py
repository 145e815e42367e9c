"""Series of CloudWatch on the wire."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.aws.errors import Unanswered, is_passing
from airflow_guardrails.aws.metrics import (
    metric_data_requests,
    parse_metric_data,
    put_metric_data_requests,
)
from airflow_guardrails.domain.snapshots.metrics import MetricDatum, MetricQuery, finest_period

TEN = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def query(variant: str, metric: str = "ModelLatency") -> MetricQuery:
    dimensions = (("EndpointName", "churn"), ("VariantName", variant))
    return MetricQuery(namespace="AWS/SageMaker", metric=metric, stat="p90", dimensions=dimensions)


def result(number: int, values: list[float], status: str = "Complete"):
    times = [TEN + minute * MINUTE for minute in range(len(values))]
    return {"Id": f"q{number}", "Timestamps": times, "Values": values, "StatusCode": status}


def test_every_query_is_asked_by_a_request_that_botocore_accepts(refused):
    queries = [query("live"), query("shadow")]

    ((asked, request),) = metric_data_requests(queries, start=TEN, end=TEN + 60 * MINUTE, period=60)

    assert list(asked) == queries
    assert refused("GetMetricData", request) == ""
    assert [entry["MetricStat"]["Stat"] for entry in request["MetricDataQueries"]] == ["p90", "p90"]


def test_more_queries_than_cloudwatch_takes_are_divided():
    queries = [query(f"variant-{number}") for number in range(1100)]

    parts = [asked for asked, _ in metric_data_requests(queries, start=TEN, end=TEN, period=60)]

    assert [len(part) for part in parts] == [500, 500, 100]
    assert [one for part in parts for one in part] == queries


def test_data_are_published_in_requests_of_less_than_a_megabyte(refused):
    # SageMaker's and CloudWatch's longest names.
    lengths = {"EndpointName": 63, "ShadowTestName": 120, "VariantName": 63, "Metric": 255, "Stat": 255}
    longest = tuple((name, "x" * length) for name, length in lengths.items())
    data = [
        MetricDatum(metric="IntervalHigh", value=number / 3, dimensions=longest) for number in range(1100)
    ]

    requests = list(put_metric_data_requests("Shop/Verdicts", data))

    assert [len(request["MetricData"]) for request in requests] == [500, 500, 100]
    assert [datum["Value"] for request in requests for datum in request["MetricData"]] == [
        datum.value for datum in data
    ]
    for request in requests:
        assert refused("PutMetricData", request) == ""
        assert len(json.dumps(request)) < 1_000_000
    assert requests[0]["MetricData"][0]["Dimensions"][0] == {"Name": "EndpointName", "Value": "x" * 63}


def test_pages_of_one_query_are_put_together_and_no_data_is_an_empty_series():
    queries = [query("live"), query("shadow")]
    later = result(0, [3.0])
    later["Timestamps"] = [TEN + 2 * MINUTE]
    pages = [
        {"MetricDataResults": [result(0, [1.0, 2.0], "PartialData"), result(1, [])]},
        {"MetricDataResults": [later]},
    ]

    series = parse_metric_data(pages, queries)

    assert series[queries[0]] == {TEN: 1.0, TEN + MINUTE: 2.0, TEN + 2 * MINUTE: 3.0}
    assert series[queries[1]] == {}


@pytest.mark.parametrize("status", ["InternalError", "Forbidden"])
def test_what_cloudwatch_could_not_read_is_not_taken_for_no_data(status):
    with pytest.raises(Unanswered, match=status) as unanswered:
        parse_metric_data([{"MetricDataResults": [result(0, [], status)]}], [query("live")])

    assert is_passing(unanswered.value)


@pytest.mark.parametrize(("days", "seconds"), [(0, 60), (14, 60), (15, 300), (40, 300)])
def test_the_finest_period_is_what_cloudwatch_still_keeps(days, seconds):
    assert finest_period(TEN, TEN + timedelta(days=days)) == seconds
