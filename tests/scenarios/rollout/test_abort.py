"""The abort switch: thrown by an operator, a time-out or a person, and never at another update."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.exceptions import (
    AbortRefused,
    AbortSwitchNotReady,
    AbortTooLate,
    AccessDenied,
    EndpointRolledBack,
    InvalidArgument,
    NothingToAbort,
    RolloutTimedOut,
)
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.strategies import AllAtOnce, Canary
from tests.support.churn import alarm_request, switch_of
from tests.support.triggers import event_of

SWITCH = switch_of().alarm_name
CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))


@pytest.fixture
def update(guarded_update):
    return partial(guarded_update, strategy=CANARY)


@pytest.fixture
def abort(simulated_sleep):
    def build(**changes):
        operator = SageMakerAbortRolloutOperator(**{"task_id": "abort", "endpoint_name": "churn", **changes})
        operator.sleep = simulated_sleep
        return operator

    return build


@pytest.fixture
def launched(churn, update, context):
    """An update of the task in flight, with a quarter of the traffic."""
    update(wait_for_completion=False).execute(context)
    churn.advance(minutes=5)
    return churn


def state_of_the_switch(churn):
    return churn.simulator.client.alarm_state(SWITCH)


# The operator that aborts.


def test_an_abort_in_a_bake_rolls_back_and_succeeds(launched, abort, context):
    report = abort().execute(context)

    assert report["outcome"] == "RolledBack"
    assert report["cause"]["kind"] == "abort"
    assert report["serving_endpoint_config_name"] == "churn-v1" == launched.describe()["EndpointConfigName"]


def test_the_switch_is_reset_at_the_end(launched, abort, context):
    abort().execute(context)
    launched.advance(seconds=30)

    assert state_of_the_switch(launched) == "OK"


def test_an_abort_before_the_bake_acts_as_soon_as_it_begins(churn, update, abort, context):
    update(wait_for_completion=False).execute(context)

    assert abort(endpoint_config_name="churn-v2").execute(context)["outcome"] == "RolledBack"


def test_an_abort_after_the_last_bake_is_too_late(churn, update, abort, context):
    churn.simulator.client.set_knobs(deleting_seconds=600)
    update(strategy=Canary(percent=25, bake=timedelta(minutes=2)), wait_for_completion=False).execute(context)
    churn.advance(minutes=6)
    assert churn.describe()["EndpointStatus"] == "Updating"

    with pytest.raises(AbortTooLate, match="churn serves churn-v2") as caught:
        abort().execute(context)

    assert caught.value.report["outcome"] == "Succeeded"
    churn.advance(seconds=30)
    assert state_of_the_switch(churn) == "OK"


@pytest.mark.parametrize("concluded", [False, True], ids=["left in ALARM", "reset by the update's task"])
def test_a_retry_after_the_throw_reports_what_it_did(
    launched, update, abort, context, task_instance, concluded
):
    class Died(BaseException):
        pass

    def die(_seconds):
        raise Died

    operator = abort()
    operator.sleep = die  # the first pause is right after the throw
    with pytest.raises(Died):
        operator.execute(context)
    launched.advance(minutes=30)
    assert launched.describe()["EndpointConfigName"] == "churn-v1"
    if concluded:
        with pytest.raises(EndpointRolledBack):
            update().execute(context)
        launched.advance(minutes=1)
    task_instance.try_number = 2
    thrown = launched.calls("PutMetricData")

    report = abort().execute(context)

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "abort")
    assert (report["endpoint_config_name"], report["serving_endpoint_config_name"]) == (
        "churn-v2",
        "churn-v1",
    )
    launched.advance(minutes=1)
    assert state_of_the_switch(launched) == "OK"
    assert launched.calls("PutMetricData") == thrown + 1, "it is reset, and not thrown again"


def test_a_first_try_takes_credit_for_nobodys_abort(launched, abort, context, task_instance):
    abort().execute(context)

    with pytest.raises(NothingToAbort):
        abort().execute(context)


def test_with_nothing_in_flight_nothing_is_thrown(churn, abort, context):
    with pytest.raises(NothingToAbort, match="no update of endpoint churn is in flight"):
        abort().execute(context)

    assert churn.calls("PutMetricData") == 0


def test_an_update_to_another_configuration_than_named_is_left_alone(launched, abort, context):
    thrown = launched.calls("PutMetricData")

    with pytest.raises(AbortRefused, match="is being updated to churn-v2, not to churn-v3"):
        abort(endpoint_config_name="churn-v3").execute(context)

    assert launched.calls("PutMetricData") == thrown


def test_an_update_without_the_switch_is_left_alone(churn, abort, context):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")

    with pytest.raises(
        AbortRefused,
        match="nothing proves that the update to churn-v2 in flight has this task's abort switch",
    ):
        abort().execute(context)

    assert churn.calls("PutMetricData") == 0


async def test_an_abort_can_be_waited_for_in_the_triggerer(launched, abort, context, simulated_sleep):
    operator = abort(deferrable=True)
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(context)
    event = await event_of(deferral.value.trigger, simulated_sleep)

    assert operator.execute_complete(context, event=event)["cause"]["kind"] == "abort"


# Before the launch.


def test_the_switch_is_made_if_there_is_none_and_seen_ok_before_the_update(churn, update, context):
    assert state_of_the_switch(churn) is None

    update(wait_for_completion=False).execute(context)

    assert state_of_the_switch(churn) == "OK"
    alarms = churn.describe()["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert [alarm["AlarmName"] for alarm in alarms] == ["errors", SWITCH]


def test_a_switch_left_thrown_does_not_hit_the_next_update(launched, update, abort, context):
    throw(launched)
    launched.advance(minutes=10)
    assert state_of_the_switch(launched) == "ALARM"
    launched.config("churn-v3")

    assert update(endpoint_config_name="churn-v3").execute(context)["outcome"] == "Succeeded"


def throw(churn, switch=None):
    switch = switch or switch_of()
    dimensions = [
        {"Name": "EndpointName", "Value": "churn"},
        {"Name": "Rollout", "Value": switch.rollout},
    ]
    datum = {"MetricName": "Abort", "Dimensions": dimensions, "Value": 1, "StorageResolution": 1}
    churn.cloudwatch.put_metric_data(Namespace="AirflowGuardrails", MetricData=[datum])


def test_each_rollout_has_a_switch_of_its_own_and_deletes_those_of_earlier_ones(churn, update, context):
    first = update().execute(context)
    churn.config("churn-v3")
    churn.alarm("airflow-guardrails-abort-of-somebody-else")
    second = update(endpoint_config_name="churn-v3").execute(context)

    assert first["abort_switch"] == SWITCH != second["abort_switch"]
    assert state_of_the_switch(churn) is None
    assert churn.simulator.client.alarm_state(second["abort_switch"]) == "OK"
    assert churn.simulator.client.alarm_state("airflow-guardrails-abort-of-somebody-else") == "OK"


def test_switches_that_may_not_be_deleted_stay_and_the_report_says_so(churn, update, context):
    update().execute(context)
    churn.config("churn-v3")
    churn.simulator.client.fault(
        "DeleteAlarms", kind="error", code="AccessDenied", message="no", status=403, times=None
    )

    report = update(endpoint_config_name="churn-v3").execute(context)

    assert report["outcome"] == "Succeeded"
    assert any("allow cloudwatch:DescribeAlarms and DeleteAlarms" in told for told in report["warnings"])
    assert state_of_the_switch(churn) == "OK"


def test_a_switch_that_somebody_changed_between_two_tries_is_put_right(churn, update, context):
    dimensions = [{"Name": "EndpointName", "Value": "another"}]
    churn.cloudwatch.put_metric_alarm(**alarm_request(SWITCH, Dimensions=dimensions))

    with pytest.raises(EndpointRolledBack):
        update(max_wait=timedelta(minutes=8), on_timeout="abort").execute(context)


def test_a_switch_that_may_not_be_made_says_what_to_allow(churn, update, context):
    churn.simulator.client.fault(
        "PutMetricAlarm", kind="error", code="AccessDenied", message="no", status=403
    )

    with pytest.raises(AccessDenied, match="Access denied: cloudwatch:PutMetricAlarm on endpoint churn"):
        update().execute(context)

    assert churn.calls("UpdateEndpoint") == 0


def test_a_switch_that_does_not_become_ok_in_time_stops_the_launch(churn, update, context):
    operator = update()
    operator.sleep = lambda _: None  # no time passes in AWS
    clock = iter(range(0, 100_000, 60))
    operator.monotonic = lambda: next(clock)

    with pytest.raises(AbortSwitchNotReady, match="INSUFFICIENT_DATA after 180 s"):
        operator.execute(context)

    assert churn.calls("UpdateEndpoint") == 0


@pytest.mark.proof
def test_looks_at_the_switch_that_are_throttled_end_no_launch(churn, update, context):
    operator, sleep = update(wait_for_completion=False), update().sleep

    def sleep_and_throttle(seconds):
        sleep(seconds)
        churn.simulator.client.fault(
            "DescribeAlarms", kind="error", code="Throttling", message="Rate exceeded", status=400, times=1
        )

    operator.sleep = sleep_and_throttle
    operator.monotonic = lambda: churn.now().timestamp()

    with pytest.raises(AbortSwitchNotReady, match="not visible after 180 s"):
        operator.execute(context)
    churn.simulator.client.clear_faults()

    assert update().execute(context)["outcome"] == "Succeeded"
    assert churn.calls("UpdateEndpoint") == 1


def test_ten_alarms_leave_no_room_for_the_switch(churn, update, context):
    alarms = [churn.alarm(f"alarm-{number}") for number in range(10)]

    with pytest.raises(InvalidArgument, match="give 9, or set abort_switch=False"):
        update(alarms=alarms).execute(context)

    assert update(alarms=alarms, abort_switch=False).execute(context)["outcome"] == "Succeeded"


def test_without_the_switch_no_alarm_is_made(churn, update, context):
    update(abort_switch=False).execute(context)

    assert state_of_the_switch(churn) is None


# At a time-out.


@pytest.mark.parametrize("deferrable", [False, True])
async def test_a_time_out_can_abort_and_says_that_it_did(churn, update, context, deferrable, simulated_sleep):
    operator = update(max_wait=timedelta(minutes=8), on_timeout="abort", deferrable=deferrable)
    with pytest.raises(EndpointRolledBack) as caught:
        await ended(operator, context, simulated_sleep)

    assert caught.value.report["cause"]["kind"] == "timeout"
    assert churn.describe()["EndpointConfigName"] == "churn-v1"
    churn.advance(seconds=30)
    assert state_of_the_switch(churn) == "OK"


async def ended(operator, context, simulated_sleep):
    try:
        return operator.execute(context)
    except TaskDeferred as deferral:
        event = await event_of(deferral.trigger, simulated_sleep)
    return operator.execute_complete(context, event=event)


def test_a_time_out_does_not_abort_an_update_that_somebody_else_launched(churn, update, context):
    update(wait_for_completion=False).execute({"ti": None})
    thrown = churn.calls("PutMetricData")

    with pytest.raises(RolloutTimedOut):
        update(max_wait=timedelta(minutes=8), on_timeout="abort").execute(context)

    assert churn.calls("PutMetricData") == thrown


def test_an_abort_by_time_out_that_is_too_late_ends_as_what_it_is(churn, update, context):
    churn.simulator.client.set_knobs(deleting_seconds=900)
    operator = update(
        strategy=AllAtOnce(termination_wait=timedelta(minutes=1)),
        max_wait=timedelta(minutes=6),
        on_timeout="abort",
    )

    assert operator.execute(context)["outcome"] == "Succeeded"


@pytest.mark.proof
def test_an_abort_by_time_out_that_cannot_be_published_is_reported(churn, update, context, simulated_sleep):
    operator = update(max_wait=timedelta(minutes=8), on_timeout="abort")

    def sleep(seconds):
        simulated_sleep(seconds)
        if churn.calls("UpdateEndpoint"):
            churn.simulator.client.fault(
                "PutMetricData", kind="error", code="AccessDenied", message="no", status=403, times=1
            )

    operator.sleep = sleep
    with pytest.raises(RolloutTimedOut) as caught:
        operator.execute(context)

    assert any("timed out and was not aborted" in warning for warning in caught.value.report["warnings"])


# When the task is killed.


@pytest.mark.parametrize(
    ("state", "outcome"), [("failed", "RolledBack"), ("running", "Succeeded"), ("None", "Succeeded")]
)
def test_a_killed_worker_aborts_only_what_a_person_marked_failed(
    churn, update, context, task_instance, simulated_sleep, state, outcome
):
    operator = update(on_kill="abort", on_rollback="return")

    def sleep(seconds):
        simulated_sleep(seconds * 20)  # half a second's slice is ten seconds of AWS
        if churn.describe().get("PendingDeploymentSummary") and task_instance.state == "running":
            task_instance.state = state
            operator.on_kill()

    operator.sleep = sleep
    report = operator.execute(context)

    assert report["outcome"] == outcome
    assert churn.describe()["EndpointConfigName"] == ("churn-v1" if outcome == "RolledBack" else "churn-v2")


def test_by_default_marking_the_task_failed_aborts_the_rollout(
    churn, update, context, task_instance, simulated_sleep
):
    operator = update()

    def sleep(seconds):
        simulated_sleep(seconds * 20)
        if churn.calls("UpdateEndpoint"):
            task_instance.state = "failed"
            operator.on_kill()

    operator.sleep = sleep

    with pytest.raises(EndpointRolledBack):
        operator.execute(context)


def test_a_kill_can_leave_the_rollout_alone(churn, update, context, task_instance, simulated_sleep):
    operator = update(on_kill="leave")

    def sleep(seconds):
        simulated_sleep(seconds)
        if churn.calls("UpdateEndpoint"):
            task_instance.state = "failed"
            operator.on_kill()

    operator.sleep = sleep

    assert operator.execute(context)["outcome"] == "Succeeded"


def test_a_kill_before_the_wait_does_nothing(update):
    update(on_kill="abort").on_kill()
