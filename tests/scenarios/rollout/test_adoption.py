"""What a launch finds before it asks: its own earlier try, somebody else's update, or an endpoint at rest."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.aws.tags import INTENT_PREFIX, VERSION, parse_intent
from airflow_guardrails.exceptions import (
    AbortSwitchNotReady,
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointNotUpdatable,
    EndpointRolledBack,
    LaunchUnknown,
    RollbackFailed,
    RolloutFailed,
    RolloutTimedOut,
    UpdateRejected,
    UpdateUnanswered,
)
from airflow_guardrails.operators._launch.intent_store import NOT_RECORDED
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary
from tests.support.churn import switch_of
from tests.support.fakes import TaskState
from tests.support.simulated import deny

SWITCH = switch_of().alarm_name
CANARY = Canary(percent=25, bake=timedelta(minutes=10))


@pytest.fixture
def update(churn, simulated_sleep):
    """A fresh operator, as every try has; its wall clock is the simulator's."""

    def build(**changes):
        arguments = {
            "task_id": "update",
            "endpoint_name": "churn",
            "endpoint_config_name": "churn-v2",
            "strategy": CANARY,
            "alarms": ["errors"],
            "deferrable": False,
            "waiter_delay": 60,
        }
        operator = SageMakerGuardedUpdateOperator(**{**arguments, **changes})
        operator.sleep = simulated_sleep
        operator.monotonic = lambda: churn.now().timestamp()
        return operator

    return build


@pytest.fixture
def launch_and_die(churn, update, context):
    """A first try that asks for the update, and is never heard of again."""

    def launch(**changes):
        with pytest.raises(TaskDeferred):
            update(deferrable=True, **changes).execute(context)
        assert churn.describe()["EndpointStatus"] == "Updating"

    return launch


@pytest.fixture
def ask_and_die(churn, update, context):
    """A first try that dies while UpdateEndpoint answers: that it was accepted is written down nowhere."""

    class Died(BaseException):
        pass

    def ask(**changes):
        operator = update(**changes)
        update_endpoint = operator.hook.update_endpoint

        def answered_to_nobody(**arguments):
            update_endpoint(**arguments)
            raise Died

        operator.hook.update_endpoint = answered_to_nobody
        with pytest.raises(Died):
            operator.execute(context)
        assert churn.describe()["EndpointStatus"] == "Updating"

    return ask


@pytest.fixture
def mean_it_and_die(churn, update, context):
    """A first try that dies with its intent written, before it asks."""

    class Died(BaseException):
        pass

    def mean(**changes):
        operator, asked = update(**changes), churn.calls("UpdateEndpoint")

        def sleep(_seconds):
            raise Died

        operator.sleep = sleep  # the first pause is the one for the abort switch to be OK
        with pytest.raises(Died):
            operator.execute(context)
        assert churn.calls("AddTags") == 1
        assert churn.calls("UpdateEndpoint") == asked

    return mean


@pytest.fixture
def intent(churn):
    """The task instance's own intent that the target's tags hold."""

    def read():
        return parse_intent(tags_of_the_target(churn).get(f"{INTENT_PREFIX}{switch_of().owner}"))

    return read


def tags_of_the_target(churn):
    arn = churn.sagemaker.describe_endpoint_config(EndpointConfigName="churn-v2")["EndpointConfigArn"]
    return {tag["Key"]: tag["Value"] for tag in churn.sagemaker.list_tags(ResourceArn=arn)["Tags"]}


def foreign_update(churn, config="churn-v2", **arguments):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=config, **arguments)


def between_the_looks(operator, happens):
    """Let something happen while the launch waits for its switch, between its two looks."""
    sleep, due = operator.sleep, [happens]

    def sleep_and_more(seconds):
        sleep(seconds)
        if due:
            due.pop()()

    operator.sleep = sleep_and_more
    return operator


# In flight to the target: adopted.


