"""CloudWatch over Smithy RPC v2 CBOR answers as it does over JSON."""

from __future__ import annotations

from datetime import timedelta

import botocore.model
import botocore.session
import cbor2
import httpx
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from airflow_guardrails.simulator.cloudwatch.queries import list_metrics
from airflow_guardrails.simulator.wire.cloudwatch import CloudWatchWire
from tests.support.simulated import START

END = START + timedelta(minutes=10)
ALARM = {
    "AlarmName": "errors",
    "Namespace": "Shop",
    "MetricName": "Errors",
    "Dimensions": [{"Name": "Place", "Value": "Köln"}],
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.5,
    "ComparisonOperator": "GreaterThanThreshold",
    "Tags": [{"Key": "team", "Value": "shop"}],
}
WHAT = {"Namespace": "Shop", "MetricName": "Errors", "Dimensions": ALARM["Dimensions"]}
QUERY = {"Id": "e", "MetricStat": {"Metric": WHAT, "Period": 60, "Stat": "Sum"}}
ARN = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors"
DETECTED = {"Namespace": "Churn", "MetricName": "Latency", "Stat": "Average"}
CALLS = {
    "PutMetricData": {
        "Namespace": "Shop",
        "MetricData": [
            {
                "MetricName": "Errors",
                "Dimensions": ALARM["Dimensions"],
                "Timestamp": START,
                "Values": [1.0, 2.5],
                "Counts": [2, 1],
            }
        ],
    },
    "ListMetrics": {"Namespace": "Shop"},
    "GetMetricStatistics": {
        **WHAT,
        "StartTime": START,
        "EndTime": END,
        "Period": 60,
        "Statistics": ["Sum", "Maximum"],
    },
    "GetMetricData": {"MetricDataQueries": [QUERY], "StartTime": START, "EndTime": END},
    "PutMetricAlarm": ALARM,
    "SetAlarmState": {"AlarmName": "errors", "StateValue": "ALARM", "StateReason": "a test"},
    "DescribeAlarms": {"AlarmNames": ["errors"]},
    "DescribeAlarmsForMetric": WHAT,
    "DescribeAlarmHistory": {"AlarmName": "errors"},
    "DisableAlarmActions": {"AlarmNames": ["errors"]},
    "EnableAlarmActions": {"AlarmNames": ["errors"]},
    "ListTagsForResource": {"ResourceARN": ARN},
    "TagResource": {"ResourceARN": ARN, "Tags": [{"Key": "a", "Value": "b"}]},
    "UntagResource": {"ResourceARN": ARN, "TagKeys": ["a"]},
    "PutCompositeAlarm": {"AlarmName": "both", "AlarmRule": 'ALARM("errors")'},
    "DeleteAlarms": {"AlarmNames": ["both"]},
    "PutAnomalyDetector": {"SingleMetricAnomalyDetector": DETECTED},
    "DescribeAnomalyDetectors": {},
    "DeleteAnomalyDetector": {"SingleMetricAnomalyDetector": DETECTED},
}


@pytest.fixture
def over(aws, monkeypatch):
    """``over("query")`` is a client that speaks that protocol, as those of other languages do."""

    def client(protocol):
        monkeypatch.setattr(botocore.model, "PRIORITY_ORDERED_SUPPORTED_PROTOCOLS", (protocol,))
        client = aws("cloudwatch")
        assert client.meta.service_model.resolved_protocol == protocol
        return client

    return client


@pytest.fixture
def over_cbor(over):
    return over("smithy-rpc-v2-cbor")


def called(client, operation: str):
    method = {made: name for name, made in client.meta.method_to_api_mapping.items()}[operation]
    return {
        key: value
        for key, value in getattr(client, method)(**CALLS[operation]).items()
        if key != "ResponseMetadata"
    }


