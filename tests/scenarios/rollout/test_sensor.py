from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_guardrails.exceptions import (
    EndpointRolledBack,
    InvalidArgument,
    RollbackFailed,
    RolloutFailed,
    RolloutNotStarted,
    RolloutSuperseded,
    RolloutTimedOut,
)
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from tests.support.fakes import TaskState
from tests.support.older_airflow import needs_task_state
from tests.support.triggers import executed

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


def test_an_update_that_never_began_is_reported_after_the_start_timeout(churn, wait, poke_on):
    before = churn.now()

    never = r"No update of churn to churn-v2 was seen.* It had 5 min to start \(start_timeout\)\.$"
    with pytest.raises(RolloutNotStarted, match=never):
        poke_on(wait(start_timeout=300))

    assert 300 <= (churn.now() - before).total_seconds() <= 360


def test_somebody_elses_update_may_start_within_an_hour(churn, wait, context, capsys):
    sensor = wait()
    assert sensor.poke(context) is False
    assert "must be seen to run within 1 h (start_timeout)" in capsys.readouterr().out
    churn.advance(minutes=59)
    assert sensor.poke(context) is False
    launch(churn)
    churn.advance(minutes=30)

    assert sensor.poke(context).xcom_value["outcome"] == "Succeeded"


def test_an_update_that_was_started_is_seen_within_two_minutes_or_never(churn, wait, poke_on):
    before = churn.now()

    with pytest.raises(RolloutNotStarted, match="2 min"):
        poke_on(wait(started_after=before.isoformat()))

    assert 120 <= (churn.now() - before).total_seconds() <= 180


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
    assert sensor.poke(context) is False
    churn.advance(seconds=61)

    with pytest.raises(RolloutTimedOut, match="left running"):
        sensor.poke(context)


@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_airflows_own_time_out_ends_a_sensor_with_its_report_too(churn, wait, context, mode, soft_fail):
    launch(churn)
    known = {"previous_endpoint_config_name": "churn-v1", "started_after": churn.now().isoformat()}
    sensor = wait(timeout=3600, mode=mode, soft_fail=soft_fail, **known)

    def out_of_time(_context):
        raise AirflowSensorTimeout("Sensor has timed out; run duration of 3600 seconds")

    assert sensor.poke(context) is False
    sensor.poke = out_of_time
    context["ti"].get_first_reschedule_date = lambda _context: None

    with pytest.raises(AirflowSkipException if soft_fail else RolloutTimedOut, match="timed out"):
        sensor.execute({**context, "task_reschedule_count": 0})

    assert context["ti"].xcoms["rollout_report"]["outcome"] == "TimedOut"


@pytest.mark.parametrize("rendered", ["None", ""])
def test_a_previous_configuration_that_rendered_to_nothing_is_refused(
    churn, wait, poke_on, context, rendered
):
    roll_back(churn)

    with pytest.raises(InvalidArgument, match="an empty template renders to this"):
        poke_on(wait(previous_endpoint_config_name=rendered))


@pytest.mark.parametrize("deferrable", [False, True])
def test_soft_fail_does_not_hide_a_rollback(churn, wait, poke_on, context, deferrable):
    roll_back(churn)

    with pytest.raises(EndpointRolledBack):
        poke_on(wait(soft_fail=True, deferrable=deferrable))


def test_soft_fail_skips_an_update_that_never_began(churn, wait, poke_on, context):
    with pytest.raises(AirflowSkipException, match="No update of churn"):
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
    looked_at = churn.now().timestamp()

    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context)

    assert deferred.value.trigger.deadline == pytest.approx(looked_at + 3600, abs=1)
    # Clocks of worker, triggerer and scheduler may differ by ten minutes.
    assert deferred.value.timeout.total_seconds() == 3600 + 900
    assert deferred.value.trigger.memory["seen_in_flight"] is True


@pytest.mark.parametrize("flag", ["silent_fail", "never_fail"])
def test_flags_that_would_hide_a_rollback_are_refused_when_the_dag_is_parsed(wait, flag):
    with pytest.raises(InvalidArgument, match=f"{flag} must not be set .* would hide a rollback"):
        wait(**{flag: True})


@pytest.fixture
def reschedule(churn, wait, simulated_sleep, context):
    """Look every 30 simulated seconds, each time with a new sensor, as Airflow does in reschedule mode."""

    def look_on(**arguments):
        while True:
            sensor = wait(mode="reschedule", **arguments)
            sensor.sleep = simulated_sleep
            if done := sensor.poke(context):
                return done.xcom_value
            churn.advance(seconds=30)

    return look_on


@needs_task_state
def test_a_rescheduled_sensor_remembers_what_it_has_seen_in_airflows_task_state(churn, reschedule, context):
    context["task_state_store"] = TaskState()
    launch(churn)
    churn.simulator.client.script_ending("churn", status="InService", after_seconds=200)

    with pytest.raises(EndpointRolledBack) as caught:
        reschedule()

    assert caught.value.report["previous_endpoint_config_name"] == "churn-v1"
    assert len(caught.value.report["stages"]) > 1


@needs_task_state
def test_another_try_of_a_rescheduled_sensor_starts_anew(churn, reschedule, wait, context):
    context["task_state_store"] = TaskState()
    launch(churn)
    wait(mode="reschedule").poke(context)
    kept = context["task_state_store"].get("airflow_guardrails_watch")
    assert kept["watch"]["seen_in_flight"] is True
    churn.advance(minutes=30)
    launch(churn, "churn-v1")
    churn.advance(minutes=30)

    context["ti"].try_number = 2
    with pytest.raises(RolloutNotStarted):
        reschedule()


