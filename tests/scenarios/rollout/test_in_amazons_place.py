"""SageMakerGuardedUpdateOperator in the place of SageMakerEndpointOperator, with the configs of DAGs."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerEndpointOperator

from airflow_guardrails.exceptions import EndpointNotFound, InvalidArgument
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary
from tests.support.churn import model_request
from tests.support.fakes import TaskInstance

CANARY = Canary(
    percent=50,
    bake=timedelta(minutes=10),
    termination_wait=timedelta(minutes=5),
    if_too_small="all_at_once",
)
MODEL = model_request("churn-model")
VARIANT = {
    "VariantName": "AllTraffic",
    "ModelName": "churn-model",
    "InstanceType": "ml.m5.large",
    # Amazon's operator casts numbers, so DAGs have them as text from a variable.
    "InitialInstanceCount": "1",
}
CONFIG = {"EndpointConfigName": "churn-config", "ProductionVariants": [VARIANT]}
DEPLOYMENT = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 300,
        "MaximumExecutionTimeoutInSeconds": 7200,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
}


def endpoint(config_name, **more):
    return {"EndpointName": "churn", "EndpointConfigName": config_name, **more}


# What people give to amazon's operator.
SHAPES = {
    # A task before has created the configuration, under a name of its own.
    "flat": {"operation": "update", "config": endpoint("churn-{{ run }}")},
    "nested": {"config": {"Model": MODEL, "EndpointConfig": CONFIG, "Endpoint": endpoint("churn-config")}},
    "nested, with a model of another task": {
        "config": {"EndpointConfig": CONFIG, "Endpoint": endpoint("churn-config")}
    },
    "with a DeploymentConfig": {
        "operation": "update",
        "config": {
            "Model": MODEL,
            "EndpointConfig": CONFIG,
            "Endpoint": endpoint("churn-config", DeploymentConfig=DEPLOYMENT),
        },
    },
}
shapes = pytest.mark.parametrize("shape", SHAPES)


def given(shape, run):
    """The arguments for amazon's operator; Airflow renders the template."""
    arguments = copy.deepcopy(SHAPES[shape])
    if shape == "flat":
        arguments["config"]["EndpointConfigName"] = f"churn-{run}"
    return arguments


def prepare(churn, shape, run):
    """Do what the tasks before it do."""
    if shape == "flat":
        churn.config(f"churn-{run}")
    elif "Model" not in SHAPES[shape]["config"] and run == 1:
        churn.sagemaker.create_model(**MODEL)


def guarded(churn, operation="create", **arguments):
    """Change amazon's arguments as docs/coming-from-amazon.md says."""
    nested = arguments["config"].get("Endpoint", {})
    if "DeploymentConfig" not in nested:
        arguments |= {"strategy": CANARY, "guards": [ErrorRate(above=0.01)]}
    if operation == "create":
        arguments["if_missing"] = "create"
    operator = SageMakerGuardedUpdateOperator(task_id="deploy", waiter_delay=60, **arguments)
    operator.sleep = churn.simulator.simulation.clock.advance
    return operator


def context(run):
    return {"ti": TaskInstance(run_id=f"run-{run}")}


@shapes
def test_amazons_operator_takes_the_config(churn, shape):
    prepare(churn, shape, 1)

    answer = SageMakerEndpointOperator(
        task_id="deploy", wait_for_completion=False, **given(shape, 1)
    ).execute({})

    assert answer["Endpoint"]["EndpointName"] == "churn"
    assert churn.describe()["EndpointStatus"] == "Updating"


@shapes
def test_ours_deploys_the_same_config_run_after_run(churn, shape):
    served = ["churn-v1"]
    for run in (1, 2):
        prepare(churn, shape, run)
        report = guarded(churn, **given(shape, run)).execute(context(run))

        assert (report["outcome"], report["guarded"]) == ("Succeeded", True)
        assert report["previous_endpoint_config_name"] == served[-1]
        served.append(report["serving_endpoint_config_name"])

    assert len(set(served)) == 3
    assert all(name.startswith("churn") for name in served)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "operation" not in SHAPES[shape]])
def test_what_created_the_endpoint_still_does(churn, shape):
    churn.sagemaker.delete_endpoint(EndpointName="churn")
    churn.advance(minutes=10)
    prepare(churn, shape, 1)

    first = guarded(churn, **given(shape, 1)).execute(context(1))
    second = guarded(churn, **given(shape, 2)).execute(context(2))

    assert (first["outcome"], first["guarded"]) == ("Succeeded", False)
    assert (second["outcome"], second["guarded"]) == ("Succeeded", True)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "operation" in SHAPES[shape]])
def test_what_only_updated_it_does_not_create_it(churn, shape):
    churn.sagemaker.delete_endpoint(EndpointName="churn")
    churn.advance(minutes=10)
    prepare(churn, shape, 1)

    with pytest.raises(EndpointNotFound, match="churn"):
        guarded(churn, **given(shape, 1)).execute(context(1))


def test_its_deployment_config_is_the_strategy_and_its_alarms_guard(churn):
    report = guarded(churn, **given("with a DeploymentConfig", 1)).execute(context(1))

    assert [alarm["name"] for alarm in report["alarms"] if alarm["kind"] == "theirs"] == ["errors"]
    sent = churn.describe()["LastDeploymentConfig"]
    assert sent["BlueGreenUpdatePolicy"] == DEPLOYMENT["BlueGreenUpdatePolicy"]


def test_a_deployment_config_that_cannot_be_kept_is_refused_with_what_to_change(churn):
    arguments = given("with a DeploymentConfig", 1)
    policy = arguments["config"]["Endpoint"]["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"] = 600

    with pytest.raises(InvalidArgument, match="use TerminationWaitInSeconds"):
        guarded(churn, **arguments).execute(context(1))
    assert churn.calls("CreateModel") == churn.calls("CreateEndpointConfig") == 0
