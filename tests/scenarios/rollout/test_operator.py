from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
from airflow.sdk.execution_time.context import set_current_context

from airflow_guardrails.exceptions import (
    AlarmNotFound,
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointConfigNotFound,
    EndpointNotFound,
    EndpointNotUpdatable,
    EndpointRolledBack,
    InvalidArgument,
    PreflightFailed,
    RolloutUnwatched,
    UnexpectedAnswer,
    UpdateRejected,
    UpdateUnanswered,
)
from airflow_guardrails.links.sagemaker import LINK_DATA_KEY
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear
from tests.support.churn import switch_of

SWITCH = switch_of().alarm_name
CANARY = Canary(percent=25, bake=timedelta(minutes=10))


@pytest.fixture
def update(guarded_update):
    return partial(guarded_update, strategy=CANARY)


@pytest.fixture
def tripped_while_baking(churn, simulated_sleep):
    """Sleeping during which the alarm trips as soon as a green instance has traffic."""

    def sleep(seconds):
        simulated_sleep(seconds)
        pending = churn.describe().get("PendingDeploymentSummary")
        if pending and pending["ProductionVariants"][0]["CurrentInstanceCount"] == 1:
            churn.trip("errors", "Threshold Crossed: 0.3 was greater than 0.05")

    return sleep


def test_the_report_has_the_stages_of_a_successful_canary(churn, update, context):
    report = update(waiter_delay=10).execute(context)

    assert [(stage["stage"], stage["instances"]) for stage in report["stages"]] == [
        ("Creating", 0),
        ("ActivatingTraffic", 0),
        ("Baking", 1),
        ("ActivatingTraffic", 1),
        ("Deleting", 4),
    ]
    assert report["guarded"] is True
    assert report["adopted"] is None
    assert report["stages_complete"] is True
    assert report["previous_endpoint_config_name"] == "churn-v1"


def test_a_rollback_names_the_alarm_and_why_it_tripped(update, context, tripped_while_baking):
    operator = update()
    operator.sleep = tripped_while_baking

    with pytest.raises(EndpointRolledBack) as caught:
        operator.execute(context)

    assert "serves churn-v1 again, not churn-v2" in str(caught.value)
    assert "Alarm errors was in ALARM" in str(caught.value)
    assert "0.3 was greater than 0.05" in str(caught.value)


@pytest.mark.parametrize("on_kill", ["abort", "leave"])
def test_the_report_says_from_the_first_look_what_marking_the_task_failed_does(
    churn, update, context, on_kill
):
    with set_current_context(context), pytest.raises(TaskDeferred):
        update(deferrable=True, on_kill=on_kill).execute(context)

    stopping = context["ti"].xcoms["rollout_report"]["stopping"]
    assert stopping["aborts"] is (on_kill == "abort")


def test_a_rollback_can_skip_what_follows(update, context, tripped_while_baking):
    operator = update(on_rollback="skip")
    operator.sleep = tripped_while_baking

    with pytest.raises(AirflowSkipException, match="rolled back"):
        operator.execute(context)

    assert context["ti"].xcoms["rollout_report"]["outcome"] == "RolledBack"


@pytest.mark.proof
def test_a_rollback_can_be_returned_for_the_dag_to_decide(update, context, tripped_while_baking):
    operator = update(on_rollback="return")
    operator.sleep = tripped_while_baking

    assert operator.execute(context)["outcome"] == "RolledBack"


def test_an_update_that_nothing_could_undo_is_refused(churn, update, context):
    with pytest.raises(PreflightFailed, match=r"error no_guard: .*allow_unguarded=True") as caught:
        update(strategy={}, alarms=[], abort_switch=False).execute(context)

    assert churn.calls("UpdateEndpoint") == 0
    report = context["ti"].xcoms["rollout_report"]
    assert report == caught.value.report
    assert report["outcome"] is None
    assert "no_guard" in [finding["code"] for finding in report["findings"]]


