from __future__ import annotations

import asyncio
import itertools
import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import AllAtOnce
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary
from airflow_guardrails.triggers._state import dump_state
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from tests.support.churn import switch_of
from tests.support.triggers import in_simulated_time, only_event


@pytest.fixture
def trigger(simulated_sleep):
    def build(**changes):
        arguments = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"}
        return in_simulated_time(SageMakerRolloutTrigger(**{**arguments, **changes}), simulated_sleep)

    return build


def test_a_trigger_is_carried_as_plain_json(trigger):
    _, arguments = trigger(waiter_delay=5, deadline=1e9, botocore_config={"read_timeout": 5}).serialize()

    assert json.loads(json.dumps(arguments)) == arguments
    assert SageMakerRolloutTrigger(**arguments).serialize()[1] == arguments


def beside_the_wall_clock(trigger, slept, *, takes):
    """Let the watch of *trigger* take so many seconds; note what it sleeps."""

    async def sleep(seconds):
        slept.append(seconds)

    watch = trigger.wait_for_report

    async def watch_for_so_long():
        report = await watch()
        clock["now"] += takes
        return report

    clock = {"now": 100.0}
    trigger.sleep, trigger.monotonic = sleep, lambda: clock["now"]
    trigger.wait_for_report = watch_for_so_long
    return trigger


async def test_outside_a_triggerer_it_fires_as_soon_as_it_knows(churn, trigger):
    slept = []
    quick = beside_the_wall_clock(trigger(endpoint_config_name="churn-v1"), slept, takes=0.5)
    event = await only_event(quick)

    assert event["report"]["outcome"] == "Succeeded"
    assert slept == []


@pytest.mark.parametrize(("takes", "rest"), [(0.5, 1.5), (2.0, 0.0), (3.0, 0.0)])
async def test_in_a_triggerer_it_does_not_fire_before_its_floor(churn, trigger, takes, rest):
    slept = []
    quick = beside_the_wall_clock(
        trigger(endpoint_config_name="churn-v1", fire_floor=2.0), slept, takes=takes
    )
    quick.trigger_id = 7
    await only_event(quick)

    assert slept == [rest]


async def test_a_read_that_is_not_allowed_ends_the_watch_with_the_reason_and_no_outcome(churn, trigger):
    churn.simulator.client.fault(
        "DescribeEndpoint",
        kind="error",
        code="AccessDeniedException",
        message="not authorized to perform: sagemaker:DescribeEndpoint",
        status=400,
    )

    event = await only_event(trigger())

    assert event["report"]["outcome"] is None
    assert event["denied"] == "sagemaker:DescribeEndpoint"
    assert "not authorized to perform: sagemaker:DescribeEndpoint" in event["error"]


async def test_a_deadline_ends_the_watch_though_aws_never_answers(churn, trigger):
    """Only then does time on this machine count: what has passed, whatever its clock shows."""
    churn.simulator.client.throttle("DescribeEndpoint")
    rollout = Rollout(endpoint_name="churn", target="churn-v2", max_wait=timedelta(minutes=10))
    last_seen = churn.now() - timedelta(minutes=9)
    watch = RolloutState(rollout=rollout, first_look_at=last_seen, as_of=last_seen, seen_in_flight=True)
    waiting, looks = trigger(memory=dump_state(watch)), itertools.count(0, 200)
    waiting.monotonic = lambda: next(looks)

    event = await only_event(waiting)

    assert event["report"]["outcome"] == "TimedOut"
    assert event["report"]["serving_endpoint_config_name"] is None


@pytest.mark.parametrize(("away", "complete"), [(10, True), (3600, False)])
async def test_a_watch_that_was_interrupted_says_that_stages_may_be_missing(churn, trigger, away, complete):
    launched = churn.now()
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    rollout = Rollout(
        endpoint_name="churn",
        target="churn-v2",
        previous="churn-v1",
        launched_at=launched,
        guardrails=Guardrails(strategy=AllAtOnce()),
    )
    last_seen = churn.now() - timedelta(seconds=away)

    event = await only_event(trigger(memory=dump_state(RolloutState(rollout=rollout, as_of=last_seen))))

    assert event["report"]["outcome"] == "Succeeded"
    assert event["report"]["stages_complete"] is complete


async def test_a_cancelled_trigger_fires_nothing(churn, trigger):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    waiting = trigger()
    waiting.sleep = asyncio.sleep  # for real, so that it can be cancelled in it
    events = []

    async def run():
        events.extend([event async for event in waiting.run()])

    task = asyncio.create_task(run())
    while churn.calls("DescribeEndpoint") < 2:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert events == []


# What two copies do.


@pytest.fixture
def deferred(churn, context, simulated_sleep):
    """The trigger of an update that is in flight with a quarter of the traffic, as a triggerer holds it."""

    def build(*, on_kill="abort", adopted=False):
        if adopted:
            at_once = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
            guarded = {
                "BlueGreenUpdatePolicy": at_once,
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": SWITCH}]},
            }
            churn.sagemaker.update_endpoint(
                EndpointName="churn",
                EndpointConfigName="churn-v2",
                DeploymentConfig=guarded,
            )
        operator = SageMakerGuardedUpdateOperator(
            task_id="update",
            endpoint_name="churn",
            endpoint_config_name="churn-v2",
            strategy=Canary(percent=25, bake=timedelta(minutes=10)),
            alarms=["errors"],
            deferrable=True,
            on_kill=on_kill,
        )
        operator.sleep = simulated_sleep
        with pytest.raises(TaskDeferred) as deferral:
            operator.execute(context)
        churn.advance(minutes=5)
        trigger = SageMakerRolloutTrigger(**deferral.value.trigger.serialize()[1])
        trigger.task_instance = SimpleNamespace(dag_id="deploy", run_id="run", task_id="update", map_index=-1)
        return trigger

    return build


SWITCH = switch_of().alarm_name


async def test_two_copies_of_a_trigger_tell_the_same_and_change_nothing(churn, deferred, simulated_sleep):
    trigger = deferred()
    copies = [SageMakerRolloutTrigger(**trigger.serialize()[1]) for _ in range(2)]

    async def sleep(seconds):
        simulated_sleep(seconds)
        await asyncio.sleep(0)

    for copy in copies:
        copy.sleep, copy.shares_poller = sleep, False
    one, other = await asyncio.gather(*(only_event(copy) for copy in copies))

    assert one["report"]["outcome"] == other["report"]["outcome"] == "Succeeded"
    assert churn.calls("UpdateEndpoint") == 1


async def test_a_restarted_triggerer_goes_on_with_the_same_deadline(churn, deferred):
    trigger = deferred()
    again = SageMakerRolloutTrigger(**trigger.serialize()[1])

    assert again.deadline == trigger.deadline is not None