def test_a_retry_adopts_what_the_first_try_launched(churn, update, context, launch_and_die):
    launch_and_die()
    churn.advance(minutes=4)

    report = update().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")
    assert report["previous_endpoint_config_name"] == "churn-v1"
    assert report["guarded"] is True
    assert report["stages_complete"] is False
    assert churn.calls("UpdateEndpoint") == 1


def test_somebody_elses_update_to_the_target_is_watched_with_the_alarms_it_really_has(churn, update, context):
    churn.alarm("theirs")
    foreign_update(
        churn,
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "theirs"}]},
        },
    )

    report = update().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "foreign")
    assert [alarm["name"] for alarm in report["alarms"]] == ["theirs"]


def test_a_time_out_leaves_an_adopted_foreign_update_alone_even_with_the_switch_in_it(churn, update, context):
    churn.alarm(SWITCH)
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": SWITCH}]}}
    size = {"Type": "INSTANCE_COUNT", "Value": 1}
    routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": 3600}
    foreign_update(
        churn,
        DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}, **alarms},
    )

    with pytest.raises(RolloutTimedOut):
        update(max_wait=timedelta(minutes=8), on_timeout="abort").execute(context)

    assert churn.calls("PutMetricData") == 0


@pytest.mark.parametrize(
    ("identity", "value"),
    [("dag_id", "other"), ("run_id", "manual"), ("task_id", "other"), ("map_index", 1)],
)
def test_the_intent_of_another_task_instance_is_not_ours(
    churn, update, context, launch_and_die, identity, value
):
    launch_and_die()
    setattr(context["ti"], identity, value)

    assert update().execute(context)["adopted"] == "foreign"
    with pytest.raises(ConfigAlreadyLive):
        update().execute(context)


def test_a_later_try_of_the_same_task_instance_owns_what_the_first_launched(
    update, context, launch_and_die, task_instance
):
    launch_and_die()
    task_instance.try_number = 3

    assert update().execute(context)["adopted"] == "own"


# The target serves.


def test_what_the_first_try_launched_and_is_live_by_now_succeeds(churn, update, context, launch_and_die):
    launch_and_die()
    churn.advance(hours=1)

    report = update().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")
    assert report["previous_endpoint_config_name"] == "churn-v1"
    assert report["serving_endpoint_config_name"] == "churn-v2"
    assert churn.calls("UpdateEndpoint") == 1


def test_a_configuration_that_somebody_else_brought_live_is_an_error_by_default(churn, update, context):
    with pytest.raises(ConfigAlreadyLive, match=r"already serves churn-v1.*if_already_live='succeed'"):
        update(endpoint_config_name="churn-v1").execute(context)

    assert churn.calls("UpdateEndpoint") == 0


def test_it_can_be_success_that_claims_nothing(churn, update, context):
    report = update(endpoint_config_name="churn-v1", if_already_live="succeed").execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "foreign")
    assert report["previous_endpoint_config_name"] is None
    assert report["guarded"] is False
    assert churn.calls("UpdateEndpoint") == 0
    assert churn.calls("AddTags") == 0


# Changed by something else.


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda churn: foreign_update(churn, churn.config("churn-v3")), "is Updating to churn-v3"),
        (lambda churn: churn.simulator.client.system_update("churn", 300), "is SystemUpdating and accepts"),
        (lambda churn: churn.scale(3), "is Updating and accepts"),
    ],
    ids=["another update", "system update", "scaling"],
)
def test_a_busy_endpoint_fails_for_airflow_to_retry_or_is_waited_for(churn, update, context, change, says):
    change(churn)
    asked = churn.calls("UpdateEndpoint")

    with pytest.raises(EndpointBusy, match=says):
        update().execute(context)
    assert churn.calls("UpdateEndpoint") == asked
    assert churn.calls("AddTags") == 0

    report = update(if_busy="wait").execute(context)
    assert (report["outcome"], report["adopted"]) == ("Succeeded", None)
    assert churn.calls("UpdateEndpoint") == asked + 1


