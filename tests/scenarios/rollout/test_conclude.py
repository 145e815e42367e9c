"""The task behind an update: it aborts what was marked failed while deferred, and reports the end."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_guardrails.assets import ROLLOUTS, rollout_asset
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix
from airflow_guardrails.exceptions import (
    AccessDenied,
    EndpointBusy,
    EndpointRolledBack,
    InvalidArgument,
    PreflightFailed,
    RolloutTimedOut,
    RolloutUnwatched,
)
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.strategies import Canary
from tests.support.airflow_run import WAITING, Run, defer
from tests.support.churn import switch_of
from tests.support.simulated import deny
from tests.support.triggers import event_of

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
SWITCH = switch_of().alarm_name


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def context(run):
    return run.context("conclude")


@pytest.fixture
def update(guarded_update):
    def build(**changes):
        return guarded_update(**{"strategy": CANARY, "deferrable": True, **changes})

    return build


@pytest.fixture
def deferred(churn, run, update):
    """Launch an update as its task does, and leave it in flight, a quarter of it live."""

    def launch(*, map_index=-1, **changes):
        operator = update(**changes)
        deferral = defer(operator, run.context("update", map_index))
        run.mark("update", "deferred", map_index)
        churn.advance(minutes=5)
        return operator, deferral

    return launch


@pytest.fixture
def conclude(simulated_sleep):
    def build(**changes):
        arguments = {
            "task_id": "conclude",
            "update_task_id": "update",
            "endpoint_name": "churn",
            "endpoint_config_name": "churn-v2",
            "waiter_delay": 60,
            "deferrable": False,
        }
        operator = SageMakerConcludeRolloutOperator(**{**arguments, **changes})
        operator.sleep = simulated_sleep
        return operator

    return build


def thrown(churn, switch=SWITCH):
    """Whether the switch was ever thrown; it is reset in the end."""
    history = churn.cloudwatch.describe_alarm_history(AlarmName=switch, HistoryItemType="StateUpdate")
    return any(" to ALARM" in item["HistorySummary"] for item in history["AlarmHistoryItems"])


def published(churn):
    return churn.calls("PutMetricData")


# What is aborted.


def test_an_update_marked_failed_while_deferred_is_rolled_back(churn, deferred, run, conclude, context):
    deferred()
    run.mark("update", "failed")

    report = conclude().execute(context)

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "abort")
    assert report["abort_switch"] == SWITCH
    assert report["abort_switch_thrown_at"] is not None
    assert report["previous_endpoint_config_name"] == "churn-v1" == churn.describe()["EndpointConfigName"]
    assert (report["adopted"], report["guarded"]) == ("own", True)
    assert run.xcoms["conclude", -1, "rollout_report"] == report
    churn.advance(seconds=30)
    assert churn.simulator.client.alarm_state(SWITCH) == "OK"


async def test_the_rollback_can_be_waited_for_in_the_triggerer(
    churn, deferred, run, conclude, context, simulated_sleep
):
    deferred()
    run.mark("update", "failed")
    operator = conclude(deferrable=True)
    deferral = defer(operator, context)

    assert deferral.trigger.serialize()[1]["on_kill"] == "leave"
    report = operator.execute_complete(context, event=await event_of(deferral.trigger, simulated_sleep))
    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "abort")
    assert churn.describe()["EndpointConfigName"] == "churn-v1"


def test_an_update_marked_failed_before_reads_show_it_is_rolled_back(
    churn, update, run, conclude, context, simulated_sleep
):
    defer(update(), run.context("update"))
    churn.simulator.client.set_knobs(stale_read_probability=1.0, stale_read_seconds=20)
    run.mark("update", "failed")
    operator = conclude()

    def sleep(seconds):
        churn.simulator.client.set_knobs(stale_read_probability=0.0)
        simulated_sleep(seconds)

    operator.sleep = sleep
    assert operator.execute(context)["outcome"] == "RolledBack"


@pytest.mark.parametrize("names_it", ["at_start", "at_end"])
@pytest.mark.parametrize("tags", ["permitted", "denied"])
def test_an_update_is_recognised_whenever_sagemaker_names_its_switch_and_without_tags_too(
    churn, deferred, run, conclude, context, names_it, tags
):
    churn.simulator.client.set_knobs(last_deployment_config=names_it)
    if tags == "denied":
        for call in ("AddTags", "ListTags"):
            deny(churn.simulator.client, call, times=None)
    deferred()
    run.mark("update", "failed")

    report = conclude().execute(context)

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "abort")


def test_a_configuration_that_is_not_given_is_found_by_the_updates_own_switch(
    churn, deferred, run, conclude, context
):
    deferred()
    run.mark("update", "failed")

    report = conclude(endpoint_config_name=None).execute(context)

    assert (report["outcome"], report["endpoint_config_name"]) == ("RolledBack", "churn-v2")


def test_a_throw_that_aws_does_not_take_at_first_is_tried_again(churn, deferred, run, conclude, context):
    deferred()
    run.mark("update", "failed")
    churn.simulator.client.fault(
        "PutMetricData", kind="error", code="ServiceUnavailable", message="busy", status=503, times=5
    )

    assert conclude().execute(context)["outcome"] == "RolledBack"


def test_a_throw_that_is_denied_is_in_the_report_and_the_rollout_is_watched(
    churn, deferred, run, conclude, context
):
    deferred()
    run.mark("update", "failed")
    deny(churn.simulator.client, "PutMetricData", times=1)

    report = conclude().execute(context)

    assert report["outcome"] == "Succeeded"
    assert any(
        "rollout is not aborted" in each and "AccessDeniedException" in each for each in report["warnings"]
    )


def test_an_abort_that_is_too_late_is_reported_as_such(churn, deferred, run, conclude, context):
    churn.simulator.client.set_knobs(deleting_seconds=600)
    deferred(strategy=Canary(percent=25, bake=timedelta(minutes=2)))
    churn.advance(minutes=1)
    assert churn.describe()["EndpointStatus"] == "Updating"
    run.mark("update", "failed")

    report = conclude().execute(context)

    assert report["outcome"] == "Succeeded"
    assert any("came too late: the endpoint serves churn-v2" in each for each in report["warnings"])


def test_an_update_that_is_over_when_its_task_is_marked_failed_is_reported(
    churn, deferred, run, conclude, context
):
    deferred()
    churn.advance(hours=1)
    run.mark("update", "failed")

    report = conclude().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")
    assert not thrown(churn)


# What is not.


@pytest.mark.parametrize(
    ("state", "mark"),
    [
        pytest.param("failed", None, id="cleared, and the new try has failed at once"),
        pytest.param("failed", {"try_number": 1, "deferred": False}, id="failed by itself, or timed out"),
        pytest.param("failed", {"try_number": 1}, id="a mark of another release"),
        pytest.param("failed", 1, id="a mark that is none"),
        pytest.param("success", WAITING, id="marked success"),
        pytest.param("skipped", WAITING, id="dagrun_timeout, or marked skipped"),
        pytest.param("running", WAITING, id="cleared, and the new try runs"),
        pytest.param("queued", WAITING, id="cleared, and the new try is about to run"),
        pytest.param("up_for_retry", WAITING, id="worker evicted"),
        pytest.param(None, WAITING, id="Airflow does not say"),
    ],
)
@pytest.mark.proof
def test_nothing_else_that_airflow_does_to_the_update_aborts_it(
    churn, deferred, run, conclude, context, state, mark
):
    deferred()
    run.mark("update", state)
    run.delete_xcoms("update")
    if mark is not None:
        run.task("update").xcom_push("rollout_try", mark)

    assert conclude().execute(context)["outcome"] == "Succeeded"

    assert not thrown(churn)
    assert churn.describe()["EndpointConfigName"] == "churn-v2"


async def test_an_update_that_timed_out_and_is_to_be_left_alone_is_watched_to_its_true_end(
    churn, deferred, run, conclude, context, simulated_sleep
):
    operator, deferral = deferred(max_wait=timedelta(minutes=8), on_timeout="fail")
    event = await event_of(deferral.trigger, simulated_sleep)
    with pytest.raises(RolloutTimedOut):
        operator.resume_execution("execute_complete", {"event": event}, run.context("update"))
    run.mark("update", "failed")

    report = conclude().execute(context)

    assert report["outcome"] == "Succeeded"
    assert not thrown(churn)


def crash_once_asked(operator, churn, run, simulated_sleep):
    """Let the worker of *operator* die in its first sleep after UpdateEndpoint."""

    def sleep(seconds):
        if churn.calls("UpdateEndpoint"):
            raise KeyboardInterrupt
        simulated_sleep(seconds)

    operator.sleep = sleep
    with pytest.raises(KeyboardInterrupt):
        operator.execute(run.context("update"))
    run.mark("update", "failed")


def test_a_worker_that_crashes_aborts_nothing(churn, update, run, conclude, context, simulated_sleep):
    crash_once_asked(update(deferrable=False), churn, run, simulated_sleep)

    assert conclude().execute(context)["outcome"] == "Succeeded"
    assert not thrown(churn)


@pytest.mark.parametrize("method", ["get_task_states", "xcom_pull"])
def test_without_an_answer_of_airflow_nothing_is_aborted(churn, deferred, run, conclude, context, method):
    deferred()
    run.mark("update", "failed")
    run.refusing.add(method)
    operator = conclude()

    assert operator.execute(context)["outcome"] == "Succeeded"

    assert not thrown(churn)
    warnings = run.xcoms["conclude", -1, "rollout_report"]["warnings"]
    assert any(f"RuntimeError: {method} is not to be had" in each for each in warnings)


def test_a_task_cleared_between_the_first_question_and_the_throw_is_not_aborted(
    churn, deferred, run, conclude, context
):
    deferred()
    run.mark("update", "failed")
    looks = churn.calls("DescribeEndpoint")
    run.asked = lambda: churn.calls("DescribeEndpoint") > looks and run.mark("update", "queued")

    assert conclude().execute(context)["outcome"] == "Succeeded"
    assert not thrown(churn)


def test_with_leave_nothing_is_aborted(churn, deferred, run, conclude, context):
    deferred()
    run.mark("update", "failed")

    assert conclude(on_kill="leave").execute(context)["outcome"] == "Succeeded"
    assert not thrown(churn)


def test_an_update_without_the_switch_is_watched(churn, deferred, run, conclude, context):
    deferred(abort_switch=False)
    run.mark("update", "failed")
    before = published(churn)

    report = conclude().execute(context)

    assert (report["outcome"], report["abort_switch"]) == ("Succeeded", None)
    assert any("rollout is not aborted" in each for each in report["warnings"])
    assert published(churn) == before


# Other rollouts of the endpoint.


@pytest.mark.parametrize("target", ["churn-v2", "churn-v3"])
def test_a_second_rollout_of_the_endpoint_is_left_alone(
    churn, deferred, update, run, conclude, context, target
):
    deferred()
    churn.trip("errors")
    churn.advance(minutes=20)
    assert churn.describe()["EndpointConfigName"] == "churn-v1"
    churn.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="Set by the test")
    if target == "churn-v3":
        churn.config(target)
    second = switch_of("churn", target, run.task("another")).alarm_name
    defer(update(endpoint_config_name=target), run.context("another"))
    churn.advance(minutes=5)
    run.mark("update", "failed")

    report = conclude().execute(context)

    assert report["outcome"] == "Superseded"
    churn.advance(hours=1)
    assert not thrown(churn)
    assert not thrown(churn, second)
    assert churn.describe()["EndpointConfigName"] == target


def test_without_tags_a_second_rollout_that_names_another_switch_is_left_alone(
    churn, deferred, update, run, conclude, context
):
    for call in ("AddTags", "ListTags"):
        deny(churn.simulator.client, call, times=None)
    deferred()
    churn.trip("errors")
    churn.advance(minutes=20)
    churn.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="Set by the test")
    second = switch_of("churn", "churn-v2", run.task("another")).alarm_name
    defer(update(), run.context("another"))
    churn.advance(minutes=5)
    run.mark("update", "failed")

    report = conclude().execute(context)

    # The report of the update task says when its own update began.
    assert (report["adopted"], report["outcome"]) == ("own", "Superseded")
    assert not thrown(churn)
    assert not thrown(churn, second)


def test_an_update_of_somebody_else_that_the_task_has_adopted_is_not_aborted(
    churn, update, run, conclude, context
):
    churn.sagemaker.update_endpoint(
        EndpointName="churn",
        EndpointConfigName="churn-v2",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 600}
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
        },
    )
    defer(update(), run.context("update"))
    run.mark("update", "failed")

    report = conclude().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "foreign")
    assert published(churn) == 0


def test_each_mapped_update_is_concluded_by_the_task_of_its_own_index(churn, deferred, run, conclude):
    deferred(map_index=2)
    run.mark("update", "failed", 1)
    run.mark("update", "failed", 2)

    # It has the same endpoint and target here, and has launched nothing.
    with pytest.raises(AirflowSkipException):
        conclude().execute(run.context("conclude", 1))
    assert not thrown(churn, own_switch(run, 2))
    report = conclude().execute(run.context("conclude", 2))

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "abort")
    assert thrown(churn, own_switch(run, 2))


def own_switch(run, map_index):
    return switch_of("churn", "churn-v2", run.task("update", map_index)).alarm_name


# The report.


@pytest.mark.parametrize("on_rollback", ["fail", "skip", "return"])
@pytest.mark.proof
def test_the_report_of_an_update_that_ended_by_itself_is_taken_over(
    churn, update, run, conclude, context, simulated_sleep, on_rollback
):
    operator = update(deferrable=False, on_rollback=on_rollback)

    def sleep(seconds):
        simulated_sleep(seconds)
        if churn.describe().get("PendingDeploymentSummary"):
            churn.trip("errors")

    operator.sleep = sleep
    with suppress(EndpointRolledBack, AirflowSkipException):
        operator.execute(run.context("update"))
    run.mark("update", {"fail": "failed", "skip": "skipped", "return": "success"}[on_rollback])
    looks = churn.calls("DescribeEndpoint")

    report = conclude().execute(context)

    assert (report["outcome"], report["cause"]["kind"]) == ("RolledBack", "alarm")
    assert report == run.xcoms["update", -1, "rollout_report"] == run.xcoms["conclude", -1, "rollout_report"]
    assert churn.calls("DescribeEndpoint") == looks


def test_an_update_without_a_waiting_task_is_waited_for(churn, update, run, conclude, context):
    update(wait_for_completion=False).execute(run.context("update"))
    run.mark("update", "success")

    report = conclude().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")


def test_a_rollback_that_the_updates_task_does_not_tell_fails_this_task(
    churn, update, run, conclude, context
):
    update(wait_for_completion=False).execute(run.context("update"))
    run.mark("update", "success")
    churn.advance(minutes=5)
    churn.trip("errors")

    with pytest.raises(EndpointRolledBack, match="errors"):
        conclude().execute(context)
    assert run.xcoms["conclude", -1, "rollout_report"]["outcome"] == "RolledBack"


def test_an_update_whose_answer_was_lost_is_found_although_reads_lag(
    churn, update, run, conclude, context, simulated_sleep
):
    churn.simulator.client.set_knobs(describe_lag_seconds=70)
    churn.simulator.client.fault("UpdateEndpoint", kind="lose")
    crash_once_asked(update(), churn, run, simulated_sleep)

    report = conclude().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")


def test_without_the_updates_report_the_end_is_found_by_looking(churn, update, run, conclude, context):
    run.refusing.add("xcom_push")
    update(deferrable=False).execute(run.context("update"))
    run.mark("update", "success")

    report = conclude().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")


@pytest.mark.parametrize("state", ["upstream_failed", "skipped", "removed", "failed"])
def test_where_nothing_was_launched_this_task_is_skipped(churn, run, conclude, context, state):
    run.mark("update", state)

    with pytest.raises(AirflowSkipException, match="No rollout to conclude"):
        conclude().execute(context)


def test_an_update_that_was_refused_before_it_was_asked_for_leaves_nothing_to_conclude(
    churn, update, run, conclude, context
):
    with pytest.raises(PreflightFailed):
        update(alarms=["not-there"]).execute(run.context("update"))
    run.mark("update", "failed")

    with pytest.raises(AirflowSkipException):
        conclude().execute(context)


def test_an_update_of_somebody_else_that_kept_the_task_from_launching_is_not_concluded(
    churn, update, run, conclude, context
):
    churn.config("churn-v3")
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v3")
    with pytest.raises(EndpointBusy):
        update().execute(run.context("update"))
    run.mark("update", "failed")

    with pytest.raises(AirflowSkipException):
        conclude().execute(context)


def test_an_endpoint_that_is_deleted_meanwhile_has_failed(churn, deferred, run, conclude, context):
    deferred()
    churn.simulator.simulation.world("us-east-1").sagemaker.vanish("churn")
    run.mark("update", "failed")

    assert conclude().execute(context)["outcome"] == "Failed"


def test_an_endpoint_that_may_not_be_looked_at_ends_the_task_by_name(churn, deferred, run, conclude, context):
    deferred()
    run.mark("update", "failed")
    deny(churn.simulator.client, "DescribeEndpoint", times=1)

    with pytest.raises(AccessDenied, match="sagemaker:DescribeEndpoint on endpoint churn"):
        conclude().execute(context)


def test_an_update_of_which_nothing_is_left_but_that_its_task_waited_is_not_taken_for_none(
    churn, run, conclude, context
):
    run.mark("update", "failed")
    run.task("update").xcom_push("rollout_try", WAITING)

    with pytest.raises(RolloutUnwatched, match="task update waited for an update of endpoint churn"):
        conclude().execute(context)


def test_aws_is_asked_again_where_it_does_not_answer(churn, deferred, run, conclude, context):
    deferred()
    run.mark("update", "failed")
    for call in ("DescribeEndpoint", "DescribeEndpointConfig", "ListTags"):
        churn.simulator.client.fault(call, kind="throttle", times=2)

    assert conclude().execute(context)["outcome"] == "RolledBack"


def test_an_xcom_or_asset_event_that_cannot_be_written_ends_nothing(churn, deferred, run, conclude):
    deferred()
    run.mark("update", "failed")
    run.refusing.add("xcom_push")

    report = conclude().execute({"ti": run.task("conclude")})

    assert report["outcome"] == "RolledBack"
    assert any("xcom_push is not to be had" in warning for warning in report["warnings"])


# The asset event.


def test_the_outcome_is_an_asset_event_with_the_report(churn, deferred, run, conclude, context):
    deferred()
    run.mark("update", "failed")

    report = conclude().execute(context)

    assert context["outlet_events"] == {ROLLOUTS.name: [(rollout_asset("churn", "RolledBack").uri, report)]}


def test_the_asset_of_an_outcome_is_named_after_both():
    assert rollout_asset("churn", "Succeeded").uri == "sagemaker://endpoint/churn/rollout/Succeeded"
    assert rollout_asset("churn", Outcome.SUCCEEDED) == rollout_asset("churn", "Succeeded")


@pytest.mark.parametrize(
    "odd", [("churn", "succeeded"), ("churn", "TimedOut"), ("a b", "Failed"), (None, "Failed")]
)
def test_an_asset_that_never_gets_an_event_is_refused(odd):
    with pytest.raises(InvalidArgument, match="must be"):
        rollout_asset(*odd)


# A first deployment.


def test_a_first_deployment_marked_failed_is_waited_for_because_nothing_can_be_rolled_back(
    churn, update, run, conclude, context
):
    defer(update(endpoint_name="new", if_missing="create"), run.context("update"))
    run.mark("update", "failed")

    report = conclude(endpoint_name="new").execute(context)

    assert (report["outcome"], report["adopted"], report["guarded"]) == ("Succeeded", "own", False)
    assert "a first deployment has nothing to go back to" in " ".join(report["warnings"])


# The guards of rollouts.


@pytest.mark.parametrize("abort_switch", [True, False])
def test_whoever_ends_a_rollout_deletes_the_guards_of_earlier_ones_and_not_its_own(
    churn, deferred, run, conclude, context, abort_switch
):
    earlier = f"{guard_prefix('churn')}{'0' * 20}-{'0' * 8}-1-5xx-errors"
    churn.alarm(earlier)
    churn.advance(minutes=1)
    deferred(guards=[ErrorRate(above=0.01)], abort_switch=abort_switch)
    run.mark("update", "failed")

    task = conclude()
    task.abort_action = "leave"
    report = task.execute(context)

    found = churn.cloudwatch.describe_alarms(AlarmNamePrefix=guard_prefix("churn"))["MetricAlarms"]
    own = [alarm for alarm in report["alarms"] if alarm["kind"] == "guard"]
    assert report["outcome"] == "Succeeded"
    assert [alarm["AlarmName"] for alarm in found] == [alarm["name"] for alarm in own] != [earlier]
    assert [alarm["title"] for alarm in own] == ["5xx errors of the new fleet"]
