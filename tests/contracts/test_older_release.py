"""A trigger that an older release has deferred: it watches to the end, and aborts nothing."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from tests.support.simulated import START
from tests.support.triggers import only_event
from tests.unit.triggers.test_state import VERSION_1

# As the release before has serialized it; Airflow keeps the path of the class beside it.
ARGUMENTS = {
    "endpoint_name": "churn",
    "endpoint_config_name": "churn-v2",
    "previous_endpoint_config_name": None,
    "start_timeout": 120.0,
    "memory": VERSION_1,
    "deferred_at": START.timestamp() + 2,
    "on_timeout": "abort",
    "events_queue_url": "https://sqs.us-east-1.amazonaws.com/123456789012/rollouts",
    "waiter_delay": 30,
    "deadline": START.timestamp() + 5520,
    "fire_floor": 8.0,
    "aws_conn_id": "aws_default",
    "region_name": None,
    "verify": None,
    "botocore_config": None,
    "max_describe_gap": 300.0,
    "on_kill": "abort",
}
SHARED_SWITCH = "airflow-guardrails-abort-88b2072e3e17"


@pytest.fixture
def deferred(churn, simulated_sleep):
    """Launch the update as the older release did, and make the trigger of what it has written down."""
    churn.alarm(SHARED_SWITCH)
    deployment = VERSION_1["rollout"]["guardrails"]
    churn.sagemaker.update_endpoint(
        EndpointName="churn", EndpointConfigName="churn-v2", DeploymentConfig=deployment
    )
    launched, started = churn.now(), churn.describe()["PendingDeploymentSummary"]["StartTime"]

    def deferred(**changes):
        rollout = {**VERSION_1["rollout"], "launched_at": launched.isoformat(), **changes}
        memory = {**VERSION_1, "rollout": rollout, "started_at": started.isoformat(), "analysis": None}
        made = SageMakerRolloutTrigger(**json.loads(json.dumps({**ARGUMENTS, "memory": memory})))

        async def sleep(seconds):
            simulated_sleep(seconds)

        made.sleep, made.shares = sleep, False
        return made

    return deferred


async def test_it_watches_to_the_end(deferred):
    event = await only_event(deferred())

    assert event["error"] is None
    assert (event["report"]["outcome"], event["report"]["serving_endpoint_config_name"]) == (
        "Succeeded",
        "churn-v2",
    )
    assert event["report"]["warnings"] == ["noted"]


async def test_it_tells_a_rollback_with_its_cause(churn, deferred):
    trigger = deferred()
    sleep = trigger.sleep

    async def sleep_until_the_alarm(seconds):
        await sleep(seconds)
        if churn.describe()["EndpointStatus"] == "Updating":
            churn.trip("errors")

    trigger.sleep = sleep_until_the_alarm
    report = (await only_event(trigger))["report"]
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "alarm")


async def test_at_its_time_out_it_aborts_nothing(churn, deferred):
    """The switch it was launched with is the endpoint's, and would stop whatever runs by then."""
    report = (await only_event(deferred(max_wait=300.0)))["report"]

    assert (report["outcome"], report["abort_switch_thrown_at"]) == ("TimedOut", None)
    assert churn.calls("PutMetricData") == 0
    assert churn.describe()["EndpointStatus"] == "Updating"
    assert churn.now() - START < timedelta(minutes=20)


async def test_it_ends_by_its_own_deadline_where_the_rollout_has_no_limit(churn, deferred):
    began = churn.now()
    trigger = deferred(max_wait=None)
    trigger.deadline = (began + timedelta(minutes=5)).timestamp()

    assert (await only_event(trigger))["report"]["outcome"] == "TimedOut"
    assert timedelta(minutes=5) <= churn.now() - began < timedelta(minutes=6)


async def test_it_is_stored_again_as_this_release_does(deferred):
    _, arguments = deferred().serialize()

    assert {"deferred_at", "events_queue_url"}.isdisjoint(arguments)
    assert SageMakerRolloutTrigger(**json.loads(json.dumps(arguments))).serialize()[1] == arguments