def test_the_target_is_read_again_after_a_wait_for_a_busy_endpoint(churn, update, context):
    operator = update(if_busy="wait", endpoint_config_name="churn-v3")
    sleep, created = operator.sleep, []

    def sleep_and_create_target(seconds):
        created[:] = created or [churn.config("churn-v3")]
        sleep(seconds)

    operator.sleep = sleep_and_create_target
    churn.simulator.client.system_update("churn", 300)

    assert operator.execute(context)["serving_endpoint_config_name"] == "churn-v3"


def test_the_target_is_read_once_if_the_endpoint_is_free(churn, update, context):
    before = churn.calls("DescribeEndpointConfig")

    update(wait_for_completion=False).execute(context)

    assert churn.calls("DescribeEndpointConfig") == before + 2, "the target, and the configuration in service"


def test_waiting_for_a_busy_endpoint_is_bounded(churn, update, context):
    churn.simulator.client.system_update("churn", 7200)
    began = churn.now()

    with pytest.raises(EndpointBusy):
        update(if_busy="wait", busy_timeout=timedelta(minutes=20)).execute(context)

    waited = churn.now() - began
    assert timedelta(minutes=20) <= waited < timedelta(minutes=21)


# Undone while nobody looked.


def undo(churn, *, reason=None, status="InService"):
    """The update in flight ends on the old configuration, whatever its alarms say."""
    churn.simulator.client.script_ending(
        "churn", status=status, failure_reason=reason, after_seconds=480, endpoint_config_name="churn-v1"
    )
    churn.advance(hours=1)


def test_requests_answered_by_the_target_prove_that_it_ran(churn, update, context, ask_and_die):
    churn.simulator.client.replay("churn", ["1,2"], per_minute=60)
    ask_and_die(abort_switch=False)
    undo(churn)

    with pytest.raises(EndpointRolledBack, match="serves churn-v1 again") as caught:
        update(abort_switch=False).execute(context)

    report = caught.value.report
    # It ran, and it is unknown who has started it.
    assert (report["adopted"], report["previous_endpoint_config_name"]) == ("foreign", "churn-v1")
    assert any("nothing proves that this task started it" in warning for warning in report["warnings"])
    assert report["cause"]["kind"] == "unknown"
    assert churn.calls("UpdateEndpoint") == 1


def test_requests_that_may_not_be_counted_prove_nothing_and_the_error_says_what_to_allow(
    churn, update, context, ask_and_die
):
    churn.simulator.client.replay("churn", ["1,2"], per_minute=60)
    ask_and_die(abort_switch=False)
    undo(churn)
    deny(churn.simulator.client, "GetMetricStatistics")

    with pytest.raises(LaunchUnknown, match="allow cloudwatch:GetMetricStatistics"):
        update(abort_switch=False).execute(context)

    assert churn.calls("UpdateEndpoint") == 1


@pytest.mark.parametrize("shows", ["at_start", "at_end"])
def test_the_abort_switch_in_the_last_deployment_proves_that_it_ran(
    churn, update, context, ask_and_die, shows
):
    churn.simulator.client.set_knobs(rollback_failure_reason=None, last_deployment_config=shows)
    ask_and_die()
    churn.advance(minutes=5)
    churn.trip("errors")
    churn.advance(hours=1)

    with pytest.raises(EndpointRolledBack) as caught:
        update().execute(context)

    cause = caught.value.report["cause"]
    assert (cause["kind"], [alarm["name"] for alarm in cause["alarms"]]) == ("alarm", ["errors"])
    assert churn.calls("UpdateEndpoint") == 1


def test_neither_an_alarm_nor_a_failure_reason_proves_that_it_ran(churn, update, context, ask_and_die):
    ask_and_die(abort_switch=False)
    churn.advance(minutes=5)
    churn.trip("errors")
    undo(churn, reason="The primary container for production variant AllTraffic did not pass the ping.")

    with pytest.raises(LaunchUnknown) as caught:
        update(abort_switch=False).execute(context)

    says = str(caught.value)
    assert "serves churn-v1" in says
    assert "requests answered by the target since 2026-03-02T10:1" in says
    assert ": 0)" in says
    assert "relaunch=True" in says
    assert churn.calls("UpdateEndpoint") == 1


