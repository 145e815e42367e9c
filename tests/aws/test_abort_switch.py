"""The abort switch on the wire, held to botocore's own model of CloudWatch."""

from __future__ import annotations

import pytest

from airflow_guardrails.aws.abort_switch import drift, publish_request, put_switch_request, switch_definition
from airflow_guardrails.domain.abort_switch import RESET, THROWN, AbortSwitch
from tests.conftest import switch_of

SWITCH = switch_of()
DEFINITION = switch_definition(SWITCH)


@pytest.mark.parametrize("endpoint_name", ["a", "a" * 63])
def test_the_alarm_is_one_that_put_metric_alarm_accepts(cloudwatch, refused, endpoint_name):
    request = put_switch_request(AbortSwitch(endpoint_name=endpoint_name))

    assert refused("PutMetricAlarm", request) == ""
    members = cloudwatch.operation_model("PutMetricAlarm").input_shape.members
    assert request["Statistic"] in members["Statistic"].enum
    assert request["ComparisonOperator"] in members["ComparisonOperator"].enum
    for name in ("AlarmName", "AlarmDescription", "TreatMissingData"):
        assert len(request[name]) <= members[name].metadata["max"]


def test_the_alarm_is_one_datapoint_of_ten_seconds_that_stays_without_data():
    assert DEFINITION == {
        "Namespace": "AirflowGuardrails",
        "MetricName": "Abort",
        "Dimensions": [{"Name": "EndpointName", "Value": "churn"}],
        "Statistic": "Maximum",
        "Period": 10,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "ignore",
    }


def test_the_alarm_notifies_nobody():
    request = put_switch_request(SWITCH)
    assert request["ActionsEnabled"] is False
    assert not [name for name in request if name.endswith("Actions")]


def test_every_endpoint_has_a_switch_of_its_own_and_always_the_same():
    assert SWITCH.alarm_name == switch_of().alarm_name
    assert SWITCH.alarm_name != AbortSwitch(endpoint_name="churn-2").alarm_name


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


def test_an_alarm_as_it_was_made_has_not_drifted_whatever_else_aws_says_of_it():
    described = {**put_switch_request(SWITCH), "StateValue": "ALARM", "AlarmArn": "arn:aws:cloudwatch:::a"}
    assert drift(SWITCH, described) == []


OTHER = {
    "Namespace": "AWS/SageMaker",
    "MetricName": "Aborts",
    "Dimensions": [{"Name": "EndpointName", "Value": "churn-2"}],
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "Threshold": 2.0,
    "ComparisonOperator": "LessThanThreshold",
    "TreatMissingData": "missing",
}


@pytest.mark.parametrize("name", list(DEFINITION))
def test_every_part_that_drifts_is_told_by_name_and_value(name):
    described = {**put_switch_request(SWITCH), name: OTHER[name]}
    assert drift(SWITCH, described) == [f"{name} is {OTHER[name]!r}, must be {DEFINITION[name]!r}"]


def test_a_part_that_is_missing_has_drifted_too():
    described = put_switch_request(SWITCH)
    del described["DatapointsToAlarm"]
    assert drift(SWITCH, described) == ["DatapointsToAlarm is None, must be 1"]


def test_a_composite_alarm_of_the_same_name_is_no_switch():
    assert len(drift(SWITCH, {"AlarmName": SWITCH.alarm_name, "AlarmRule": "TRUE"})) == len(DEFINITION)


def test_an_alarm_that_asks_for_a_unit_never_sees_what_is_published():
    described = {**put_switch_request(SWITCH), "Unit": "Count"}
    assert drift(SWITCH, described) == ["Unit is 'Count', must be None"]


# Not there together with a Statistic on a MetricName.
EXCLUDED = {
    "ExtendedStatistic",
    "EvaluateLowSampleCountPercentile",
    "Metrics",
    "ThresholdMetricId",
    "EvaluationCriteria",
    "EvaluationInterval",
}
# A switch looks at one period of 10 s, wherever its window begins; while it warms up it is not OK, and no
# update begins.
INDIFFERENT = {"EvaluationWindow", "WarmUpConfiguration"}
# Names, actions, and how the alarm stands.
NO_PART_OF_IT = {
    "AlarmName",
    "AlarmArn",
    "AlarmDescription",
    "AlarmConfigurationUpdatedTimestamp",
    "ActionsEnabled",
    "ActionConfiguration",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
    "StateValue",
    "StateReason",
    "StateReasonData",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
    "EvaluationState",
}


def test_whatever_decides_when_an_alarm_trips_is_compared(cloudwatch):
    members = set(cloudwatch.shape_for("MetricAlarm").members)
    assert members - EXCLUDED - INDIFFERENT - NO_PART_OF_IT == {*DEFINITION, "Unit"}
