"""The control API, called with its client."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime, timezone

import pytest

from airflow_guardrails.simulator.client import SimulatorClient, SimulatorError

ROLE = "arn:aws:iam::123456789012:role/churn"


@pytest.fixture
def endpoint(simulator, aws):
    """``churn`` in service on ``blue``, and a configuration ``green``."""
    sagemaker = aws("sagemaker")
    sagemaker.create_model(
        ModelName="churn", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "registry/churn:1"}
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "churn",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    for name in ("blue", "green"):
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    simulator.client.clock.advance(minutes=5)
    return lambda: sagemaker.describe_endpoint(EndpointName="churn")


def test_without_the_token_nothing_is_answered_and_nothing_done(simulator):
    for token in ("", "wrong", simulator.token[:-1], simulator.token + "x"):
        stranger = SimulatorClient(simulator.url, token)
        with pytest.raises(SimulatorError, match="X-Simulator-Token must be the token printed at start"):
            stranger.clock.advance(minutes=1)

    assert simulator.client.now() == datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


def test_a_token_of_foreign_letters_is_wrong_and_not_a_crash(simulator):
    request = urllib.request.Request(
        f"{simulator.url}/_simulator/status", headers={"X-Simulator-Token": "t\xf6ken"}
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request)

    assert raised.value.code == 401


def test_time_passes_on_request(simulator):
    assert simulator.client.speed == 0

    assert simulator.client.clock.advance(hours=1, minutes=2, seconds=3) == simulator.client.now()
    assert simulator.client.clock.now() == datetime(2026, 3, 2, 11, 2, 3, tzinfo=timezone.utc)


def test_speed_is_published_and_can_be_changed(simulator):
    simulator.client.set_speed(7200)
    assert simulator.client.speed == 7200
    while simulator.client.now() < datetime(2026, 3, 2, 10, 1, tzinfo=timezone.utc):
        pass

    simulator.client.set_speed(0)
    stands = simulator.client.now()
    assert simulator.client.now() == stands


@pytest.mark.parametrize(
    ("do", "rule"),
    [
        (lambda client: client.clock.advance(seconds=-1), "seconds must not be negative"),
        (lambda client: client.set_speed(-1), "speed must not be negative"),
        (
            lambda client: client.set_knobs(provisoning_seconds=1),
            r"unknown knob: provisoning_seconds \(known: .*",
        ),
        (lambda client: client.set_knobs(alarms_judged="never"), "must be one of bakes, always"),
        (lambda client: client.post("clock/advance"), "seconds"),
        (
            lambda client: client.post("clock/rewind"),
            r"unknown POST clock/rewind \(known: .*POST clock/advance",
        ),
        (lambda client: client.post("clock/advance", seconds="soon"), "seconds must be a number"),
    ],
)
def test_a_wrong_request_is_refused_and_says_what_would_be_right(simulator, do, rule):
    with pytest.raises(SimulatorError, match=rule):
        do(simulator.client)


@pytest.mark.parametrize("body", [b"[1]", b"not json", b'"text"'])
def test_a_body_that_is_no_object_is_refused(simulator, body):
    request = urllib.request.Request(
        f"{simulator.url}/_simulator/clock/advance", data=body, headers={"X-Simulator-Token": simulator.token}
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request)

    assert raised.value.code == 400
    assert json.load(raised.value)["error"]


def test_a_knob_turned_is_a_knob_in_force(simulator, endpoint):
    simulator.client.set_knobs(show_rolling_back=True, provisioning_seconds=5)

    assert simulator.client.status()["knobs"]["provisioning_seconds"] == 5
    assert simulator.simulation.knobs.show_rolling_back is True


def test_an_update_ends_as_scripted(simulator, aws, endpoint):
    simulator.client.script_ending("churn", status="Failed", failure_reason="bad luck", after_seconds=30)
    aws("sagemaker").update_endpoint(EndpointName="churn", EndpointConfigName="green")
    assert endpoint()["EndpointStatus"] == "Updating"

    simulator.client.clock.advance(seconds=31)

    assert (endpoint()["EndpointStatus"], endpoint()["FailureReason"]) == ("Failed", "bad luck")


def test_a_system_update_comes_and_goes(simulator, endpoint):
    simulator.client.system_update("churn", seconds=60)
    assert endpoint()["EndpointStatus"] == "SystemUpdating"

    simulator.client.clock.advance(seconds=61)
    assert endpoint()["EndpointStatus"] == "InService"


def test_an_endpoint_vanishes(simulator, endpoint):
    simulator.client.vanish("churn")

    with pytest.raises(Exception, match="Could not find endpoint"):
        endpoint()


@pytest.mark.parametrize(
    "do",
    [
        lambda client: client.vanish("nobody"),
        lambda client: client.system_update("nobody", seconds=1),
    ],
    ids=["vanish", "system_update"],
)
def test_a_script_for_an_endpoint_that_does_not_exist_is_refused(simulator, do):
    with pytest.raises(SimulatorError, match="Could not find endpoint"):
        do(simulator.client)


def test_the_state_of_an_alarm_can_be_read(simulator, aws):
    aws("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        Namespace="Test",
        MetricName="m",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
    )

    assert simulator.client.alarm_state("errors") == "INSUFFICIENT_DATA"
    assert simulator.client.alarm_state("nobody") is None


def test_regions_are_controlled_apart(simulator, endpoint):
    elsewhere = SimulatorClient(simulator.url, simulator.token, region="eu-west-1")

    with pytest.raises(SimulatorError, match=r"arn:aws:sagemaker:eu-west-1:.*:endpoint/churn"):
        elsewhere.vanish("churn")
    assert endpoint()["EndpointStatus"] == "InService"


def test_a_proxy_for_the_internet_is_not_asked(simulator, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert simulator.client.speed == 0