def test_an_update_that_nothing_could_undo_is_reported_as_such_where_it_is_allowed(churn, update, context):
    report = update(strategy={}, alarms=[], abort_switch=False, allow_unguarded=True).execute(context)

    assert report["outcome"] == "Succeeded"
    assert report["guarded"] is False
    unguarding = [finding for finding in report["findings"] if finding["code"] == "no_guard"]
    assert report["unguarded_because"] == unguarding[0]["text"]


def test_all_findings_are_shown_at_once(churn, update, context):
    churn.trip("errors")

    with pytest.raises(AlarmNotFound) as caught:
        update(
            strategy=Canary(instances=3, bake=timedelta(minutes=10)), alarms=["errors", "latency"]
        ).execute(context)

    codes = {finding["code"] for finding in caught.value.findings if finding["severity"] == "error"}
    assert codes == {"alarm_missing", "alarm_in_alarm", "step_too_large"}
    assert all(code in str(caught.value) for code in codes)


def test_an_alarm_without_data_is_warned_about_and_refused_on_demand(churn, update, context):
    churn.alarm("errors", state="INSUFFICIENT_DATA")

    with pytest.raises(PreflightFailed, match="error alarm_without_data"):
        update(require_alarms_ok=True).execute(context)

    report = update().execute(context)
    assert "alarm_without_data" in [finding["code"] for finding in report["findings"]]


def test_marketplace_containers_are_refused_because_sagemaker_would_go_all_at_once(churn, update, context):
    churn.sagemaker.create_model(
        ModelName="bought",
        PrimaryContainer={
            "ModelPackageName": "arn:aws:sagemaker:us-east-1:865070037744:model-package/bought"
        },
        ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
    )
    churn.config("churn-bought", model="bought")

    with pytest.raises(PreflightFailed, match="error marketplace"):
        update(endpoint_config_name="churn-bought").execute(context)


def test_a_task_that_may_not_look_at_models_goes_on(churn, update, context):
    churn.simulator.client.fault(
        "DescribeModel", kind="error", code="AccessDeniedException", message="no", status=400, times=None
    )

    assert update().execute(context)["outcome"] == "Succeeded"


@pytest.mark.parametrize(
    "strategy",
    [
        AllAtOnce(termination_wait=timedelta(minutes=5)),
        Linear(percent=50, bake=timedelta(minutes=2)),
        {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "CanarySize": {"Type": "INSTANCE_COUNT", "Value": "2"},
                    "WaitIntervalInSeconds": "120",
                }
            }
        },
    ],
    ids=["all at once", "linear", "a dict whose numbers Jinja rendered"],
)
def test_every_blue_green_strategy_is_carried_out(churn, update, context, strategy):
    assert update(strategy=strategy).execute(context)["outcome"] == "Succeeded"
    assert churn.describe()["EndpointConfigName"] == "churn-v2"


def test_without_waiting_the_report_has_no_outcome_yet(churn, update, context):
    report = update(wait_for_completion=False).execute(context)

    assert report["outcome"] is None
    assert churn.describe()["EndpointStatus"] == "Updating"
    assert context["ti"].xcoms["rollout_report"] == report


