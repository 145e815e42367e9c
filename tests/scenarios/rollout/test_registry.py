"""The outcome of a deployment is written back to the version of the model registry."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG

from airflow_guardrails.exceptions import EndpointRolledBack
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.strategies import AllAtOnce
from tests.support.airflow_run import Run, defer
from tests.support.churn import model_request
from tests.support.simulated import deny

THEIRS = {"accuracy": "0.97"}


@pytest.fixture
def arn(churn):
    churn.sagemaker.create_model_package_group(ModelPackageGroupName="churn")
    return churn.sagemaker.create_model_package(
        ModelPackageGroupName="churn",
        ModelApprovalStatus="Approved",
        CustomerMetadataProperties=THEIRS,
        InferenceSpecification={
            "Containers": [{"Image": model_request("churn")["PrimaryContainer"]["Image"]}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]


@pytest.fixture
def release(update_in_simulated_time, arn):
    """Build an update of ``churn`` to the version; a fresh one, as every try has."""

    def build(**changes):
        arguments = {
            "endpoint_name": "churn",
            "model_package_arn": arn,
            "strategy": AllAtOnce(termination_wait=timedelta(minutes=10)),
        }
        return update_in_simulated_time(**{**arguments, **changes})

    return build


def package(churn, arn):
    return churn.sagemaker.describe_model_package(ModelPackageName=arn)


def written(churn, arn):
    return {
        key.removeprefix("airflow-guardrails-"): value
        for key, value in package(churn, arn)["CustomerMetadataProperties"].items()
        if key.startswith("airflow-guardrails-")
    }


def test_the_outcome_stands_beside_the_metadata_and_the_approval_of_the_version(churn, arn, release, context):
    report = release().execute(context)

    ti = context["ti"]
    assert written(churn, arn) == {
        "outcome": "Succeeded",
        "endpoint": "churn",
        "config": report["endpoint_config_name"],
        "at": report["ended_at"],
        "run": f"{ti.dag_id}/{ti.run_id}",
        "cause": "none",
    }
    assert package(churn, arn)["CustomerMetadataProperties"].items() >= THEIRS.items()
    assert package(churn, arn)["ModelApprovalStatus"] == "Approved"
    assert report["warnings"] == []


def test_a_rollback_is_written_with_its_cause(churn, arn, release, context):
    operator = release()
    sleep = operator.sleep

    def ring_while_it_bakes(seconds):
        sleep(seconds)
        if churn.calls("UpdateEndpoint"):
            churn.trip("errors")

    operator.sleep = ring_while_it_bakes

    with pytest.raises(EndpointRolledBack):
        operator.execute(context)

    assert (written(churn, arn)["outcome"], written(churn, arn)["cause"]) == ("RolledBack", "alarm")


def test_a_repetition_writes_nothing(churn, release, context):
    release().execute(context)
    context["ti"].try_number = 2

    release().execute(context)

    assert churn.calls("UpdateModelPackage") == 1


def test_a_missing_permission_is_a_warning(churn, arn, release, context):
    deny(churn.simulator.client, "UpdateModelPackage")

    report = release().execute(context)

    assert report["outcome"] == "Succeeded"
    (warning,) = report["warnings"]
    assert warning.startswith(f"The outcome was not written to model package {arn}")
    assert "UpdateModelPackage" in warning


def concluding(update, run):
    """Launch the update, lose its task while it is deferred, and return the task that concludes it."""
    with DAG("deploy", schedule=None) as dag:
        dag.add_task(update)
        conclude = SageMakerConcludeRolloutOperator(task_id="conclude", update=update)
    defer(update, run.context("update"))
    run.mark("update", "failed")
    return conclude


def test_the_concluding_task_writes_it_if_the_update_could_not(churn, arn, release):
    run = Run()
    conclude = concluding(release(deferrable=True), run)
    churn.advance(minutes=60)

    report = conclude.execute(run.context("conclude"))

    assert report["outcome"] == "Succeeded"
    assert written(churn, arn)["outcome"] == "Succeeded"


def test_an_arn_that_is_not_known_any_more_is_a_warning(churn, release):
    run = Run()
    conclude = concluding(release(deferrable=True), run)
    conclude._model_package_arn = "{{ 1 / 0 }}"
    churn.advance(minutes=60)

    report = conclude.execute(run.context("conclude"))

    assert [text for text in report["warnings"] if "its ARN is not known (division by zero)" in text]


def test_a_model_that_is_no_version_of_the_registry_writes_nothing(churn, release, context):
    churn.sagemaker.create_model(**model_request("churn-2"))

    release(model_package_arn=None, model_name="churn-2").execute(context)

    assert (churn.calls("DescribeModelPackage"), churn.calls("UpdateModelPackage")) == (0, 0)
