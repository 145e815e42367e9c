"""The abort switch on the wire, held to botocore's own model of CloudWatch."""

from __future__ import annotations

import pytest

from airflow_guardrails.aws.abort_switch import (
    publish_request,
    put_switch_request,
    switch_definition,
    switch_target,
)
from airflow_guardrails.domain.snapshots.abort_switch import RESET, THROWN, AbortSwitch
from tests.support.churn import switch_of

SWITCH = switch_of()
DEFINITION = switch_definition(SWITCH)


@pytest.mark.parametrize("endpoint_name", ["a", "a" * 63])
def test_the_alarm_is_one_that_put_metric_alarm_accepts(cloudwatch, refused, endpoint_name):
    switch = AbortSwitch.of(endpoint_name, owner=SWITCH.owner, target="v" * 63)
    request = put_switch_request(switch, target="v" * 63)

    assert refused("PutMetricAlarm", request) == ""
    members = cloudwatch.operation_model("PutMetricAlarm").input_shape.members
    assert request["Statistic"] in members["Statistic"].enum
    assert request["ComparisonOperator"] in members["ComparisonOperator"].enum
    for name in ("AlarmName", "AlarmDescription", "TreatMissingData"):
        assert len(request[name]) <= members[name].metadata["max"]


def test_the_alarm_is_one_datapoint_of_ten_seconds_that_stays_without_data():
    assert {
        "Namespace": "AirflowGuardrails",
        "MetricName": "Abort",
        "Dimensions": [
            {"Name": "EndpointName", "Value": "churn"},
            {"Name": "Rollout", "Value": SWITCH.rollout},
        ],
        "Statistic": "Maximum",
        "Period": 10,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "ignore",
    } == DEFINITION


def test_the_alarm_notifies_nobody():
    request = put_switch_request(SWITCH, target="churn-v2")
    assert request["ActionsEnabled"] is False
    assert not [name for name in request if name.endswith("Actions")]


@pytest.mark.parametrize(
    "other",
    [switch_of("churn-2"), switch_of(target="churn-v3")],
    ids=["endpoint", "target"],
)
def test_what_throws_one_switch_throws_no_other(other):
    """Neither the alarm's name nor its metric is that of another rollout."""
    assert switch_definition(other)["Dimensions"] != DEFINITION["Dimensions"]
    assert publish_request(other, THROWN)["MetricData"][0]["Dimensions"] != DEFINITION["Dimensions"]
    assert other.alarm_name != SWITCH.alarm_name


@pytest.mark.parametrize("value", [THROWN, RESET])
def test_what_is_published_is_what_the_alarm_watches_second_by_second(refused, value):
    request = publish_request(SWITCH, value)

    assert refused("PutMetricData", request) == ""
    (datum,) = request["MetricData"]
    assert request["Namespace"] == DEFINITION["Namespace"]
    assert (datum["MetricName"], datum["Dimensions"]) == (DEFINITION["MetricName"], DEFINITION["Dimensions"])
    # An alarm with a period of 10 s needs a metric that is stored by the second.
    assert datum["StorageResolution"] == 1
    assert (datum["Value"] >= DEFINITION["Threshold"]) is (value == THROWN)


def described(**more):
    """As DescribeAlarms says it of an alarm that was made by this package."""
    alarm = put_switch_request(SWITCH, target="churn-v2")
    return {"MetricAlarms": [{**alarm, "StateValue": "OK", **more}], "CompositeAlarms": []}


def test_the_target_is_read_from_the_alarm_that_somebody_else_has_made():
    assert switch_target(described()) == "churn-v2"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"MetricAlarms": []},
        described(AlarmDescription=None),
        described(AlarmDescription=""),
        described(AlarmDescription="Changed by hand to churn-v2"),
    ],
)
def test_a_target_that_no_alarm_names_is_not_made_up(answer):
    assert switch_target(answer) is None