def test_an_update_that_never_ran_is_not_rolled_back_whatever_happened_since_the_intent(
    churn, update, context, mean_it_and_die
):
    """Yesterday's FailureReason is still there, an alarm has gone off, and somebody has scaled."""
    undone_yesterday(churn)
    mean_it_and_die()
    churn.trip("errors")
    churn.scale(3)
    churn.advance(minutes=30)
    churn.alarm("errors")
    asked = churn.calls("UpdateEndpoint")

    with pytest.raises(LaunchUnknown):
        update().execute(context)

    assert churn.calls("UpdateEndpoint") == asked


def undone_yesterday(churn):
    churn.config("churn-v0")
    foreign_update(churn, "churn-v0", DeploymentConfig=guarded_by("errors"))
    undo(churn, reason="An alarm tripped.")
    churn.advance(hours=23)
    assert churn.describe()["FailureReason"] == "An alarm tripped."


def test_what_is_known_to_be_launched_needs_no_other_trace(churn, update, context, launch_and_die):
    launch_and_die()
    undo(churn)

    with pytest.raises(EndpointRolledBack) as caught:
        update().execute(context)

    report = caught.value.report
    assert (report["adopted"], report["previous_endpoint_config_name"]) == ("own", "churn-v1")
    assert churn.calls("UpdateEndpoint") == 1


# Reads that lag behind an earlier try.


@pytest.fixture
def launch_unseen(churn, update, context):
    """A first try that launches, while reads show the time before for longer than the update takes."""

    def launch():
        churn.simulator.client.set_knobs(
            describe_lag_seconds=90, provisioning_seconds=5, activation_seconds=1, deleting_seconds=10
        )
        with pytest.raises(TaskDeferred):
            update(deferrable=True).execute(context)

    return launch


@pytest.mark.parametrize("minutes", [0, 1, 2, 20])
@pytest.mark.parametrize("relaunch", [False, True])
@pytest.mark.proof
def test_an_update_that_is_not_visible_yet_is_not_launched_again(
    churn, update, context, launch_unseen, minutes, relaunch
):
    launch_unseen()
    churn.advance(minutes=minutes)

    report = update(relaunch=relaunch).execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")
    assert churn.calls("UpdateEndpoint") == 1


def test_what_may_have_been_asked_for_is_waited_for_before_it_is_asked_again(
    churn, update, context, ask_and_die, mean_it_and_die
):
    ask_and_die()
    churn.simulator.client.set_knobs(stale_read_probability=1, stale_read_seconds=90)

    report = update().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")
    assert churn.calls("UpdateEndpoint") == 1


def test_what_was_only_meant_is_asked_for_once_reads_must_have_caught_up(
    churn, update, context, mean_it_and_die
):
    mean_it_and_die()
    began = churn.now()

    report = update().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", None)
    assert churn.calls("UpdateEndpoint") == 1
    asked_at = datetime.fromisoformat(report["started_at"])
    assert timedelta(minutes=2) <= asked_at - began < timedelta(minutes=4)


# Whose update it is, where two have the same target.


def guarded_by(*alarms):
    at_once = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    return {
        "BlueGreenUpdatePolicy": {**at_once, "TerminationWaitInSeconds": 600},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm} for alarm in alarms]},
    }


def state_of(churn, alarm):
    return churn.simulator.client.alarm_state(alarm)


def test_what_somebody_else_launched_after_our_intent_is_never_claimed_or_stopped(
    churn, update, context, mean_it_and_die
):
    mean_it_and_die()
    theirs = switch_of(task_instance=Other).alarm_name
    churn.alarm(theirs)
    foreign_update(churn, DeploymentConfig=guarded_by(theirs))

    report = update(on_timeout="abort", max_wait=timedelta(minutes=5)).execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "foreign")
    assert any("nothing proves that it did" in warning for warning in report["warnings"])
    assert state_of(churn, theirs) == "OK"


