"""A deferred shadow test whose trigger is cancelled is stopped if somebody marked its task failed."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from airflow.sdk.execution_time.comms import GetTaskStates

from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger
from tests.support.supervisor import Supervisor, cancelled, held


@pytest.fixture
def airflow(monkeypatch):
    return partial(Supervisor.in_place, monkeypatch)


def waiting(**changes):
    return held(SageMakerShadowTestTrigger(name="trial", **{"on_kill": "stop", **changes}), "wait")


async def cancel(trigger, lab):
    looks = lab.calls("DescribeInferenceExperiment")
    return await cancelled(trigger, once=lambda: lab.calls("DescribeInferenceExperiment") > looks)


async def test_a_task_marked_failed_stops_its_test_and_keeps_production(lab, airflow):
    lab.run()
    supervisor = airflow("failed")

    assert await cancel(waiting(), lab) == []

    asked = {(ask.dag_id, *ask.run_ids, *ask.task_ids) for ask in supervisor.kept(GetTaskStates)}
    assert asked == {("deploy", "run", "wait")}
    lab.advance(minutes=10)
    look = lab.look()
    assert look["Status"] == "Cancelled"
    assert look["StatusReason"] == "The Airflow task that created this test was marked failed"
    assert lab.describe()["EndpointConfigName"] == "churn-v1"


@pytest.mark.parametrize("state", ["deferred", "running", "success", "skipped", None])
async def test_a_task_in_any_other_state_stops_nothing(lab, airflow, state):
    lab.run()
    airflow(state)
    await cancel(waiting(), lab)
    assert lab.calls("StopInferenceExperiment") == 0


@pytest.mark.parametrize("mark", [{"try_number": 2, "deferred": True}, {"try_number": 1, "deferred": False}])
async def test_a_failed_task_whose_deferred_try_is_not_this_one_stops_nothing(lab, airflow, mark):
    lab.run()
    airflow("failed", xcoms={"rollout_try": mark})
    await cancel(waiting(), lab)
    assert lab.calls("StopInferenceExperiment") == 0


async def test_a_task_cleared_between_the_first_question_and_the_stop_stops_nothing(lab, airflow):
    lab.run()
    airflow(states=("failed", "queued"))
    await cancel(waiting(), lab)
    assert lab.calls("StopInferenceExperiment") == 0


async def test_by_default_nothing_is_stopped(lab, airflow):
    lab.run()
    airflow("failed")
    await cancel(waiting(on_kill="leave"), lab)
    assert lab.status() == "Running"


async def test_a_trigger_that_has_fired_stops_nothing(lab, airflow):
    lab.run()
    supervisor = airflow("failed")
    trigger = waiting(until="Running")

    async def sleep(_):
        await asyncio.sleep(0)

    trigger.sleep, trigger.shares_poller = sleep, False
    run = trigger.run()
    await anext(run)
    with pytest.raises(asyncio.CancelledError):
        await run.athrow(asyncio.CancelledError)

    assert supervisor.kept(GetTaskStates) == []
    assert lab.status() == "Running"


async def test_a_test_that_is_stopping_or_over_is_not_stopped_again(lab, airflow):
    lab.run()
    lab.stop()
    airflow("failed")
    await cancel(waiting(), lab)
    lab.advance(minutes=10)
    over = waiting()
    await over.stop(lambda: pytest.fail("nobody is to be asked"))

    assert lab.calls("StopInferenceExperiment") == 1
    assert lab.status() == "Completed"


async def test_a_test_that_takes_no_stop_now_is_left_with_a_warning(lab, airflow, capsys):
    lab.create()
    airflow("failed")
    await cancel(waiting(), lab)
    assert (
        "shadow test trial is Creating and cannot be stopped now: stop it by hand" in capsys.readouterr().out
    )
