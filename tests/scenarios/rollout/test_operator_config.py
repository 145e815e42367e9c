"""The ``config`` of amazon's SageMakerEndpointOperator is deployed as it is, under names of each run."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import DAG

from airflow_guardrails.aws.tags import MADE_FOR
from airflow_guardrails.exceptions import InvalidArgument, ModelNotFound
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce, Canary
from tests.support.churn import model_request

STRATEGY = AllAtOnce(termination_wait=timedelta(minutes=5))
DEPLOYMENT = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 300,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
}


def config(**changes):
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "churn-model",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": "1",
    }
    parts = {
        "Model": {**model_request("churn-model")},
        "EndpointConfig": {"EndpointConfigName": "churn-config", "ProductionVariants": [variant]},
        "Endpoint": {"EndpointName": "churn", "EndpointConfigName": "churn-config"},
    }
    return {key: value for key, value in {**parts, **changes}.items() if value is not None}


@pytest.fixture
def deploy(update_in_simulated_time):
    def build(**changes):
        return update_in_simulated_time(**{"config": config(), **changes})

    return build


def serving(churn):
    return churn.sagemaker.describe_endpoint_config(EndpointConfigName=churn.describe()["EndpointConfigName"])


def test_model_and_configuration_get_names_that_never_clash(churn, deploy, context, task_instance):
    reports = []
    for run in ("scheduled__2026-03-02", "manual__1"):
        task_instance.run_id = run
        reports.append(deploy().execute(context))

    assert [report["outcome"] for report in reports] == ["Succeeded", "Succeeded"]
    found = serving(churn)
    assert found["EndpointConfigName"].startswith("churn-config-")
    (variant,) = found["ProductionVariants"]
    assert variant["ModelName"].startswith("churn-model-")
    model = churn.sagemaker.describe_model(ModelName=variant["ModelName"])
    assert model["PrimaryContainer"] == model_request("x")["PrimaryContainer"]
    for arn in (model["ModelArn"], found["EndpointConfigArn"]):
        tags = churn.sagemaker.list_tags(ResourceArn=arn)["Tags"]
        assert {"Key": MADE_FOR, "Value": "churn"} in tags
    assert len({report["endpoint_config_name"] for report in reports}) == 2


def test_a_retry_finds_what_the_first_try_has_made(churn, deploy, context):
    deploy(wait_for_completion=False).execute(context)
    context["ti"].try_number = 2

    assert deploy().execute(context)["adopted"] == "own"
    assert (churn.calls("CreateModel"), churn.calls("CreateEndpointConfig")) == (1, 1)


def test_without_its_part_the_configuration_must_exist(churn, deploy, context):
    flat = {"EndpointName": "churn", "EndpointConfigName": "churn-v2"}

    assert deploy(config=flat).execute(context)["endpoint_config_name"] == "churn-v2"


def test_without_its_part_the_model_must_exist(churn, deploy, context):
    with pytest.raises(ModelNotFound, match="Model churn-model does not exist"):
        deploy(config=config(Model=None)).execute(context)


def test_the_endpoint_is_created_if_it_is_missing(churn, deploy, context):
    endpoint = {
        "EndpointName": "new",
        "EndpointConfigName": "churn-config",
        "Tags": [{"Key": "team", "Value": "churn"}],
    }

    report = deploy(config=config(Endpoint=endpoint), if_missing="create").execute(context)

    assert (report["outcome"], report["endpoint_name"], report["guarded"]) == ("Succeeded", "new", False)
    arn = churn.sagemaker.describe_endpoint(EndpointName="new")["EndpointArn"]
    assert {"Key": "team", "Value": "churn"} in churn.sagemaker.list_tags(ResourceArn=arn)["Tags"]


def test_its_deployment_config_is_strategy_and_alarms(churn, deploy, context):
    endpoint = {"EndpointName": "churn", "EndpointConfigName": "churn-config", "DeploymentConfig": DEPLOYMENT}

    report = deploy(config=config(Endpoint=endpoint), strategy=None, alarms=[]).execute(context)

    assert "errors" in [alarm["name"] for alarm in report["alarms"]]
    assert report["strategy"]["kind"] if "kind" in report["strategy"] else report["strategy"]
    policy = churn.describe()["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TerminationWaitInSeconds"] == 300


def test_its_retained_properties_are_used(churn, deploy, context):
    endpoint = {
        "EndpointName": "churn",
        "EndpointConfigName": "churn-config",
        "RetainAllVariantProperties": "False",
    }

    deploy(config=config(Endpoint=endpoint)).execute(context)

    assert churn.describe()["ProductionVariants"][0]["DesiredInstanceCount"] == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"strategy": Canary(percent=25, bake=timedelta(minutes=5))},
            "strategy must be that of DeploymentConfig",
        ),
        ({"endpoint_name": "other"}, "endpoint_name must be that of config.Endpoint, 'churn', or left out"),
        ({"retain_all_variant_properties": False}, "retain_all_variant_properties must be True as in config"),
    ],
)
def test_what_is_given_twice_must_not_differ(churn, deploy, context, changes, says):
    endpoint = {
        "EndpointName": "churn",
        "EndpointConfigName": "churn-config",
        "DeploymentConfig": DEPLOYMENT,
        "RetainAllVariantProperties": True,
    }

    with pytest.raises(InvalidArgument, match=says):
        deploy(config=config(Endpoint=endpoint), **changes).execute(context)
    assert churn.calls("CreateModel") == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (config(Endpoint=None), "config.Endpoint must be a dict with EndpointName"),
        (
            config(Endpoints={}),
            r"config has the unknown key 'Endpoints' \(known: Model, EndpointConfig, Endpoint\)",
        ),
        (config(S3Operations={}), "config must not have S3Operations .*: upload files in a task before"),
        (config(EndpointConfig=None), "config.EndpointConfig must be given with config.Model"),
        (config(Model={**model_request("another")}), "must name the model of config.Model"),
        (
            config(Model={"ModelName": "churn-model", "Container": {}}),
            "config.Model has the unknown key 'Container'",
        ),
        (
            config(Endpoint={"EndpointName": "churn", "EndpointConfigName": "other"}),
            "EndpointConfigName must be that of config.EndpointConfig, 'churn-config'",
        ),
        (
            config(Endpoint={"EndpointName": "churn", "EndpointConfigName": "churn-config", "Wait": True}),
            "config.Endpoint has the unknown key 'Wait'",
        ),
        (
            config(Endpoint={"EndpointName": "churn", "RetainDeploymentConfig": True}),
            "RetainDeploymentConfig must be left out",
        ),
        ({"EndpointName": "churn"}, "config.Endpoint.EndpointConfigName must be given"),
        ("churn", "config must be a dict of Model, EndpointConfig, Endpoint"),
    ],
)
def test_a_config_that_cannot_be_is_refused_before_anything_is_created(churn, deploy, context, given, says):
    with pytest.raises(InvalidArgument, match=says):
        deploy(config=given, endpoint_name="churn").execute(context)

    assert (churn.calls("CreateModel"), churn.calls("CreateEndpointConfig")) == (0, 0)


def test_a_strategy_is_needed_somewhere(deploy, context):
    with pytest.raises(InvalidArgument, match="strategy must be built from"):
        deploy(strategy=None).execute(context)


def test_the_name_of_a_role_is_expanded_as_amazons_operator_does(churn, deploy, context):
    import boto3  # noqa: PLC0415

    iam = boto3.client(
        "iam",
        region_name="us-east-1",
        endpoint_url=churn.simulator.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    role = iam.create_role(RoleName="serving", AssumeRolePolicyDocument="{}")["Role"]["Arn"]

    deploy(config=config(Model={**model_request("churn-model"), "ExecutionRoleArn": "serving"})).execute(
        context
    )

    name = serving(churn)["ProductionVariants"][0]["ModelName"]
    assert churn.sagemaker.describe_model(ModelName=name)["ExecutionRoleArn"] == role


def test_templates_in_config_and_arguments_are_rendered(churn, context):
    with DAG("deploy", start_date=datetime(2026, 3, 2, tzinfo=timezone.utc), schedule=None):
        operator = SageMakerGuardedUpdateOperator(
            task_id="update",
            config=config(Endpoint={"EndpointName": "{{ endpoint }}", "EndpointConfigName": "churn-config"}),
            strategy=STRATEGY,
        )
        other = SageMakerGuardedUpdateOperator(
            task_id="other",
            endpoint_name="churn",
            model_name="{{ model }}",
            instance_type="{{ kind }}",
            overrides={"KmsKeyId": "{{ key }}"},
            strategy=STRATEGY,
        )
    values = {"endpoint": "churn", "model": "churn-2", "kind": "ml.m5.large", "key": "alias/x"}
    for each in (operator, other):
        each.render_template_fields({**context, **values})

    assert operator.endpoint_name == "churn"
    assert operator.config["Endpoint"]["EndpointName"] == "churn"
    assert (other.model_name, other.instance_type, other.overrides) == (
        "churn-2",
        "ml.m5.large",
        {"KmsKeyId": "alias/x"},
    )