class Other:
    """Another task instance."""

    dag_id, run_id, task_id, map_index = "other", "scheduled__2026-03-02", "update", -1


def test_what_somebody_else_launched_after_ours_was_over_is_foreign(churn, update, context, launch_and_die):
    """It even names our switch, as an update with RetainDeploymentConfig does: its StartTime decides."""
    launch_and_die()
    undo(churn)
    foreign_update(churn, RetainDeploymentConfig=True)
    published = churn.calls("PutMetricData")

    with pytest.raises(RolloutTimedOut) as caught:
        update(on_timeout="abort", max_wait=timedelta(minutes=5)).execute(context)

    assert caught.value.report["adopted"] == "foreign"
    assert churn.calls("PutMetricData") == published


def test_a_retry_may_abort_what_is_known_to_be_launched(churn, update, context, launch_and_die):
    launch_and_die()

    with pytest.raises(EndpointRolledBack) as caught:
        update(on_timeout="abort", max_wait=timedelta(minutes=5)).execute(context)

    assert (caught.value.report["adopted"], caught.value.report["cause"]["kind"]) == ("own", "timeout")


@pytest.mark.parametrize("reason", [None, "An alarm tripped."])
def test_relaunch_asks_again_whether_it_is_known_that_it_ran_or_not(
    churn, update, context, launch_and_die, reason
):
    launch_and_die()
    undo(churn, reason=reason)

    report = update(relaunch=True).execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", None)
    assert churn.calls("UpdateEndpoint") == 2


def test_relaunch_asks_for_nothing_while_it_still_runs_or_serves(churn, update, context, launch_and_die):
    launch_and_die()

    assert update(relaunch=True).execute(context)["adopted"] == "own"
    assert update(relaunch=True).execute(context)["adopted"] == "own"
    assert churn.calls("UpdateEndpoint") == 1


@pytest.mark.parametrize("relaunch", [False, True])
def test_relaunch_does_not_ask_where_no_update_can_be(churn, update, context, launch_and_die, relaunch):
    launch_and_die()
    undo(churn, status="Failed", reason="Disk full.")

    with pytest.raises(EndpointNotUpdatable if relaunch else RolloutFailed, match="Failed"):
        update(relaunch=relaunch).execute(context)

    assert churn.calls("UpdateEndpoint") == 1


def test_an_unseen_update_whose_rollback_failed_is_reported(churn, update, context, launch_and_die):
    launch_and_die()
    undo(churn, status="UpdateRollbackFailed", reason="No capacity.")

    with pytest.raises(RollbackFailed, match="No capacity"):
        update().execute(context)


def test_an_endpoint_whose_last_rollback_failed_is_repaired_by_the_next_update(churn, update, context):
    churn.simulator.client.script_ending("churn", status="UpdateRollbackFailed", after_seconds=60)
    foreign_update(churn, churn.config("churn-v3"))
    churn.advance(hours=1)
    assert churn.describe()["EndpointStatus"] == "UpdateRollbackFailed"

    assert update().execute(context)["outcome"] == "Succeeded"
    assert churn.describe()["EndpointStatus"] == "InService"


def test_an_intent_alone_hinders_nothing_while_the_endpoint_is_as_it_was(
    churn, update, context, mean_it_and_die
):
    mean_it_and_die()
    churn.advance(hours=1)

    report = update().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", None)
    assert churn.calls("UpdateEndpoint") == 1


def test_an_intent_and_an_endpoint_that_was_scaled_since_are_not_enough_to_tell(
    churn, update, context, mean_it_and_die
):
    mean_it_and_die()
    churn.scale(3)
    churn.advance(minutes=10)

    with pytest.raises(LaunchUnknown):
        update().execute(context)


