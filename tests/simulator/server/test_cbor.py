"""CloudWatch over Smithy RPC v2 CBOR answers as it does over JSON."""

from __future__ import annotations

from datetime import timedelta

import botocore.model
import httpx
import pytest
from botocore.exceptions import ClientError

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
}


@pytest.fixture
def over_cbor(aws, monkeypatch):
    """A client that speaks CBOR, as those of other languages do."""
    monkeypatch.setattr(botocore.model, "PRIORITY_ORDERED_SUPPORTED_PROTOCOLS", ("smithy-rpc-v2-cbor",))
    client = aws("cloudwatch")
    assert client.meta.service_model.resolved_protocol == "smithy-rpc-v2-cbor"
    return client


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

        if operation not in changes | {"PutCompositeAlarm", "DeleteAlarms"}:
            assert answer == called(over_json, operation), operation
    assert called(over_json, "DescribeAlarms")["MetricAlarms"][0]["StateValue"] == "ALARM"
    assert called(over_json, "GetMetricData")["MetricDataResults"][0]["Values"] == [4.5]


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
    path = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms"
    headers = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}

    answer = httpx.post(simulator.url + path, content=body, headers=headers, trust_env=False)

    assert answer.status_code == 400
    assert b"SerializationException" in answer.content
