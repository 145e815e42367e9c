"""Alarms and their history on the wire, compared with botocore's own model of the API."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from airflow_guardrails.aws.alarms import (
    ALARM_TYPES,
    describe_alarm_history_request,
    describe_alarms_request,
    parse_alarm_history,
    parse_alarms,
)
from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.domain.alarms import Alarm, AlarmState, AlarmTransition

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
CROSSED = "Threshold Crossed: 1 datapoint [0.3] was greater than the threshold (0.05)."


@pytest.fixture(scope="session")
def cloudwatch():
    return ServiceModel(Loader().load_service_model("cloudwatch", "service-2"), "cloudwatch")


@pytest.fixture
def refused(cloudwatch):
    """What botocore has against a request, empty if nothing."""

    def report(operation, request):
        shape = cloudwatch.operation_model(operation).input_shape
        return ParamValidator().validate(request, shape).generate_report()

    return report


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


def test_every_state_botocore_knows_is_known(cloudwatch):
    assert {state.value for state in AlarmState} == set(cloudwatch.shape_for("StateValue").enum)


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
        lambda state: parse_alarm_history([moved(state)]),
    ],
    ids=["metric alarm", "composite alarm", "history"],
)
def test_a_state_nobody_knows_is_an_error_that_says_what_is_known(read):
    with pytest.raises(UnexpectedAnswer, match=r"errors.*'MUTED'.*OK, ALARM, INSUFFICIENT_DATA"):
        read("MUTED")