# The intent: what it says, and where it is kept.


def test_the_intent_says_what_served_and_is_there_before_the_update_is(
    churn, mean_it_and_die, intent, task_instance
):
    modified = churn.describe()["LastModifiedTime"]

    mean_it_and_die()

    assert intent().previous == "churn-v1"
    assert intent().modified_at == modified
    assert intent().accepted_at is None
    assert task_instance.dag_id not in str(tags_of_the_target(churn))


def test_it_says_when_the_update_was_accepted_and_its_start_time(churn, launch_and_die, intent):
    launch_and_die()

    assert intent().started_at == churn.describe()["PendingDeploymentSummary"]["StartTime"]
    assert timedelta(0) <= churn.now() - intent().accepted_at < timedelta(seconds=2)


DENIED = [("AddTags", "ListTags"), ("AddTags",), ("ListTags",)]


@pytest.mark.parametrize("denied", DENIED, ids=" and ".join)
def test_a_task_that_may_not_tag_keeps_its_intent_in_airflow(churn, update, context, launch_and_die, denied):
    context["task_state_store"] = TaskState()
    deny(churn.simulator.client, *denied)
    launch_and_die()
    undo(churn, reason="An alarm tripped.")

    with pytest.raises(EndpointRolledBack) as caught:
        update().execute(context)

    assert caught.value.report["previous_endpoint_config_name"] == "churn-v1"
    assert NOT_RECORDED not in caught.value.report["warnings"]
    assert churn.calls("UpdateEndpoint") == 1


@pytest.mark.parametrize("denied", DENIED, ids=" and ".join)
def test_a_task_that_can_keep_its_intent_nowhere_is_warned(churn, update, context, denied):
    deny(churn.simulator.client, *denied)

    report = update().execute(context)

    assert report["outcome"] == "Succeeded"
    assert report["warnings"].count(NOT_RECORDED) == 1
    assert context["ti"].xcoms["rollout_report"]["warnings"] == report["warnings"]


def test_an_intent_of_another_target_kept_in_airflow_is_not_taken_for_this_one(
    churn, update, context, launch_and_die
):
    context["task_state_store"] = TaskState()
    deny(churn.simulator.client, "AddTags", "ListTags")
    launch_and_die()
    undo(churn, reason="An alarm tripped.")

    # The DAG author has cleared the task after a new training: the target's name is a new one.
    report = update(endpoint_config_name=churn.config("churn-v3")).execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", None)


@pytest.mark.parametrize("failing", ["AddTags", "ListTags"])
def test_no_update_is_asked_for_while_the_intent_cannot_be_written_or_read(churn, update, context, failing):
    churn.simulator.client.fault(failing, kind="error")

    with pytest.raises(Exception, match="InternalFailure"):
        update().execute(context)

    assert churn.calls("UpdateEndpoint") == 0


def test_tags_that_do_not_answer_hinder_nothing_where_airflow_keeps_the_intent(churn, update, context):
    context["task_state_store"] = TaskState()
    churn.simulator.client.fault("AddTags", kind="error", times=None)

    assert update().execute(context)["outcome"] == "Succeeded"


def test_a_configuration_with_fifty_tags_has_no_room_and_hinders_nothing(churn, update, context):
    arn = churn.sagemaker.describe_endpoint_config(EndpointConfigName="churn-v2")["EndpointConfigArn"]
    tags = [{"Key": f"team-{number}", "Value": "x"} for number in range(50)]
    churn.sagemaker.add_tags(ResourceArn=arn, Tags=tags)

    report = update().execute(context)

    assert report["outcome"] == "Succeeded"
    assert NOT_RECORDED in report["warnings"]


def test_a_configuration_with_room_for_one_more_tag_gets_the_intent(churn, update, context):
    arn = churn.sagemaker.describe_endpoint_config(EndpointConfigName="churn-v2")["EndpointConfigArn"]
    tags = [{"Key": f"team-{number}", "Value": "x"} for number in range(49)]
    churn.sagemaker.add_tags(ResourceArn=arn, Tags=tags)

    report = update().execute(context)

    assert report["outcome"] == "Succeeded"
    assert NOT_RECORDED not in report["warnings"]


