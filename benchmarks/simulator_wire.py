"""
CPU of a call to the simulator, compared with the same call to moto's own server.

Run: ``python benchmarks/simulator_wire.py``, about two minutes. Both servers run in processes of their own;
only their CPU counts, not the client's. boto3 makes the calls, in rounds that alternate between the servers;
each figure is the median of the rounds. Both hold the same ten endpoints and alarms. The simulator's figure
includes what moto does not do: the check of requests against the service model, faults and the clock.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
from processes import ChildProcess
from table import Row, print_rows

ROUNDS, CALLS, ENDPOINTS = 9, 200, 10
PEERS = ("moto", "simulator")

_Calls = dict[str, Callable[[], Any]]


def main() -> None:
    """Print the milliseconds of each call on both servers."""
    servers = {name: ChildProcess("simulator_wire_server.py", name) for name in PEERS}
    try:
        calls = {name: _calls(server.greeting) for name, server in servers.items()}
        rows = [
            Row.of(what, [_median(servers, calls, what)[name] for name in PEERS]) for what in calls["moto"]
        ]
    finally:
        for server in servers.values():
            server.close()
    rows.append(
        Row.of("mean", [statistics.fmean(getattr(row, who) for row in rows) for who in ("theirs", "ours")])
    )
    sys.exit(not print_rows("CPU of the server, ms a call (theirs: moto's server)", rows))


def _median(servers: dict[str, ChildProcess], calls: dict[str, _Calls], what: str) -> dict[str, float]:
    rounds: dict[str, list[float]] = {name: [] for name in PEERS}
    for _ in range(ROUNDS):
        for name in PEERS:
            before = servers[name].send("cpu")
            for _ in range(CALLS):
                calls[name][what]()
            rounds[name].append((servers[name].send("cpu") - before) / CALLS * 1000)
    return {name: statistics.median(values) for name, values in rounds.items()}


def _calls(url: str) -> _Calls:
    aws = boto3.Session(aws_access_key_id="bench", aws_secret_access_key="bench", region_name="us-east-1")
    sagemaker, cloudwatch = (aws.client(each, endpoint_url=url) for each in ("sagemaker", "cloudwatch"))
    _fill(sagemaker, cloudwatch)
    # The time of the server: the simulator's clock is not ours.
    headers = sagemaker.list_endpoints()["ResponseMetadata"]["HTTPHeaders"]
    now = datetime.strptime(headers["date"], "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=timezone.utc)
    span = {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(minutes=1)}
    metric = {"Namespace": "bench", "MetricName": "errors"}
    query = {"Id": "errors", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}}
    data = [{"MetricName": "errors", "Value": 1.0, "Timestamp": now}]
    cloudwatch.put_metric_data(Namespace="bench", MetricData=data)
    return {
        "DescribeEndpoint": lambda: sagemaker.describe_endpoint(EndpointName="bench-0"),
        "ListEndpoints": sagemaker.list_endpoints,
        "DescribeAlarms": lambda: cloudwatch.describe_alarms(AlarmNames=["bench-0"]),
        "GetMetricStatistics": lambda: cloudwatch.get_metric_statistics(
            **metric, **span, Period=60, Statistics=["Average"]
        ),
        "GetMetricData": lambda: cloudwatch.get_metric_data(MetricDataQueries=[query], **span),
    }


def _fill(sagemaker: Any, cloudwatch: Any) -> None:
    role = "arn:aws:iam::123456789012:role/sagemaker"
    sagemaker.create_model(ModelName="bench", PrimaryContainer={"Image": "image"}, ExecutionRoleArn=role)
    variant = {
        "VariantName": "main",
        "ModelName": "bench",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="bench", ProductionVariants=[variant])
    for number in range(ENDPOINTS):
        name = f"bench-{number}"
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="bench")
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="bench",
            MetricName="errors",
            Statistic="Average",
            Period=60,
            EvaluationPeriods=3,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )


if __name__ == "__main__":
    main()
