"""
A deferred update whose trigger is cancelled is aborted if somebody marked the task failed, and only then.

Airflow cancels a trigger for many reasons, so what it says of the task decides; airflow 3.3's ``on_kill`` is
not used.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk.execution_time.comms import GetTaskStates, SetXCom
from airflow.sdk.execution_time.context import set_current_context

from airflow_guardrails.strategies import Canary
from airflow_guardrails.triggers import _base
from airflow_guardrails.triggers._base import STOP_AGAIN_AFTER
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from tests.support.churn import switch_of, switch_state_after
from tests.support.supervisor import Supervisor, cancelled, held

SWITCH = switch_of().alarm_name


@pytest.fixture
def airflow(monkeypatch, task_instance):
    """Build a supervisor that answers with what the task has pushed, unless other answers are given."""
    return lambda state="failed", **more: Supervisor.in_place(
        monkeypatch, state, **{"xcoms": task_instance.xcoms, **more}
    )


@pytest.fixture
def deferred(churn, context, guarded_update, simulated_sleep, monkeypatch):
    """
    The trigger of an update that is in flight with a quarter of the traffic, as a triggerer holds it.

    After an abort it looks for so many seconds how that ends.
    """

    def build(*, on_kill="abort", following=0.05):
        monkeypatch.setattr(_base, "LONGEST_FOLLOW", following)
        operator = guarded_update(
            strategy=Canary(percent=25, bake=timedelta(minutes=10)), deferrable=True, on_kill=on_kill
        )
        with set_current_context(context), pytest.raises(TaskDeferred) as deferral:
            operator.execute(context)
        churn.advance(minutes=5)
        return held(SageMakerRolloutTrigger(**deferral.value.trigger.serialize()[1]))

    return build


async def cancel(trigger, churn):
    """Cancel it after its first look, and then at every turn of the loop."""
    looks = churn.calls("DescribeEndpoint")
    return await cancelled(trigger, once=lambda: churn.calls("DescribeEndpoint") > looks)


async def test_a_task_marked_failed_aborts_its_rollout(churn, deferred, airflow):
    supervisor = airflow("failed")

    assert await cancel(deferred(), churn) == []

    assert switch_state_after(churn) == "ALARM"
    asked = {(ask.dag_id, *ask.run_ids, *ask.task_ids) for ask in supervisor.kept(GetTaskStates)}
    assert asked == {("deploy", "run", "update")}
    churn.advance(minutes=5)
    assert churn.describe()["EndpointConfigName"] == "churn-v1"


async def test_an_answer_that_is_late_is_waited_for_although_the_cancel_comes_again(churn, deferred, airflow):
    async def late():
        for _ in range(50):
            await asyncio.sleep(0)

    airflow("failed", late=late)
    await cancel(deferred(), churn)
    assert switch_state_after(churn) == "ALARM"


@pytest.mark.parametrize(
    "state", ["deferred", "running", "queued", "scheduled", "restarting", "success", "skipped", None]
)
@pytest.mark.proof
async def test_a_task_in_any_other_state_aborts_nothing(churn, deferred, airflow, state, capsys):
    airflow(state)
    await cancel(deferred(), churn)
    assert switch_state_after(churn) == "OK"
    assert f"Airflow says this task is {state}: nothing is stopped" in capsys.readouterr().out


@pytest.mark.parametrize(
    "mark",
    [
        None,  # the new try has deleted it, or the worker could not write it
        {"try_number": 2, "deferred": True},
        {"try_number": 2, "deferred": False},
        {"try_number": 1, "deferred": False},  # resumed, and failed by itself
        1,
    ],
)
async def test_a_failed_task_whose_deferred_try_is_not_this_one_aborts_nothing(
    churn, deferred, airflow, mark, capsys
):
    trigger = deferred()
    airflow("failed", xcoms={} if mark is None else {"rollout_try": mark})
    await cancel(trigger, churn)
    assert switch_state_after(churn) == "OK"
    assert f"must say that try 1 is deferred (got {mark!r}): nothing is stopped" in capsys.readouterr().out


async def test_a_task_cleared_between_the_first_question_and_the_throw_aborts_nothing(
    churn, deferred, airflow
):
    airflow(states=("failed", "queued"))
    await cancel(deferred(), churn)
    assert switch_state_after(churn) == "OK"


async def test_without_an_answer_nothing_is_aborted(churn, deferred, airflow, capsys):
    async def refuse():
        raise RuntimeError("the API server is away")

    airflow("failed", late=refuse)
    await cancel(deferred(), churn)
    assert switch_state_after(churn) == "OK"
    assert "RuntimeError: the API server is away): nothing is stopped" in capsys.readouterr().out


async def test_a_throw_that_aws_does_not_take_at_first_is_tried_again(churn, deferred, airflow):
    airflow("failed")
    trigger = deferred()

    async def sleep(seconds):
        # The wait for the next look ends by the cancel, and the pause before the next attempt at once.
        await asyncio.sleep(0 if seconds == STOP_AGAIN_AFTER else 3600)

    trigger.sleep, trigger.shares_poller = sleep, False
    churn.simulator.client.fault(
        "PutMetricData", kind="error", code="ServiceUnavailable", message="busy", status=503, times=2
    )
    await cancel(trigger, churn)
    assert switch_state_after(churn) == "ALARM"


async def test_a_throw_that_is_denied_is_logged(churn, deferred, airflow, capsys):
    airflow("failed")
    trigger = deferred()
    churn.simulator.client.fault(
        "PutMetricData", kind="error", code="AccessDenied", message="not you", status=403, times=1
    )
    await cancel(trigger, churn)
    assert switch_state_after(churn) == "OK"
    assert "could not be stopped" in (told := capsys.readouterr().out)
    assert "not you" in told


async def test_a_trigger_that_has_fired_aborts_nothing(churn, deferred, airflow, simulated_sleep):
    trigger = deferred()

    async def sleep(seconds):
        simulated_sleep(seconds)

    trigger.sleep, trigger.shares_poller = sleep, False
    supervisor = airflow("failed")
    run = trigger.run()
    await anext(run)
    with pytest.raises(asyncio.CancelledError):
        await run.athrow(asyncio.CancelledError)

    assert supervisor.kept(GetTaskStates) == []
    assert switch_state_after(churn) == "OK"


async def test_with_leave_nothing_is_aborted(churn, deferred, airflow):
    airflow("failed")
    await cancel(deferred(on_kill="leave"), churn)
    assert switch_state_after(churn) == "OK"


def last_report(supervisor):
    return supervisor.kept(SetXCom)[-1].value


async def cancel_in_simulated_time(trigger, churn):
    """Cancel it after its first look; from then on its pauses are simulated."""
    looks, sleeping = churn.calls("DescribeEndpoint"), asyncio.Event()

    async def sleep(seconds):
        if not sleeping.is_set():
            sleeping.set()
            await asyncio.sleep(3600)
        await asyncio.to_thread(churn.advance, seconds=max(seconds, 1))

    trigger.sleep, trigger.shares_poller = sleep, False
    await cancelled(trigger, once=lambda: churn.calls("DescribeEndpoint") > looks and sleeping.is_set())


async def test_the_report_of_an_aborted_rollout_has_its_end(churn, deferred, airflow):
    supervisor = airflow("failed")
    await cancel_in_simulated_time(deferred(following=60), churn)
    report = last_report(supervisor)
    assert (report["outcome"], report["serving_endpoint_config_name"]) == ("RolledBack", "churn-v1")
    assert report["abort_switch_thrown_at"] is not None
    assert "The task was marked failed while it waited" in report["warnings"]
    assert report["cause"]["kind"] == "abort"


async def test_the_report_of_a_rollout_that_is_left_alone_has_its_end(churn, deferred, airflow):
    supervisor = airflow("failed")
    await cancel_in_simulated_time(deferred(on_kill="leave", following=60), churn)
    report = last_report(supervisor)
    assert (report["outcome"], report["serving_endpoint_config_name"]) == ("Succeeded", "churn-v2")
    assert [stage["stage"] for stage in report["stages"]][:2] == ["Creating", "Baking"]


async def test_the_report_of_a_new_try_is_not_overwritten(churn, deferred, airflow):
    supervisor = airflow(states=("failed", "failed", "running"))
    await cancel_in_simulated_time(deferred(following=60), churn)
    assert all(push.value["outcome"] is None for push in supervisor.kept(SetXCom))


async def test_an_adopted_update_of_somebody_else_is_not_aborted(churn, deferred, airflow):
    airflow("failed")
    at_once = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    churn.sagemaker.update_endpoint(
        EndpointName="churn",
        EndpointConfigName="churn-v2",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": at_once,
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": SWITCH}]},
        },
    )
    await cancel(deferred(), churn)
    assert churn.calls("PutMetricData") == 0


async def test_an_update_that_is_over_is_not_aborted(churn, deferred, airflow):
    airflow("failed")
    trigger, slept = deferred(), []

    async def sleep(seconds):
        churn.advance(minutes=30)
        slept.append(seconds)
        await asyncio.Event().wait()

    trigger.sleep, trigger.shares_poller = sleep, False
    await cancelled(trigger, once=lambda: bool(slept))
    assert switch_state_after(churn) == "OK"


async def test_two_copies_of_a_trigger_abort_once_or_twice_with_the_same_end(churn, deferred, airflow):
    airflow("failed")
    one = deferred()
    other = held(SageMakerRolloutTrigger(**one.serialize()[1]))
    await asyncio.gather(cancel(one, churn), cancel(other, churn))
    assert switch_state_after(churn) == "ALARM"


# What the worker leaves for it.


def test_a_try_is_marked_before_it_is_deferred_and_again_when_it_is_resumed(
    deferred, guarded_update, context, task_instance
):
    task_instance.try_number = 3
    deferred()
    assert task_instance.xcoms["rollout_try"] == {"try_number": 3, "deferred": True}

    with pytest.raises(Exception, match="out of patience"):
        guarded_update(
            strategy=Canary(percent=25, bake=timedelta(minutes=10)), on_kill="abort"
        ).resume_execution("__fail__", {"error": "out of patience"}, context)
    assert task_instance.xcoms["rollout_try"] == {"try_number": 3, "deferred": False}


async def test_a_mark_that_cannot_be_written_ends_nothing_and_aborts_nothing(
    churn, deferred, airflow, task_instance, monkeypatch, capsys
):
    push = task_instance.xcom_push

    def refuse(key, value):
        if key == "rollout_try":
            raise RuntimeError("no room")
        push(key, value)

    monkeypatch.setattr(task_instance, "xcom_push", refuse)
    trigger = deferred()
    assert (
        "marking this task failed may not stop the update or test (RuntimeError: no room)"
        in capsys.readouterr().out
    )
    airflow("failed")
    await cancel(trigger, churn)
    assert switch_state_after(churn) == "OK"