@pytest.mark.parametrize("broken", ["get", "set"])
def test_a_failing_task_state_prevents_nothing_and_is_logged(churn, update, context, monkeypatch, broken):
    def fail(*_):
        raise RuntimeError("the API server is away")

    context["task_state_store"] = TaskState()
    monkeypatch.setattr(context["task_state_store"], broken, fail)

    report = update().execute(context)

    assert report["outcome"] == "Succeeded"
    assert any("RuntimeError: the API server is away" in warning for warning in report["warnings"])


# Whoever did not ask leaves no intent.


def nobody_means_to(intent):
    return intent() is None or intent().withdrawn


def test_an_update_that_sagemaker_refuses_withdraws_the_intent(churn, update, context, intent):
    churn.simulator.client.set_knobs(instance_limit=4)
    with pytest.raises(UpdateRejected):
        update().execute(context)

    assert nobody_means_to(intent)
    churn.simulator.client.set_knobs(instance_limit=None)
    churn.scale(3)
    churn.advance(minutes=10)
    assert update().execute(context)["outcome"] == "Succeeded"


def test_an_abort_switch_that_is_not_ready_withdraws_the_intent(churn, update, context, intent):
    operator = update()
    clock = iter(range(0, 100_000, 60))
    operator.sleep, operator.monotonic = lambda _: None, lambda: next(clock)

    with pytest.raises(AbortSwitchNotReady):
        operator.execute(context)

    assert nobody_means_to(intent)
    assert state_of(churn, SWITCH) is None


def test_an_update_of_somebody_else_between_the_two_looks_withdraws_the_intent(
    churn, update, context, intent
):
    churn.config("churn-v3")
    operator = between_the_looks(update(), lambda: foreign_update(churn, "churn-v3"))

    with pytest.raises(EndpointBusy, match="Updating to churn-v3"):
        operator.execute(context)

    assert churn.calls("UpdateEndpoint") == 1
    assert nobody_means_to(intent)
    churn.advance(hours=1)
    report = update().execute(context)
    assert (report["outcome"], report["previous_endpoint_config_name"]) == ("Succeeded", "churn-v3")


def test_an_update_to_the_target_between_the_two_looks_is_never_taken_for_ours(churn, update, context):
    operator = between_the_looks(update(max_wait=timedelta(minutes=2)), lambda: foreign_update(churn))
    with pytest.raises(RolloutTimedOut) as caught:
        operator.execute(context)
    assert caught.value.report["adopted"] == "foreign"

    assert update().execute(context)["adopted"] == "foreign"
    assert churn.calls("UpdateEndpoint") == 1


def test_scaling_between_the_two_looks_renews_the_intent(churn, update, context, intent):
    def scale_and_rest():
        churn.scale(3)
        churn.advance(minutes=10)

    scaled = between_the_looks(update(wait_for_completion=False), scale_and_rest)
    before = churn.describe()["LastModifiedTime"]

    scaled.execute(context)

    assert intent().modified_at > before
    assert churn.calls("UpdateEndpoint") == 1


def another_is_quicker(churn, operator, config):
    """Somebody else's update is accepted after our last look, and before ours gets there."""
    ask = operator.hook.update_endpoint

    def late(**arguments):
        foreign_update(churn, config)
        return ask(**arguments)

    operator.hook.update_endpoint = late
    return operator


def test_somebody_quicker_with_another_target_withdraws_the_intent(churn, update, context, intent):
    churn.config("churn-v3")
    with pytest.raises(EndpointBusy, match="Another update of endpoint churn is in progress"):
        another_is_quicker(churn, update(), "churn-v3").execute(context)

    assert nobody_means_to(intent)
    churn.advance(hours=1)
    assert update().execute(context)["previous_endpoint_config_name"] == "churn-v3"