# Bad input ends before anything was changed.


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"endpoint_name": "chrun"}, EndpointNotFound, "chrun does not exist in us-east-1"),
        (
            {"endpoint_config_name": "churn-v9"},
            EndpointConfigNotFound,
            "churn-v9 does not exist in us-east-1",
        ),
        ({"alarms": ["errors", "latency"]}, AlarmNotFound, "alarm_missing: .*latency"),
        ({"endpoint_config_name": "churn-v1"}, ConfigAlreadyLive, "already serves churn-v1"),
        ({"strategy": {"BlueGreen": {}}}, InvalidArgument, "BlueGreen"),
        ({"strategy": "canary"}, InvalidArgument, "strategy must be built from"),
        ({"alarms": ["errors", "errors"]}, InvalidArgument, "errors"),
        ({"alarms": "errors"}, InvalidArgument, "must be a list of alarm names"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_named_before_anything_is_changed(churn, update, context, changes, error, says):
    with pytest.raises(error, match=says):
        update(**changes).execute(context)

    assert churn.calls("UpdateEndpoint") == 0
    assert churn.describe()["EndpointStatus"] == "InService"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"on_rollback": "ignore"}, "on_rollback must be one of 'fail', 'skip', 'return' \\(got 'ignore'\\)"),
        ({"waiter_delay": 0}, "waiter_delay must be a number of seconds greater than 0 .*\\(got 0\\)"),
        ({"max_wait": 3600}, "max_wait must be a timedelta greater than 0 .*\\(got 3600\\)"),
    ],
)
def test_a_nonsensical_argument_is_named_when_the_dag_is_parsed(update, changes, says):
    with pytest.raises(InvalidArgument, match=says):
        update(**changes)


def test_a_busy_endpoint_is_left_alone(churn, update, context):
    churn.config("churn-v3")
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v3")

    with pytest.raises(EndpointBusy, match="Updating to churn-v3"):
        update().execute(context)

    assert churn.calls("UpdateEndpoint") == 1


def test_an_endpoint_that_takes_no_update_is_named(churn, update, context):
    churn.simulator.client.script_ending("churn", status="Failed")
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    churn.advance(minutes=10)

    with pytest.raises(EndpointNotUpdatable, match="churn is Failed"):
        update().execute(context)

    assert churn.calls("UpdateEndpoint") == 1


def test_what_sagemaker_refuses_is_reported_in_its_own_words(churn, update, context):
    churn.simulator.client.set_knobs(instance_limit=4)

    with pytest.raises(UpdateRejected, match="account-level service limit"):
        update().execute(context)

    assert churn.describe()["EndpointStatus"] == "InService"


# An update in flight is adopted, not launched again.


def test_an_update_to_the_same_configuration_in_flight_is_watched_instead_of_launched(churn, update, context):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")

    report = update().execute(context)

    assert report["outcome"] == "Succeeded"
    assert report["adopted"] == "foreign"
    assert report["guarded"] is False
    assert report["stages_complete"] is False
    assert churn.calls("UpdateEndpoint") == 1


@pytest.mark.parametrize("fault", ["lose", "error"])
def test_an_answer_to_the_launch_that_got_lost_is_looked_up_not_asked_again(churn, update, context, fault):
    churn.simulator.client.fault("UpdateEndpoint", kind=fault)
    operator = update()
    if fault == "lose":
        assert operator.execute(context)["adopted"] == "own"
    else:
        with pytest.raises(UpdateUnanswered, match="no update to churn-v2 seen within 120 s"):
            operator.execute(context)

    assert churn.calls("UpdateEndpoint") == 1


# Deferral.


def deferral(operator, context):
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    return caught.value


def test_the_deferral_ends_after_our_own_deadline_because_execution_timeout_does_not(churn, update, context):
    deferred = deferral(update(deferrable=True, max_wait=timedelta(hours=1)), context)

    started = churn.describe()["PendingDeploymentSummary"]["StartTime"]
    assert deferred.trigger.deadline == (started + timedelta(hours=1)).timestamp()
    # Clocks of worker, triggerer and scheduler may differ by ten minutes.
    assert timedelta(minutes=74) <= deferred.timeout <= timedelta(minutes=75)


def test_what_is_over_by_the_first_look_is_not_deferred(churn, update, context):
    churn.simulator.client.set_knobs(provisioning_seconds=0, activation_seconds=0, deleting_seconds=0)

    report = update(strategy=AllAtOnce(), deferrable=True, allow_unguarded=True).execute(context)

    assert report["outcome"] == "Succeeded"