def test_without_state_a_rescheduled_sensor_recognises_a_rollback_by_its_arguments(
    churn, reschedule, context
):
    asked_at = churn.now()
    churn.advance(seconds=5)
    roll_back(churn)

    with pytest.raises(EndpointRolledBack):
        reschedule(previous_endpoint_config_name="churn-v1", started_after=asked_at.isoformat())


def test_without_state_an_update_that_never_began_is_distinguished_from_a_rollback(
    churn, reschedule, context
):
    churn.advance(seconds=5)
    asked_at = churn.now()

    with pytest.raises(RolloutNotStarted):
        reschedule(previous_endpoint_config_name="churn-v1", started_after=asked_at)


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({}, True),
        ({"previous_endpoint_config_name": "churn-v1"}, True),
        ({"started_after": "2026-03-02T10:00:00+00:00"}, True),
        ({"previous_endpoint_config_name": "churn-v1", "started_after": "2026-03-02T10:00:00+00:00"}, False),
    ],
)
def test_before_airflow_has_task_state_reschedule_needs_what_it_forgets_as_arguments(
    wait, monkeypatch, arguments, refused
):
    monkeypatch.setattr("airflow_guardrails.sensors.rollout.keeps_task_state", lambda: False)

    if not refused:
        assert wait(mode="reschedule", **arguments).mode == "reschedule"
        return
    with pytest.raises(
        InvalidArgument, match=r"before Airflow 3\.3, unless previous_endpoint_config_name and"
    ):
        wait(mode="reschedule", **arguments)


@pytest.mark.parametrize("value", ["yesterday", "2026-03-02T10:00:00"])
def test_a_start_that_is_no_moment_is_refused(wait, context, value):
    with pytest.raises(InvalidArgument, match="started_after must be a time with its zone"):
        wait(started_after=value).poke(context)


# Flags x outcomes x modes: what the sensor does is decided by the outcome, and only then by the flags.

OUTCOMES = {
    "Succeeded": {"endpoint_config_name": "churn-v1"},
    "RolledBack": {},
    "RollbackFailed": {},
    "Failed": {},
    "Superseded": {},
    "NotStarted": {},
    "TimedOut": {"timeout": 60},
}
ERRORS = {
    "RolledBack": EndpointRolledBack,
    "RollbackFailed": RollbackFailed,
    "Failed": RolloutFailed,
    "Superseded": RolloutSuperseded,
    "NotStarted": RolloutNotStarted,
    "TimedOut": RolloutTimedOut,
}


def arrange(churn, outcome):
    script = churn.simulator.client.script_ending
    if outcome == "RolledBack":
        roll_back(churn)
    elif outcome in {"RollbackFailed", "Failed", "Superseded", "TimedOut"}:
        if outcome == "RollbackFailed":
            script("churn", status="UpdateRollbackFailed", after_seconds=60)
        if outcome == "Failed":
            script("churn", status="Failed", after_seconds=60)
        if outcome == "Superseded":
            script(
                "churn", status="InService", after_seconds=60, endpoint_config_name=churn.config("churn-v3")
            )
        launch(churn)


async def ending_of(mode, churn, wait, context, simulated_sleep, **arguments):
    """What the sensor does in *mode*: its report, or the error it ends with."""
    context["task_state_store"] = TaskState()
    started = churn.now()

    def now():
        return (churn.now() - started).total_seconds()

    def made():
        flags = {"mode": "reschedule"} if mode == "reschedule" else {"deferrable": mode == "deferrable"}
        sensor = wait(**flags, **arguments)
        sensor.sleep, sensor.monotonic = simulated_sleep, now
        return sensor

    sensor = made()
    try:
        if mode == "deferrable":
            return await executed(sensor, context, simulated_sleep, now=now)
        while not (done := sensor.poke(context)):
            churn.advance(seconds=30)
            sensor = made() if mode == "reschedule" else sensor
    except AirflowException as error:
        return error
    return done.xcom_value


@pytest.mark.proof
@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
@pytest.mark.parametrize(
    ("outcome", "soft_fail", "on_rollback"),
    [
        *((outcome, soft_fail, "fail") for outcome in OUTCOMES for soft_fail in (False, True)),
        *(("RolledBack", soft_fail, action) for action in ("skip", "return") for soft_fail in (False, True)),
        *((outcome, False, "return") for outcome in ("RollbackFailed", "Superseded")),
    ],
)
async def test_the_outcome_decides_and_only_then_the_flags(
    churn, wait, context, simulated_sleep, outcome, soft_fail, on_rollback, mode
):
    arrange(churn, outcome)

    ending = await ending_of(
        mode,
        churn,
        wait,
        context,
        simulated_sleep,
        soft_fail=soft_fail,
        on_rollback=on_rollback,
        **OUTCOMES[outcome],
    )

    assert context["ti"].xcoms["rollout_report"]["outcome"] == outcome
    skipped = (outcome == "RolledBack" and on_rollback == "skip") or (
        soft_fail and outcome in {"NotStarted", "TimedOut"}
    )
    if outcome == "Succeeded" or (outcome == "RolledBack" and on_rollback == "return"):
        assert ending["outcome"] == outcome
    elif skipped:
        assert isinstance(ending, AirflowSkipException)
    else:
        assert isinstance(ending, ERRORS[outcome])