def test_somebody_quicker_with_our_target_is_adopted_as_foreign_by_every_try(churn, update, context):
    with pytest.raises(RolloutTimedOut) as caught:
        another_is_quicker(churn, update(max_wait=timedelta(minutes=2)), "churn-v2").execute(context)
    assert caught.value.report["adopted"] == "foreign"

    assert update().execute(context)["adopted"] == "foreign"


def test_a_refusal_does_not_wipe_out_what_an_earlier_try_has_launched(
    churn, update, context, launch_and_die, intent
):
    launch_and_die()
    first = intent()
    undo(churn, reason="An alarm tripped.")
    churn.simulator.client.set_knobs(instance_limit=4)
    with pytest.raises(UpdateRejected):
        update(relaunch=True).execute(context)

    assert intent() == first
    with pytest.raises(EndpointRolledBack):
        update().execute(context)


# One UpdateEndpoint, whatever becomes of its answer.


@pytest.mark.parametrize("fault", ["throttle", "error", "lose"])
def test_botocore_does_not_repeat_the_update_even_if_the_connection_says_so(
    churn, update, context, monkeypatch, fault
):
    config = {"retries": {"total_max_attempts": 5, "mode": "standard"}}
    churn.simulator.client.fault("UpdateEndpoint", kind=fault)
    operator = update(botocore_config=config, wait_for_completion=False)

    if fault == "lose":
        assert operator.execute(context)["adopted"] == "own"
    else:
        with pytest.raises(EndpointBusy if fault == "throttle" else UpdateUnanswered):
            operator.execute(context)

    assert churn.calls("UpdateEndpoint") == 1


@pytest.mark.parametrize("delay", [0, 40, 100])
@pytest.mark.parametrize("lag", [0, 90])
def test_an_answer_that_got_lost_is_looked_for_as_long_as_reads_may_lag(churn, update, context, lag, delay):
    churn.simulator.client.set_knobs(describe_lag_seconds=lag, start_time_delay_seconds=delay)
    churn.simulator.client.fault("UpdateEndpoint", kind="lose")

    with pytest.raises(EndpointRolledBack) as caught:
        update(on_timeout="abort", max_wait=timedelta(minutes=6)).execute(context)

    report = caught.value.report
    assert (report["adopted"], report["cause"]["kind"]) == ("own", "timeout")
    assert churn.calls("UpdateEndpoint") == 1


def test_an_update_that_was_never_accepted_and_gave_no_answer_is_asked_for_by_the_retry(
    churn, update, context
):
    churn.simulator.client.fault("UpdateEndpoint", kind="error")
    with pytest.raises(UpdateUnanswered, match="A retry checks again before"):
        update().execute(context)

    report = update().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", None)
    assert churn.calls("UpdateEndpoint") == 2


@pytest.mark.parametrize("delay", [40, 100])
def test_a_start_time_long_after_the_answer_hinders_no_abort(churn, update, context, delay):
    churn.simulator.client.set_knobs(start_time_delay_seconds=delay)

    with pytest.raises(EndpointRolledBack) as caught:
        update(on_timeout="abort", max_wait=timedelta(minutes=6)).execute(context)

    assert caught.value.report["cause"]["kind"] == "timeout"


def test_the_intent_leaves_the_other_tags_alone(churn, launch_and_die):
    arn = churn.sagemaker.describe_endpoint_config(EndpointConfigName="churn-v2")["EndpointConfigArn"]
    others = {"team": "churn", f"{INTENT_PREFIX}somebody": "previous=churn-v0 written=2026-03-01T00:00:00Z"}
    churn.sagemaker.add_tags(
        ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in others.items()]
    )

    launch_and_die()

    tags = tags_of_the_target(churn)
    assert {key: tags[key] for key in others} == others
    own = {key for key in tags if key.startswith(INTENT_PREFIX)} - others.keys()
    assert tags.keys() == {*others, *own, VERSION}
    assert len(own) == 1
