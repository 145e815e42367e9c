"""The task at the head of the DAG asks IAM whether the role may make the changes of the update."""

from __future__ import annotations

import json
import socket
from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import DAG

from airflow_guardrails.cli.policy import grants_of, policy_of
from airflow_guardrails.exceptions import PreflightFailed
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.operators.preflight import SageMakerPreflightOperator
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_variant import SageMakerAddShadowVariantOperator
from airflow_guardrails.strategies import Canary
from tests.support.simulated import connection_to, new_client

ACCOUNT = "123456789012"
SAGEMAKER = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/serving"
CANARY = Canary(percent=25, bake=timedelta(minutes=10))
NOT_CHECKED = "Permissions to change AWS were not checked: "


def update(**changes):
    arguments = {
        "task_id": "update",
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-v2",
        "strategy": CANARY,
        "guards": [ErrorRate(above=0.01)],
        **changes,
    }
    return SageMakerGuardedUpdateOperator(**arguments)


def from_package(**changes):
    package = f"{SAGEMAKER}:model-package/churn/1"
    return update(endpoint_config_name=None, model_package_arn=package, role_arn=ROLE, **changes)


def policy_for(*tasks):
    (found,), _ = grants_of(tasks, account=ACCOUNT, region="us-east-1")
    return policy_of(found.grants)


def deny(*actions, on="*"):
    return {"Statement": {"Effect": "Deny", "Action": list(actions), "Resource": on}}


def allow(*actions, on="*", **more):
    return {"Statement": {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}}


def checked(updating):
    return SageMakerPreflightOperator(task_id="preflight", update=updating)


@pytest.fixture
def limited(churn):
    return lambda *policies: churn.simulator.client.set_policies(policies)


def found(failed):
    return [finding["text"] for finding in failed.value.findings if finding["code"] == "not_permitted"]


