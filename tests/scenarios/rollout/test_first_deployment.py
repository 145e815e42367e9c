"""With ``if_missing="create"`` an endpoint that does not exist is created once, and reported as unguarded."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.aws.tags import MADE_FOR
from airflow_guardrails.exceptions import (
    EndpointBusy,
    EndpointConfigNotFound,
    EndpointNotFound,
    InvalidArgument,
    RolloutFailed,
    TaskKilled,
)
from airflow_guardrails.rules import CanaryAnalysis, MetricRule
from airflow_guardrails.triggers._state import load_state
from tests.support.fakes import TaskState

REASON = "first deployment: there was no endpoint to go back to"


@pytest.fixture
def deploy(update_in_simulated_time):
    """Build the first deployment of ``new``; a fresh one, as every try has."""

    def build(**changes):
        arguments = {
            "endpoint_name": "new",
            "model_name": "churn",
            "instance_type": "ml.m5.large",
            "if_missing": "create",
        }
        return update_in_simulated_time(**{**arguments, **changes})

    return build


@pytest.fixture
def endpoint(churn):
    return lambda: churn.sagemaker.describe_endpoint(EndpointName="new")


def test_the_endpoint_is_created_from_a_model_and_the_report_says_that_nothing_guards_it(
    churn, deploy, endpoint, context
):
    report = deploy(instance_count=2).execute(context)

    assert (report["outcome"], report["guarded"], report["unguarded_because"]) == ("Succeeded", False, REASON)
    assert report["previous_endpoint_config_name"] is None
    assert (report["abort_switch"], report["alarms"], report["analysis"]) == (None, [], None)
    found = endpoint()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == (
        "InService",
        report["endpoint_config_name"],
    )
    (variant,) = found["ProductionVariants"]
    assert (variant["VariantName"], variant["DesiredInstanceCount"]) == ("AllTraffic", 2)
    tags = churn.sagemaker.list_tags(ResourceArn=found["EndpointArn"])["Tags"]
    assert {"Key": MADE_FOR, "Value": "new"} in tags
    assert any(tag["Value"].startswith("outcome=Succeeded") for tag in tags)
    assert (churn.calls("PutMetricAlarm"), churn.calls("UpdateEndpoint")) == (0, 0)


def test_the_dag_of_day_one_is_the_dag_of_day_two(churn, deploy, endpoint, context, task_instance):
    churn.alarm("errors-of-new")
    first = deploy(alarms=[]).execute(context)
    task_instance.run_id = "scheduled__2026-03-03"

    second = deploy(alarms=[]).execute(context)

    assert (second["outcome"], second["guarded"]) == ("Succeeded", True)
    assert second["previous_endpoint_config_name"] == first["endpoint_config_name"]
    assert endpoint()["EndpointConfigName"] == second["endpoint_config_name"]


def test_an_analysis_waits_for_the_second_deployment(deploy, context):
    analysis = CanaryAnalysis(rules=[MetricRule("ModelLatency")])

    assert deploy(analysis=analysis).execute(context)["analysis"] is None


def test_a_configuration_that_exists_is_deployed(churn, deploy, endpoint, context):
    report = deploy(model_name=None, instance_type=None, endpoint_config_name="churn-v2").execute(context)

    assert (report["outcome"], report["unguarded_because"]) == ("Succeeded", REASON)
    assert endpoint()["EndpointConfigName"] == "churn-v2"
    assert churn.calls("CreateEndpointConfig") == 0


def test_a_configuration_that_does_not_exist_is_named(deploy, context):
    with pytest.raises(EndpointConfigNotFound, match="Endpoint configuration churn-v9 does not exist"):
        deploy(model_name=None, instance_type=None, endpoint_config_name="churn-v9").execute(context)


def test_an_instance_type_is_needed(churn, deploy, context):
    with pytest.raises(
        InvalidArgument, match=r"instance_type must be given \(got None\): the endpoint does not"
    ):
        deploy(instance_type=None).execute(context)

    assert churn.calls("CreateEndpointConfig") == 0


def test_a_serverless_endpoint_needs_no_instance_type(deploy, endpoint, context):
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    overrides = {"ProductionVariants": [{"VariantName": "AllTraffic", "ServerlessConfig": serverless}]}

    deploy(instance_type=None, overrides=overrides).execute(context)

    assert endpoint()["ProductionVariants"][0]["CurrentServerlessConfig"] == serverless


def test_without_if_missing_the_endpoint_must_exist(churn, deploy, context):
    with pytest.raises(EndpointNotFound, match="Endpoint new does not exist"):
        deploy(if_missing="fail").execute(context)

    assert churn.calls("CreateEndpoint") == 0


def test_a_creation_that_fails_says_why(churn, deploy, context):
    operator = deploy()
    reason = "The primary container for production variant AllTraffic did not pass the ping health check."

    def sleep(seconds):
        if (
            churn.calls("CreateEndpoint")
            and "new" in churn.simulator.simulation.world("us-east-1").sagemaker.endpoint_names()
        ):
            churn.simulator.client.script_ending("new", status="Failed", failure_reason=reason)
        churn.advance(seconds=seconds)

    operator.sleep = sleep
    with pytest.raises(RolloutFailed) as caught:
        operator.execute(context)

    report = caught.value.report
    assert (report["outcome"], report["failure_reason"]) == ("Failed", reason)
    assert (report["cause"]["kind"], report["guarded"]) == ("health_check", False)

    context["ti"].try_number = 2
    with pytest.raises(RolloutFailed):
        deploy().execute(context)
    assert churn.calls("CreateEndpoint") == 1


def test_the_wait_can_be_in_the_triggerer(churn, deploy, endpoint, context):
    with pytest.raises(TaskDeferred) as caught:
        deploy(deferrable=True).execute(context)

    assert endpoint()["EndpointStatus"] == "Creating"
    _, arguments = caught.value.trigger.serialize()
    rollout = load_state(arguments["memory"]).rollout
    assert (rollout.creates, rollout.target) == (True, arguments["endpoint_config_name"])
    assert arguments["previous_endpoint_config_name"] is None


def test_a_retry_adopts_the_endpoint_that_is_being_created(churn, deploy, context):
    deploy(wait_for_completion=False).execute(context)
    context["ti"].try_number = 2

    report = deploy().execute(context)

    assert (report["outcome"], report["adopted"], report["unguarded_because"]) == ("Succeeded", "own", REASON)
    assert churn.calls("CreateEndpoint") == 1


def test_a_retry_reports_the_endpoint_that_is_in_service_by_now(churn, deploy, context):
    deploy(wait_for_completion=False).execute(context)
    churn.advance(minutes=30)
    context["ti"].try_number = 2

    report = deploy().execute(context)

    assert (report["outcome"], report["adopted"], report["unguarded_because"]) == ("Succeeded", "own", REASON)


def test_an_endpoint_that_was_deleted_since_is_not_created_again(churn, deploy, context):
    deploy().execute(context)
    churn.simulator.client.vanish("new")
    churn.advance(minutes=10)
    context["ti"].try_number = 2

    with pytest.raises(RolloutFailed):
        deploy().execute(context)
    assert deploy(relaunch=True).execute(context)["outcome"] == "Succeeded"
    assert churn.calls("CreateEndpoint") == 2


def test_a_lost_answer_of_the_creation_is_no_failure(churn, deploy, context):
    churn.simulator.client.fault("CreateEndpoint", kind="lose")

    report = deploy().execute(context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")


def test_an_endpoint_that_somebody_else_creates_meanwhile_is_left_to_a_retry(churn, deploy, context):
    text = 'Cannot create already existing endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/new".'
    churn.simulator.client.fault(
        "CreateEndpoint", kind="error", code="ValidationException", message=text, status=400
    )

    with pytest.raises(EndpointBusy, match="Endpoint new was created by somebody else"):
        deploy().execute(context)


def test_tags_that_are_denied_are_a_warning(churn, deploy, context):
    churn.simulator.client.fault(
        "CreateEndpoint", kind="error", code="AccessDeniedException", message="no AddTags", status=400
    )

    report = deploy().execute(context)

    assert report["outcome"] == "Succeeded"
    assert "new was created without tags (AddTags)" in report["warnings"]


def test_a_task_that_is_killed_before_creates_nothing(churn, deploy, context):
    operator = deploy()
    operator.on_kill()

    with pytest.raises(TaskKilled):
        operator.execute(context)

    assert churn.calls("CreateEndpoint") == 0


def test_the_intent_may_be_in_the_task_state_alone(churn, deploy, context):
    for operation in ("AddTags", "ListTags"):
        churn.simulator.client.fault(
            operation, kind="error", code="AccessDeniedException", message="no", status=400, times=None
        )
    context["task_state_store"] = TaskState()
    deploy(wait_for_completion=False).execute(context)
    context["ti"].try_number = 2

    assert deploy().execute(context)["adopted"] == "own"
