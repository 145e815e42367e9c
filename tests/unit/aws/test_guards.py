"""The alarms that are made of guards."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.validate import ParamValidator

from airflow_guardrails.aws.guards import guard_as_alarm, put_guard_request
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix
from airflow_guardrails.domain.snapshots.alarms import AlarmState
from airflow_guardrails.domain.snapshots.guard_alarms import guard_alarms, watched_in
from airflow_guardrails.guards import Alarm, ErrorRate, Latency
from tests.support.churn import switch_of
from tests.support.service_models import service_model

SWITCH = switch_of()
LONGEST = "n" * 63
SHARE = Alarm(
    expression="100 * errors / requests",
    metrics={
        "errors": {"metric": "Invocation5XXErrors", "stat": "Sum"},
        "requests": {"metric": "Orders", "stat": "Sum", "namespace": "Shop", "dimensions": {"Shop": "A"}},
    },
    above=5,
)
GUARDS = [
    ErrorRate(above=0.01),
    ErrorRate(above=0.01, on="both", periods=3),
    Latency(above=timedelta(milliseconds=250)),
    Alarm(metric="Invocations", stat="Sum", below=1, on="both", missing="breaching"),
    Alarm(metric="Orders", stat="Sum", namespace="Shop", dimensions={"Shop": "A"}, below=1),
    SHARE,
]


def made(*guards, variants=("AllTraffic",), switch=SWITCH, target="churn-v2"):
    return guard_alarms(guards, switch, target=target, variants=variants)


def request_of(guard):
    (alarm,) = made(guard)
    return put_guard_request(alarm)


@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_botocore_accepts_the_request(guard):
    shape = service_model("cloudwatch").operation_model("PutMetricAlarm").input_shape

    assert not ParamValidator().validate(request_of(guard), shape).has_errors()


def test_the_new_fleet_is_told_apart_by_the_name_of_its_configuration():
    new, both = request_of(GUARDS[0]), request_of(GUARDS[1])

    endpoint = {"Name": "EndpointName", "Value": "churn"}
    variant = {"Name": "VariantName", "Value": "AllTraffic"}
    assert new["Dimensions"] == [
        endpoint,
        variant,
        {"Name": "EndpointConfigName", "Value": "churn-v2"},
    ]
    assert both["Dimensions"] == [endpoint, variant]
    assert (both["EvaluationPeriods"], both["DatapointsToAlarm"]) == (3, 3)


def test_a_fleet_without_requests_is_ok():
    assert {request_of(guard)["TreatMissingData"] for guard in GUARDS[:3]} == {"notBreaching"}


def test_a_latency_is_a_percentile_in_microseconds():
    request = request_of(GUARDS[2])

    assert (request["MetricName"], request["ExtendedStatistic"]) == ("ModelLatency", "p99")
    assert request["Threshold"] == 250_000
    assert "Statistic" not in request


def test_the_metrics_of_an_expression_have_dimensions_of_their_own():
    errors, requests, result = request_of(SHARE)["Metrics"]

    assert [each["Value"] for each in errors["MetricStat"]["Metric"]["Dimensions"]] == [
        "churn",
        "AllTraffic",
        "churn-v2",
    ]
    assert requests["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "Shop", "Value": "A"}]
    assert (result["Expression"], result["ReturnData"]) == ("100 * errors / requests", True)


def test_guards_of_one_rollout_have_names_of_their_own_which_are_the_same_each_time():
    alarms = made(ErrorRate(above=0.01), ErrorRate(above=0.1, periods=5), SHARE, variants=("A", "B"))

    names = [alarm.name for alarm in alarms]
    assert names == [
        f"{guard_prefix('churn')}{SWITCH.rollout}-{label}"
        for label in (
            "1-5xx-errors-A",
            "1-5xx-errors-B",
            "2-5xx-errors-A",
            "2-5xx-errors-B",
            "3-100-errors-requests-A",
            "3-100-errors-requests-B",
        )
    ]


def test_a_guard_with_its_own_dimensions_is_made_once_however_many_variants_there_are():
    (alarm,) = made(GUARDS[4], variants=("A", "B"))

    assert alarm.words == "Orders Sum < 1, 1 min"


@pytest.mark.parametrize("guard", [ErrorRate(above=0.01), SHARE])
def test_the_longest_names_fit(guard):
    switch = switch_of(LONGEST, LONGEST)
    alarms = made(guard, variants=(LONGEST, LONGEST[1:]), switch=switch, target=LONGEST)

    for alarm in alarms:
        request = put_guard_request(alarm)
        assert len(request["AlarmName"]) <= 255
        assert len(request["AlarmDescription"]) <= 1024


def test_a_description_of_the_longest_expression_fits():
    guard = Alarm(
        expression=f"errors + {' + '.join(['1'] * 250)}",
        metrics={"errors": {"metric": "Invocation5XXErrors", "stat": "Sum"}},
        above=5,
    )

    assert len(request_of(guard)["AlarmDescription"]) <= 1024


@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_the_description_says_what_is_watched(guard):
    description = request_of(guard)["AlarmDescription"]

    assert watched_in(description) == guard.watches()
    assert "the update of endpoint churn to churn-v2" in description


@pytest.mark.parametrize("text", ["", "of people", ": in ALARM it rolls back the update of endpoint churn"])
def test_the_description_of_another_alarm_says_nothing_of_a_guard(text):
    assert watched_in(text) is None


def test_a_guard_is_checked_as_the_alarm_that_it_becomes():
    (alarm,) = made(ErrorRate(above=0.01))

    checked = guard_as_alarm(alarm)

    assert (checked.name, checked.state) == (alarm.name, AlarmState.OK)
    assert checked.rule is not None
    assert checked.rule.describe() == "AWS/SageMaker Invocation5XXErrors Average, 1 min"
    assert checked.rule.dimension("EndpointConfigName") == "churn-v2"