def test_each_operation_answers_in_cbor_as_in_json(aws, over_cbor, monkeypatch):
    monkeypatch.undo()
    over_json = aws("cloudwatch")
    changes = {"PutMetricData", "PutMetricAlarm", "SetAlarmState", "TagResource", "UntagResource"}

    for operation in CALLS:
        answer = called(over_cbor, operation)

        if operation not in changes | {"PutCompositeAlarm", "DeleteAlarms", "DeleteAnomalyDetector"}:
            assert answer == called(over_json, operation), operation
    assert called(over_json, "DescribeAlarms")["MetricAlarms"][0]["StateValue"] == "ALARM"
    assert called(over_json, "GetMetricData")["MetricDataResults"][0]["Values"] == [4.5]


def test_each_operation_of_the_simulator_is_among_the_calls():
    operations = botocore.session.Session().get_service_model("cloudwatch").operation_names

    assert set(CALLS) == {name for name in operations if xform_name(name) in vars(CloudWatchWire)}


@pytest.mark.parametrize("protocol", ["smithy-rpc-v2-cbor", "json", "query"])
def test_a_compressed_request_is_read_in_each_protocol(over, simulator, protocol):
    """Clients compress a long PutMetricData."""
    client, sent = over(protocol), []
    client.meta.events.register("before-send", lambda request, **_: sent.append(request.headers))
    data = [{"MetricName": f"Errors{number}", "Value": number} for number in range(400)]

    client.put_metric_data(Namespace="Shop", MetricData=data)

    assert simulator.client.calls("PutMetricData") == 1
    assert sent[0]["Content-Encoding"] == b"gzip"
    world = simulator.simulation.world("us-east-1")
    assert len(list_metrics(world.metrics, {"Namespace": "Shop"}, now=world.clock.now())["Metrics"]) == 400


def test_whole_numbers_arrive_as_doubles_where_the_field_is_one(simulator, over_cbor):
    """Clients in typed languages read a double, not an integer."""
    over_cbor.put_metric_alarm(**{**ALARM, "Threshold": 2})

    answer = post(simulator, "DescribeAlarms", b"")

    threshold = cbor2.loads(answer.content)["MetricAlarms"][0]["Threshold"]
    assert (threshold, type(threshold)) == (2, float)
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"


def test_an_operation_that_is_not_simulated_is_said_in_cbor(simulator, over_cbor):
    with pytest.raises(ClientError, match=r"NotImplemented.*list_alarm_mute_rules"):
        over_cbor.list_alarm_mute_rules()

    answer = post(simulator, "BrandNew", b"")
    error = cbor2.loads(answer.content)
    assert (answer.status_code, error["__type"]) == (501, "NotImplemented")
    assert "The operation BrandNew is not simulated: botocore" in error["message"]


def test_an_error_arrives_with_its_code_and_text(over_cbor):
    with pytest.raises(ClientError, match="SetAlarmState") as caught:
        over_cbor.set_alarm_state(AlarmName="nothing", StateValue="OK", StateReason="a test")

    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


def test_a_fault_is_answered_in_cbor_too(simulator, over_cbor):
    simulator.client.throttle("DescribeAlarms", times=1)

    with pytest.raises(ClientError, match="Rate exceeded"):
        over_cbor.describe_alarms()
    assert over_cbor.describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize("body", [b"\xff", b"{}", b"\xa1\x01"])
def test_a_body_that_is_no_cbor_is_refused(simulator, body):
    for encoding in ({}, {"Content-Encoding": "gzip"}):
        answer = post(simulator, "DescribeAlarms", body, **encoding)

        assert answer.status_code == 400
        assert b"SerializationException" in answer.content


def post(simulator, operation: str, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{simulator.url}/service/GraniteServiceVersion20100801/operation/{operation}",
        content=body,
        headers={
            "smithy-protocol": "rpc-v2-cbor",
            "Content-Type": "application/cbor",
            "Authorization": "AWS4-HMAC-SHA256 Credential=any/20260302/us-east-1/monitoring/aws4_request",
            **headers,
        },
        trust_env=False,
    )
