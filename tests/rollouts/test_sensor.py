from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_guardrails.exceptions import (
    EndpointRolledBack,
    InvalidArgument,
    RolloutNotStarted,
    RolloutTimedOut,
)
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor

ROLLED_BACK_BY_ERRORS = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 600,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
}


@pytest.fixture
def wait(simulated_sleep):
    def build(**changes):
        arguments = {"task_id": "wait", "endpoint_name": "churn", "endpoint_config_name": "churn-v2"}
        return SageMakerRolloutSensor(**{**arguments, **changes})

    return build


@pytest.fixture
def poke_on(churn, context):
    """Poke every 30 simulated seconds until the sensor has an answer."""

    def poke(sensor):
        while not (done := sensor.poke(context)):
            churn.advance(seconds=30)
        return done.xcom_value

    return poke


def launch(churn, config="churn-v2", **arguments):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=config, **arguments)


def roll_back(churn):
    churn.trip("errors")
    launch(churn, DeploymentConfig=ROLLED_BACK_BY_ERRORS)


def test_an_endpoint_that_already_serves_the_target_needs_no_wait(churn, wait, poke_on):
    report = poke_on(wait(endpoint_config_name="churn-v1"))

    assert report["outcome"] == "Succeeded"


def test_the_configuration_from_before_is_learned_from_the_endpoint(churn, wait, poke_on):
    launch(churn)

    assert poke_on(wait())["previous_endpoint_config_name"] == "churn-v1"


def test_an_update_that_never_began_is_told_after_the_start_timeout(churn, wait, poke_on):
    before = churn.simulator.client.now()

    with pytest.raises(RolloutNotStarted, match="No update of endpoint churn to churn-v2 was ever seen"):
        poke_on(wait(start_timeout=300))

    assert 300 <= (churn.simulator.client.now() - before).total_seconds() <= 360


def test_an_update_that_begins_within_the_start_timeout_is_waited_for(churn, wait, context):
    sensor = wait(start_timeout=300)
    assert sensor.poke(context) is False
    churn.advance(seconds=200)
    assert sensor.poke(context) is False
    launch(churn)
    churn.advance(seconds=30)
    assert sensor.poke(context) is False
    churn.advance(minutes=30)

    assert sensor.poke(context).xcom_value["outcome"] == "Succeeded"


def test_another_update_that_runs_first_is_waited_out(churn, wait, context):
    churn.config("churn-v0")
    launch(churn, "churn-v0")
    sensor = wait(start_timeout=3600)
    assert sensor.poke(context) is False
    churn.advance(minutes=10)
    launch(churn)
    churn.advance(seconds=30)
    assert sensor.poke(context) is False
    churn.advance(minutes=30)

    assert sensor.poke(context).xcom_value["outcome"] == "Succeeded"


def test_a_sensor_out_of_time_says_that_the_update_was_left_running(churn, wait, context):
    launch(churn)
    sensor = wait(timeout=60)
    sensor.now = lambda: 1_000.0
    assert sensor.poke(context) is False
    sensor.now = lambda: 1_061.0

    with pytest.raises(RolloutTimedOut, match="left running"):
        sensor.poke(context)


@pytest.mark.parametrize("deferrable", [False, True])
def test_soft_fail_does_not_hide_a_rollback(churn, wait, poke_on, context, deferrable):
    roll_back(churn)

    with pytest.raises(EndpointRolledBack):
        poke_on(wait(soft_fail=True, deferrable=deferrable))


def test_soft_fail_skips_an_update_that_never_began(churn, wait, poke_on, context):
    with pytest.raises(AirflowSkipException, match="No update of endpoint churn"):
        poke_on(wait(soft_fail=True))

    assert context["ti"].xcoms["rollout_report"]["outcome"] == "NotStarted"


@pytest.mark.parametrize(("on_rollback", "ends_in"), [("skip", AirflowSkipException), ("return", None)])
def test_a_rollback_can_be_skipped_or_returned_when_the_author_says_so(
    churn, wait, poke_on, on_rollback, ends_in
):
    roll_back(churn)
    sensor = wait(on_rollback=on_rollback)
    if ends_in:
        with pytest.raises(ends_in):
            poke_on(sensor)
    else:
        assert poke_on(sensor)["outcome"] == "RolledBack"


def test_a_deferrable_sensor_looks_before_it_defers(churn, wait, context):
    assert wait(endpoint_config_name="churn-v1", deferrable=True).execute(context)["outcome"] == "Succeeded"


def test_a_deferrable_sensor_defers_what_is_under_way_with_a_time_out(churn, wait, context):
    launch(churn)
    sensor = wait(deferrable=True, timeout=3600)
    sensor.now = lambda: 1_000.0

    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context)

    assert deferred.value.trigger.deadline == 4_600.0
    assert deferred.value.timeout.total_seconds() == 3600 + 120
    assert deferred.value.trigger.memory["seen_in_flight"] is True


@pytest.mark.parametrize("flag", ["silent_fail", "never_fail"])
def test_flags_that_would_hide_a_rollback_are_refused_when_the_dag_is_parsed(wait, flag):
    with pytest.raises(InvalidArgument, match=f"{flag} must not be set .* would hide a rollback"):
        wait(**{flag: True})


def test_reschedule_is_refused_because_it_forgets(wait):
    with pytest.raises(InvalidArgument, match=r"mode must be 'poke'.*deferrable=True"):
        wait(mode="reschedule")