TASKS = {
    "named": update,
    "package": from_package,
    "first": lambda: from_package(endpoint_name="fraud", instance_type="ml.m5.large", if_missing="create"),
    "rollback": lambda: SageMakerRollbackOperator(task_id="back", endpoint_name="churn", to="churn-v2"),
    "shadow": lambda: SageMakerAddShadowVariantOperator(
        task_id="add", endpoint_name="churn", shadow_model_name="churn", abort_switch=True, alarms=["errors"]
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_the_policy_that_the_command_prints_is_enough(churn, context, limited, name):
    updating = TASKS[name]()
    preflight = checked(updating)
    limited(policy_for(updating, preflight))

    plan = preflight.execute(context)

    assert [note for note in plan["unread"] if "ermissions" in note or "Not checked" in note] == []
    assert [one for one in plan["findings"] or () if one["code"] == "not_permitted"] == []


DENIED = {
    "sagemaker:UpdateEndpoint": (
        update,
        [f"{SAGEMAKER}:endpoint/churn", f"{SAGEMAKER}:endpoint-config/churn-v2"],
    ),
    "cloudwatch:PutMetricData": (update, ["*"]),
    "sagemaker:CreateEndpointConfig": (from_package, [f"{SAGEMAKER}:endpoint-config/churn-*"]),
    "sagemaker:CreateModel": (from_package, [f"{SAGEMAKER}:model/churn-*"]),
    "iam:PassRole": (from_package, [ROLE]),
}


@pytest.mark.parametrize("action", DENIED)
def test_a_change_that_the_role_may_not_make_fails_the_task_before_the_training(
    churn, context, limited, action
):
    make, resources = DENIED[action]
    limited(allow("*"), deny(action))

    with pytest.raises(PreflightFailed) as failed:
        checked(make()).execute(context)

    assert found(failed) == [f"{action} on {resource} is denied" for resource in resources]
    assert "allow it; python -m airflow_guardrails policy prints the policy of a DAG" in str(failed.value)


def test_a_policy_for_the_names_of_another_endpoint_is_not_enough(churn, context, limited):
    reads = ("sagemaker:*", "cloudwatch:Describe*", "cloudwatch:PutMetricData", "iam:*", "s3:*")
    alarms = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:airflow-guardrails-"
    limited(allow(*reads), allow("cloudwatch:PutMetricAlarm", on=f"{alarms}abort-*"))

    with pytest.raises(PreflightFailed) as failed:
        checked(update()).execute(context)

    (text,) = found(failed)
    assert text.startswith(f"cloudwatch:PutMetricAlarm on {alarms}guard-")


def test_the_namespace_of_the_switch_counts(churn, context, limited):
    def only(namespace):
        condition = {"StringEquals": {"cloudwatch:namespace": namespace}}
        return allow("cloudwatch:PutMetricData", Condition=condition)

    others = allow("sagemaker:*", "iam:*", "s3:*", "cloudwatch:Describe*", "cloudwatch:PutMetricAlarm")
    limited(others, only("Shop"))
    with pytest.raises(PreflightFailed, match="cloudwatch:PutMetricData on"):
        checked(update()).execute(context)

    limited(others, only("AirflowGuardrails"))
    assert checked(update()).execute(context)["unread"] == []


@pytest.mark.parametrize(
    "action", ["sagemaker:AddTags", "cloudwatch:DeleteAlarms", "sagemaker:CreateEndpoint"]
)
def test_what_the_update_can_do_without_is_not_asked_for(churn, context, limited, action):
    limited(allow("*"), deny(action))

    plan = checked(update(if_missing="create")).execute(context)

    assert [one for one in plan["findings"] if one["code"] == "not_permitted"] == []


def test_a_first_deployment_needs_no_permission_to_update(churn, context, limited):
    limited(allow("*"), deny("sagemaker:UpdateEndpoint", "cloudwatch:PutMetricAlarm"))

    assert checked(TASKS["first"]()).execute(context)["findings"] is None

    limited(allow("*"), deny("sagemaker:CreateEndpoint"))
    with pytest.raises(PreflightFailed, match="sagemaker:CreateEndpoint on"):
        checked(TASKS["first"]()).execute(context)


def test_names_that_are_known_later_are_said_and_are_no_error(churn, context, limited):
    with DAG("retrain", start_date=datetime(2026, 3, 2, tzinfo=timezone.utc), schedule=None):
        other = update(task_id="other")
        later = update(endpoint_config_name=other.output)
    limited(allow("*"), deny("sagemaker:UpdateEndpoint", on=f"{SAGEMAKER}:endpoint-config/*"))

    (note,) = checked(later).execute(context)["unread"]

    assert note.startswith("Not checked is whether the role has sagemaker:UpdateEndpoint: ")


def test_without_the_permission_to_ask_there_is_a_note_and_no_error(churn, context, limited):
    limited(allow("*"), deny("iam:SimulatePrincipalPolicy", "sagemaker:UpdateEndpoint"))

    plan = checked(update()).execute(context)

    (note,) = plan["unread"]
    assert note == (
        f"{NOT_CHECKED}iam:SimulatePrincipalPolicy is denied; allow iam:SimulatePrincipalPolicy and "
        "sts:GetCallerIdentity to the role of this task"
    )
    assert f"Note: {note}" in plan["text"]


def test_a_role_with_a_path_is_looked_up(churn, context, limited):
    iam = new_client(churn.simulator.url, "iam")
    iam.create_role(RoleName="airflow", Path="/team/", AssumeRolePolicyDocument="{}")
    limited(allow("*"), deny("sagemaker:UpdateEndpoint"))
    with pytest.raises(PreflightFailed, match="sagemaker:UpdateEndpoint on"):
        checked(update()).execute(context)

    limited(allow("*"), deny("sagemaker:UpdateEndpoint", "iam:GetRole"))
    (note,) = checked(update()).execute(context)["unread"]
    fix = "allow it to the role of this task, whose path is needed"
    assert note == f"{NOT_CHECKED}iam:GetRole is denied; {fix}"


@pytest.mark.parametrize("name", ["sts::{}:federated-user/ada", "iam::{}:root"])
def test_a_caller_without_policies_of_its_own_is_no_error(churn, context, name):
    caller = churn.simulator.simulation.access.caller = f"arn:aws:{name.format(ACCOUNT)}"

    (note,) = checked(update()).execute(context)["unread"]

    assert note == f"{NOT_CHECKED}{caller} is neither a role nor a user"


def test_the_policies_of_a_user_are_asked_for_too(churn, context, limited):
    churn.simulator.simulation.access.caller = f"arn:aws:iam::{ACCOUNT}:user/team/ada"
    limited(allow("*"), deny("sagemaker:UpdateEndpoint"))

    with pytest.raises(PreflightFailed, match="sagemaker:UpdateEndpoint on"):
        checked(update()).execute(context)


def test_iam_that_does_not_answer_is_no_error(churn, context, monkeypatch):
    connection = json.loads(connection_to(churn.simulator.url))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    connection["extra"]["service_config"] = {"iam": {"endpoint_url": nobody}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))

    (note,) = checked(update()).execute(context)["unread"]

    assert note.startswith(f"{NOT_CHECKED}EndpointConnectionError: ")


@pytest.mark.parametrize("changes", [{}, {"guards": []}])
def test_describe_alarms_is_called_also_if_the_update_has_only_its_own_alarms(
    churn, context, limited, changes
):
    limited(allow("*"), deny("cloudwatch:DescribeAlarms"))

    with pytest.raises(PreflightFailed, match="cloudwatch:DescribeAlarms is denied"):
        checked(update(**changes)).execute(context)
