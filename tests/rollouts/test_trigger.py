from __future__ import annotations

import asyncio
import json
import time

import pytest

from airflow_guardrails.domain.rollout import Rollout, Watch
from airflow_guardrails.triggers.memory import remember
from airflow_guardrails.triggers.rollout import FIRE_FLOOR, SageMakerRolloutTrigger


@pytest.fixture
def trigger(simulated_sleep):
    def build(**changes):
        arguments = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"}
        made = SageMakerRolloutTrigger(**{**arguments, **changes})

        async def sleep(seconds):
            simulated_sleep(seconds)

        made.sleep = sleep
        return made

    return build


async def only_event(trigger):
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    return events[0]


def test_a_trigger_is_carried_as_plain_json(trigger):
    _, arguments = trigger(waiter_delay=5, deadline=1e9, botocore_config={"read_timeout": 5}).serialize()

    assert json.loads(json.dumps(arguments)) == arguments
    assert SageMakerRolloutTrigger(**arguments).serialize()[1] == arguments


async def test_outside_a_triggerer_it_fires_as_soon_as_it_knows(churn, trigger):
    started = time.monotonic()
    event = await only_event(trigger(endpoint_config_name="churn-v1"))

    assert event["report"]["outcome"] == "Succeeded"
    assert time.monotonic() - started < FIRE_FLOOR


async def test_in_a_triggerer_it_does_not_fire_before_its_floor(churn, trigger):
    quick = trigger(endpoint_config_name="churn-v1", fire_floor=2.0)
    quick.trigger_id = 7
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    quick.sleep = sleep
    await only_event(quick)

    assert len(slept) == 1
    assert 1.0 < slept[0] <= 2.0


async def test_a_read_that_is_not_allowed_ends_the_watch_with_the_reason_and_no_outcome(churn, trigger):
    churn.simulator.client.fault(
        "DescribeEndpoint",
        kind="error",
        code="AccessDeniedException",
        message="not authorized to perform: sagemaker:DescribeEndpoint",
        status=400,
    )

    event = await only_event(trigger())

    assert event["report"] is None
    assert "not authorized to perform: sagemaker:DescribeEndpoint" in event["error"]


async def test_a_deadline_ends_the_watch_though_aws_never_answers(churn, trigger):
    churn.simulator.client.throttle("DescribeEndpoint")
    waiting = trigger(deadline=1_000.0)
    clock = iter([0.0, 0.0, 500.0, 500.0, 1_001.0])
    waiting.now = lambda: next(clock)

    event = await only_event(waiting)

    assert event["report"]["outcome"] == "TimedOut"
    assert event["report"]["serving_endpoint_config_name"] is None


@pytest.mark.parametrize(("away", "complete"), [(10, True), (3600, False)])
async def test_a_watch_that_was_interrupted_says_that_stages_may_be_missing(churn, trigger, away, complete):
    launched = churn.simulator.client.now()
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    rollout = Rollout(endpoint_name="churn", target="churn-v2", previous="churn-v1", launched_at=launched)

    event = await only_event(trigger(memory=remember(Watch(rollout=rollout)), deferred_at=time.time() - away))

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
