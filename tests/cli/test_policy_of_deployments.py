"""The policy for what an update creates, for versions and for the clean-up has the names that they use."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_guardrails.cli.policy import grants_of, policy_of
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix, switch_prefix
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.sensors.model_package import SageMakerModelPackageSensor
from tests.support.every_task import CANARY, ROLE

PACKAGE = "arn:aws:sagemaker:us-east-1:999999999999:model-package/churn/2"
VARIANT = {"VariantName": "main", "ModelName": "churn-model", "InstanceType": "ml.m5.large"}


def config(**model: Any) -> dict[str, Any]:
    return {
        "Model": {"ModelName": "churn-model", **model},
        "EndpointConfig": {"EndpointConfigName": "churn-config", "ProductionVariants": [VARIANT]},
        "Endpoint": {"EndpointName": "churn", "EndpointConfigName": "churn-config"},
    }


def update(**arguments: Any) -> SageMakerGuardedUpdateOperator:
    given = {"task_id": "update", "endpoint_name": "churn", "strategy": CANARY, **arguments}
    return SageMakerGuardedUpdateOperator(**given)


def allowed(*tasks: Any, optional: bool = False) -> dict[str, set[str]]:
    """Action -> what it is allowed on, without the beginning of the ARN."""
    (found,), _ = grants_of(tasks, account="123456789012", region="us-east-1")
    actions: dict[str, set[str]] = {}
    for one in policy_of(found.grants)["Statement"]:
        if one["Sid"].startswith("Optional") is not optional:
            continue
        for action in one["Action"]:
            actions.setdefault(action, set()).update(
                arn.split(":", 5)[5] for arn in one["Resource"] if arn != "*"
            )
    return actions


def test_an_existing_configuration_creates_nothing():
    needed = allowed(update(endpoint_config_name="churn-v2"))

    assert needed["sagemaker:UpdateEndpoint"] == {"endpoint/churn", "endpoint-config/churn-v2"}
    assert not {action for action in needed if "Create" in action or action.startswith("iam:")}


def test_a_model_needs_its_configuration():
    task = update(model_name="churn-2")

    assert allowed(task)["sagemaker:CreateEndpointConfig"] == {"endpoint-config/churn-*"}
    assert "sagemaker:CreateModel" not in allowed(task)
    assert allowed(task, optional=True)["sagemaker:ListInferenceExperiments"] == set()


@pytest.mark.parametrize(("role", "passed"), [(ROLE, {"role/sagemaker"}), (None, {"role/*"})])
def test_a_model_package_needs_the_package_a_model_and_its_role(role, passed):
    task = update(model_package_arn=PACKAGE, role_arn=role)
    needed = allowed(task)

    assert needed["sagemaker:DescribeModelPackage"] == {"model-package/churn/2"}
    assert needed["sagemaker:CreateModel"] == {"model/churn-*"}
    assert needed["iam:PassRole"] == passed
    assert ("sagemaker:DescribeModel" in needed) is (role is None)
    assert "iam:GetRole" not in needed
    assert allowed(task, optional=True)["sagemaker:UpdateModelPackage"] == {"model-package/churn/2"}


def test_a_package_of_another_account_keeps_its_account():
    (found,), _ = grants_of([update(model_package_arn=PACKAGE)], account="123456789012", region="us-east-1")

    assert PACKAGE in str(policy_of(found.grants))


def test_a_config_needs_the_names_artefacts_and_roles_in_it():
    given = config(
        ExecutionRoleArn="serving",
        PrimaryContainer={"Image": "x", "ModelDataUrl": "s3://models/{{ ds }}/m.tar.gz"},
    )
    needed, more = allowed(update(config=given)), allowed(update(config=given), optional=True)

    assert needed["sagemaker:CreateEndpointConfig"] == {"endpoint-config/churn-config-*"}
    assert needed["sagemaker:UpdateEndpoint"] == {"endpoint/churn", "endpoint-config/churn-config-*"}
    assert needed["sagemaker:CreateModel"] == {"model/churn-model-*"}
    # A role that is given by its name may have a path.
    assert needed["iam:PassRole"] == needed["iam:GetRole"] == {"role/serving", "role/*/serving"}
    assert more["s3:GetObject"] == {"models/*/m.tar.gz"}


def test_the_short_form_of_a_config_names_an_existing_configuration():
    needed = allowed(update(config={"EndpointName": "churn", "EndpointConfigName": "churn-v7"}))

    assert needed["sagemaker:UpdateEndpoint"] == {"endpoint/churn", "endpoint-config/churn-v7"}
    assert "sagemaker:CreateEndpointConfig" not in needed


def test_a_config_that_is_known_only_at_run_time_may_need_everything():
    needed = allowed(update(config="{{ ti.xcom_pull(task_ids='config') }}"))

    assert needed["sagemaker:CreateModel"] == {"model/*"}
    assert needed["sagemaker:CreateEndpointConfig"] == {"endpoint-config/*"}
    assert needed["iam:PassRole"] == needed["iam:GetRole"] == {"role/*"}


def test_only_a_missing_endpoint_that_is_created_needs_the_permission_for_it():
    created = allowed(update(endpoint_config_name="churn-v2", if_missing="create"))

    assert created["sagemaker:CreateEndpoint"] == {"endpoint/churn", "endpoint-config/churn-v2"}
    assert "sagemaker:CreateEndpoint" not in allowed(update(endpoint_config_name="churn-v2"))


def test_guards_are_alarms_with_the_endpoint_in_their_names():
    given = {"endpoint_config_name": "churn-v2", "guards": [ErrorRate(above=0.01)], "abort_switch": False}
    guards, switches = f"{guard_prefix('churn')}*", f"{switch_prefix('churn')}*"

    assert allowed(update(**given))["cloudwatch:PutMetricAlarm"] == {f"alarm:{guards}"}
    # Those of earlier rollouts may have had a switch.
    assert allowed(update(**given), optional=True)["cloudwatch:DeleteAlarms"] == {
        f"alarm:{guards}",
        f"alarm:{switches}",
    }


def test_what_it_goes_back_to_is_any_configuration_unless_it_is_named():
    found = SageMakerRollbackOperator(task_id="back", endpoint_name="churn")
    named = SageMakerRollbackOperator(task_id="back", endpoint_name="churn", to="churn-v1")

    assert allowed(found)["sagemaker:UpdateEndpoint"] == {"endpoint/churn", "endpoint-config/*"}
    assert "endpoint/churn" in allowed(found)["sagemaker:ListTags"]
    assert allowed(named)["sagemaker:UpdateEndpoint"] == {"endpoint/churn", "endpoint-config/churn-v1"}
    assert "sagemaker:ListTags" not in allowed(named)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_clean_up_deletes_what_has_the_name_of_its_endpoint(dry_run):
    task = SageMakerCleanUpOperator(task_id="clean", endpoint_name="churn", dry_run=dry_run)
    deletions = {
        action: names for action, names in allowed(task, optional=True).items() if ":Delete" in action
    }

    assert allowed(task) == {"sagemaker:DescribeEndpoint": {"endpoint/churn"}}
    assert deletions == (
        {}
        if dry_run
        else {
            "sagemaker:DeleteEndpointConfig": {"endpoint-config/churn-*"},
            "sagemaker:DeleteModel": {"model/churn-*"},
            "cloudwatch:DeleteAlarms": {
                f"alarm:{guard_prefix('churn')}*",
                f"alarm:{switch_prefix('churn')}*",
            },
        }
    )


@pytest.mark.parametrize(
    ("given", "packages", "lists"),
    [
        ({"model_package_arn": PACKAGE}, "model-package/churn/2", False),
        ({"model_package_group_name": "churn"}, "model-package/churn/*", True),
    ],
)
def test_the_sensor_reads_the_package_or_those_of_the_group(given, packages, lists):
    needed = allowed(SageMakerModelPackageSensor(task_id="approved", **given))

    assert needed["sagemaker:DescribeModelPackage"] == {packages}
    assert ("sagemaker:ListModelPackages" in needed) is lists


@pytest.mark.parametrize(
    "given",
    [{"model_package_arn": PACKAGE}, {"endpoint_config_name": "churn-v2"}],
    ids=["package", "configuration"],
)
def test_the_concluding_task_writes_to_the_package_that_its_update_deploys(given):
    with DAG("deploy", schedule=None):
        update(**given)
        task = SageMakerConcludeRolloutOperator(
            task_id="conclude", endpoint_name="churn", endpoint_config_name="churn-*", update_task_id="update"
        )
    more = allowed(task, optional=True)

    assert more.get("sagemaker:UpdateModelPackage") == (
        {"model-package/churn/2"} if "model_package_arn" in given else None
    )
    assert "endpoint/churn" in more["sagemaker:AddTags"]