def test_the_trigger_carries_nothing_of_the_connection_but_its_name(churn, update, context):
    deferred = deferral(update(deferrable=True), context)

    _, arguments = deferred.trigger.serialize()
    assert arguments["aws_conn_id"] == "aws_default"
    assert "testing" not in repr(arguments)


def test_the_links_are_there_before_the_task_is_deferred(churn, update, context):
    deferral(update(deferrable=True), context)

    assert context["ti"].xcoms[LINK_DATA_KEY] == {
        "region": "us-east-1",
        "domain": "aws.amazon.com",
        "endpoint_name": "churn",
        "alarms": ["errors", SWITCH],
    }


@pytest.mark.parametrize("event", [None, "success", {}, {"status": "success"}])
def test_an_event_that_is_not_ours_is_never_success(update, context, event):
    with pytest.raises(UnexpectedAnswer, match="must have a report or an error"):
        update().execute_complete(context, event=event)


def test_a_watch_that_could_not_go_on_fails_the_task_with_the_reason(update, context):
    seen = {"outcome": None, "endpoint_name": "churn", "warnings": []}

    with pytest.raises(RolloutUnwatched, match="AccessDenied: not yours") as caught:
        update().execute_complete(context, event={"report": seen, "error": "AccessDenied: not yours"})

    assert caught.value.report == seen == context["ti"].xcoms["rollout_report"]


# What a DAG author sees.


def test_every_alarm_has_a_link_of_its_own(update):
    links = update(alarms=["errors", "latency"]).operator_extra_links

    assert [link.name for link in links] == [
        "Rollout",
        "SageMaker endpoint",
        "CloudWatch alarm errors",
        "CloudWatch alarm latency",
    ]
    assert len({link.xcom_key for link in links}) == 4


def test_names_strategy_alarms_and_connection_are_templated(update):
    fields = set(SageMakerGuardedUpdateOperator.template_fields)

    assert fields >= {
        "endpoint_name",
        "endpoint_config_name",
        "strategy",
        "alarms",
        "region_name",
        "aws_conn_id",
    }


def test_alarms_that_only_the_dict_names_have_links_too(update):
    strategy = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "latency"}, {"AlarmName": "errors"}]}}

    links = update(strategy=strategy, alarms=["errors"]).operator_extra_links

    assert [link.name for link in links[2:]] == ["CloudWatch alarm errors", "CloudWatch alarm latency"]


# What the update keeps of the live variants.


def desired_instances(churn):
    return churn.describe()["ProductionVariants"][0]["DesiredInstanceCount"]


@pytest.mark.parametrize(
    ("arguments", "instances"),
    [
        ({}, 4),
        ({"exclude_retained_variant_properties": ["DesiredInstanceCount"]}, 2),
        ({"retain_all_variant_properties": False}, 2),
    ],
    ids=["kept by default", "excluded", "not kept"],
)
def test_live_instance_counts_are_kept_unless_the_author_says_otherwise(
    churn, update, context, arguments, instances
):
    churn.config("churn-small", instances=2)

    strategy = AllAtOnce(termination_wait=timedelta(minutes=1))
    update(endpoint_config_name="churn-small", strategy=strategy, **arguments).execute(context)

    assert churn.describe()["EndpointConfigName"] == "churn-small"
    assert desired_instances(churn) == instances


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"exclude_retained_variant_properties": ["DataCaptureConfig"]},
            "only DesiredInstanceCount and DesiredWeight",
        ),
        (
            {
                "exclude_retained_variant_properties": ["DesiredWeight"],
                "retain_all_variant_properties": False,
            },
            "must be empty without retain_all_variant_properties",
        ),
    ],
)
def test_what_cannot_be_excluded_is_named_before_anything_is_changed(churn, update, context, arguments, says):
    with pytest.raises(InvalidArgument, match=says):
        update(**arguments).execute(context)

    assert churn.calls("UpdateEndpoint") == 0
