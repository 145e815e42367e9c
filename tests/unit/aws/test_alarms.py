"""Alarms and their history on the wire, compared with botocore's own model of the API."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.aws.alarms import (
    ALARM_TYPES,
    describe_alarm_history_request,
    describe_alarms_request,
    parse_alarm_history,
    parse_alarms,
)
from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmRule, AlarmState, AlarmTransition

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
CROSSED = "Threshold Crossed: 1 datapoint [0.3] was greater than the threshold (0.05)."


def described(name="errors", **members):
    return {"AlarmName": name, "StateValue": "OK", "StateReason": "", **members}


def moved(new, *, name="errors", at=TEN, reason=CROSSED, **members):
    data = {
        "version": "1.0",
        "oldState": {"stateValue": "OK", "stateReason": "fine"},
        "newState": {"stateValue": new, "stateReason": reason},
    }
    return {
        "AlarmName": name,
        "AlarmType": "MetricAlarm",
        "Timestamp": at,
        "HistoryItemType": "StateUpdate",
        "HistorySummary": f"Alarm updated from OK to {new}",
        "HistoryData": json.dumps(data),
        **members,
    }


# What is asked for.


def test_composite_alarms_are_asked_for_by_name_because_cloudwatch_keeps_quiet_about_them(cloudwatch):
    assert "CompositeAlarm" in ALARM_TYPES
    assert set(ALARM_TYPES) <= set(cloudwatch.shape_for("AlarmType").enum)
    assert describe_alarms_request(["errors"])["AlarmTypes"] == list(ALARM_TYPES)


def test_the_request_for_alarms_is_what_botocore_accepts(refused):
    assert not refused("DescribeAlarms", describe_alarms_request(f"alarm-{number}" for number in range(10)))


def test_the_request_for_their_history_is_what_botocore_accepts(cloudwatch, refused):
    request = describe_alarm_history_request("errors", start=TEN, end=TEN + MINUTE)

    assert not refused("DescribeAlarmHistory", request)
    assert request["HistoryItemType"] in cloudwatch.shape_for("HistoryItemType").enum


# What is answered.


def test_metric_and_composite_alarms_are_read_alike():
    answer = {
        "MetricAlarms": [described("errors", StateValue="ALARM", StateReason=CROSSED)],
        "CompositeAlarms": [described("any-of-them")],
    }

    assert parse_alarms(answer) == (
        Alarm(name="errors", state=AlarmState.ALARM, reason=CROSSED),
        Alarm(name="any-of-them", state=AlarmState.OK, composite=True),
    )


@pytest.mark.parametrize("answer", [{}, {"MetricAlarms": []}, {"MetricAlarms": [], "CompositeAlarms": []}])
def test_alarms_that_do_not_exist_are_not_there(answer):
    assert parse_alarms(answer) == ()


@pytest.mark.parametrize(
    ("times", "since"),
    [
        # StateUpdatedTimestamp moves with every new reason, and with SetAlarmState to the same state.
        ({"StateUpdatedTimestamp": TEN + MINUTE, "StateTransitionedTimestamp": TEN}, TEN),
        ({"StateUpdatedTimestamp": TEN + MINUTE}, TEN + MINUTE),
        ({}, None),
    ],
)
def test_an_alarm_is_in_its_state_since_it_took_it(times, since):
    (alarm,) = parse_alarms({"MetricAlarms": [described(**times)]})

    assert alarm.since == since


def test_a_change_of_state_is_read_with_its_reason():
    assert parse_alarm_history([moved("ALARM")]) == (
        AlarmTransition(name="errors", state=AlarmState.ALARM, at=TEN, reason=CROSSED),
    )


def test_a_history_cut_off_at_its_longest_still_says_which_state_was_taken():
    item = moved("ALARM", reason="x" * 5000)
    item["HistoryData"] = item["HistoryData"][:4095]

    assert parse_alarm_history([item]) == (AlarmTransition(name="errors", state=AlarmState.ALARM, at=TEN),)


def test_a_history_that_says_nothing_of_a_new_state_is_read_from_its_summary():
    item = moved("INSUFFICIENT_DATA", HistoryData='{"version":"1.0"}')

    assert parse_alarm_history([item])[0].state is AlarmState.INSUFFICIENT_DATA


@pytest.mark.parametrize(
    "read",
    [
        lambda state: parse_alarms({"MetricAlarms": [described(StateValue=state)]}),
        lambda state: parse_alarms({"CompositeAlarms": [described(StateValue=state)]}),
    ],
    ids=["metric alarm", "composite alarm"],
)
def test_an_unknown_state_is_an_error_that_names_the_known_ones(read):
    with pytest.raises(UnexpectedAnswer, match=r"'MUTED' of alarm errors.*OK, ALARM, INSUFFICIENT_DATA"):
        read("MUTED")


def test_a_change_to_an_unknown_state_is_left_out_as_it_only_explains():
    assert [entry.state for entry in parse_alarm_history([moved("MUTED"), moved("ALARM")])] == [
        AlarmState.ALARM
    ]


def test_a_reason_is_always_one_line():
    reason = "Set by\n\x1b[31mhttps://me:secret@host\x1b[0m"
    (alarm,) = parse_alarms({"MetricAlarms": [described(StateReason=reason)]})
    (entry,) = parse_alarm_history([moved("ALARM", reason=reason)])

    assert alarm.reason == entry.reason == "Set by https://***@host"


def test_a_dimension_that_cannot_be_read_makes_another_metric_so_there_is_no_rule():
    assert rule_of(Dimensions=[{"Name": "EndpointName"}]) is None


# What an alarm goes off at.

METRIC = {
    "Namespace": "AWS/SageMaker",
    "MetricName": "Invocation5XXErrors",
    "Dimensions": [
        {"Name": "EndpointName", "Value": "churn"},
        {"Name": "VariantName", "Value": "AllTraffic"},
    ],
    "Statistic": "Average",
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 0.05,
    "Period": 60,
    "EvaluationPeriods": 5,
}


def rule_of(**members):
    (alarm,) = parse_alarms({"MetricAlarms": [described(**{**METRIC, **members})]})
    return alarm.rule


def test_an_alarm_on_a_metric_is_read_with_its_rule():
    assert rule_of(DatapointsToAlarm=3, TreatMissingData="notBreaching") == AlarmRule(
        namespace="AWS/SageMaker",
        metric="Invocation5XXErrors",
        dimensions=(("EndpointName", "churn"), ("VariantName", "AllTraffic")),
        statistic="Average",
        comparison="GreaterThanThreshold",
        threshold=0.05,
        period=MINUTE,
        evaluation_periods=5,
        datapoints_to_alarm=3,
        treat_missing_data="notBreaching",
    )


def test_what_cloudwatch_leaves_out_of_a_rule_is_its_own_default():
    assert (rule_of().datapoints_to_alarm, rule_of().treat_missing_data) == (5, "missing")


def test_a_percentile_is_a_statistic_too():
    assert rule_of(Statistic=None, ExtendedStatistic="p99").statistic == "p99"


def test_a_threshold_of_zero_is_a_threshold():
    assert rule_of(Threshold=0.0).threshold == 0


def test_a_dimension_is_found_by_its_name():
    assert rule_of().dimension("VariantName") == "AllTraffic"
    assert rule_of().dimension("EndpointConfigName") is None


@pytest.mark.parametrize(
    "members",
    [
        {
            "Metrics": [{"Id": "rate", "Expression": "errors / requests"}],
            "Threshold": 0.1,
            "EvaluationPeriods": 1,
        },
        {"Metrics": [], "ThresholdMetricId": "band", "EvaluationPeriods": 2},
        {"EvaluationCriteria": {}, "EvaluationInterval": 60},
    ],
    ids=["metric math", "anomaly detection", "query"],
)
def test_what_is_no_comparison_of_one_metric_has_no_rule(members):
    (alarm,) = parse_alarms({"MetricAlarms": [described(**members)]})

    assert (alarm.rule, alarm.composite) == (None, False)


def test_every_member_of_a_rule_is_in_botocores_model(cloudwatch):
    members = set(cloudwatch.shape_for("MetricAlarm").members)

    assert {*METRIC, "ExtendedStatistic", "DatapointsToAlarm", "TreatMissingData"} <= members
    assert {"GreaterThanThreshold", "GreaterThanOrEqualToThreshold"} <= set(
        cloudwatch.shape_for("ComparisonOperator").enum
    )
