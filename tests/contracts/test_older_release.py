"""A trigger that an older release has deferred: it watches to the end, and aborts nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.preflight.findings import Code
from airflow_guardrails.domain.rollout.state import Rollout, StageChange
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus, Stage
from airflow_guardrails.strategies import Canary
from airflow_guardrails.triggers._state import VERSION, dump_state, load_state
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger
from tests.support.older_releases import VERSION_1
from tests.support.simulated import START
from tests.support.triggers import in_simulated_time, only_event

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
        return in_simulated_time(made, simulated_sleep)

    return deferred


async def test_it_watches_to_the_end(deferred):
    event = await only_event(deferred())

    assert event["error"] is None
    assert (event["report"]["outcome"], event["report"]["serving_endpoint_config_name"]) == (
        "Succeeded",
        "churn-v2",
    )
    assert event["report"]["warnings"] == ["noted"]


async def test_it_reports_a_rollback_with_its_cause(churn, deferred):
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


# The state alone.


def test_what_the_release_before_has_written_is_read():
    watch = load_state(VERSION_1)
    shared_switch = "airflow-guardrails-abort-88b2072e3e17"
    canary = Guardrails(
        strategy=Canary(percent=25, bake=timedelta(minutes=10)), alarms=("errors", shared_switch)
    )
    assert watch.rollout == Rollout(
        endpoint_name="churn",
        target="churn-v2",
        previous="churn-v1",
        launched_at=START,
        started_at=START + timedelta(milliseconds=500),
        status_before=EndpointStatus.IN_SERVICE,
        guardrails=canary,
        max_wait=timedelta(minutes=90),
    )
    creating = StageChange(
        stage=Stage.CREATING, at=START + timedelta(seconds=1), instances=0, desired_instances=4
    )
    assert (watch.stages, watch.seen_in_flight, watch.warnings) == ((creating,), True, ("noted",))
    assert [finding.code for finding in watch.findings] == [Code.ONLY_SWITCH]
    assert watch.analysis.config.rules[0].metric == "Invocation5XXErrors"


def test_a_rollout_that_an_older_release_has_launched_cannot_be_aborted():
    """Its switch was that of the endpoint: thrown late, it would stop whatever runs by then."""
    watch = load_state(VERSION_1)
    assert (watch.switch, watch.may_abort) == (None, False)


@pytest.mark.parametrize("key", ["findings", "analysis"])
def test_what_releases_before_that_did_not_write_is_not_missed(key):
    watch = load_state({name: value for name, value in VERSION_1.items() if name != key})
    assert not getattr(watch, key)
    assert watch.rollout == load_state(VERSION_1).rollout


def test_what_was_read_of_an_older_release_is_written_as_this_one_does():
    memory = dump_state(load_state(VERSION_1))
    assert memory["version"] == VERSION == 2
    assert load_state(memory) == load_state(VERSION_1)


@pytest.mark.parametrize("code", ["never_heard_of", "", None, 7])
def test_a_finding_of_a_kind_that_is_not_known_is_left_out(code):
    other = {**VERSION_1["findings"][0], "code": code}
    watch = load_state({**VERSION_1, "findings": [other, *VERSION_1["findings"]]})
    assert watch.findings == load_state(VERSION_1).findings


def test_the_judge_that_an_older_release_has_stored_is_ignored():
    memory = {**VERSION_1["analysis"], "judge": "kayenta", "every": 300.0}
    watch = load_state({**VERSION_1, "analysis": memory})
    ours = replace(load_state(VERSION_1).analysis.config, every=timedelta(minutes=5))
    assert (watch.analysis.config, watch.warnings) == (ours, ("noted",))
    assert "judge" not in dump_state(watch)["analysis"]


@pytest.mark.parametrize(
    "change",
    [{"of_another_release": 1}, {"warm_up": 1e9}, {"rules": []}, {"alpha": "0.05"}],
    ids=str,
)
def test_an_analysis_that_cannot_be_read_is_warned_of_and_ends_nothing(change):
    watch = load_state({**VERSION_1, "analysis": {**VERSION_1["analysis"], **change}})
    assert watch.analysis is None
    noted, warning = watch.warnings
    assert noted == "noted"
    assert warning.startswith("The analysis cannot be read (")
    assert next(iter(change)) in warning
    assert watch.rollout == load_state(VERSION_1).rollout


# A shadow test.


def test_the_trigger_of_a_shadow_test_keeps_its_number_of_requests_under_the_new_name():
    arguments = {"name": "trial", "until": "Completed", "min_invocations": 1000, "waiter_delay": 60}

    _, stored_again = SageMakerShadowTestTrigger(**arguments).serialize()

    assert stored_again["min_requests"] == 1000
    assert "min_invocations" not in stored_again
