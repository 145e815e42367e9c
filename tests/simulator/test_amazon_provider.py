"""botocore's waiters, and the amazon provider's operators and sensor, run against the simulator."""

from __future__ import annotations

import json

import pytest
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerDeleteModelOperator,
    SageMakerEndpointConfigOperator,
    SageMakerEndpointOperator,
    SageMakerModelOperator,
    SageMakerTrainingOperator,
)
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerEndpointSensor
from botocore.exceptions import WaiterError

ROLE = "arn:aws:iam::123456789012:role/churn"
MODEL = {
    "ModelName": "churn-model",
    "ExecutionRoleArn": ROLE,
    "PrimaryContainer": {"Image": "registry/churn:1"},
}
TRAINING = {
    "TrainingJobName": "churn",
    "RoleArn": ROLE,
    "AlgorithmSpecification": {"TrainingImage": "registry/churn:1", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://churn/models"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 600},
}
FAST = {"aws_conn_id": "aws_simulator", "check_interval": 0}


@pytest.fixture
def fast(simulator, monkeypatch):
    """The simulator behind an Airflow connection; a simulated hour takes two seconds."""
    simulator.client.set_speed(1800)
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing",
        "extra": {"endpoint_url": simulator.url, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SIMULATOR", json.dumps(connection))
    return simulator


@pytest.fixture
def deployed(fast):
    """``churn`` on ``blue``, and a configuration ``green``, created by the amazon provider's operators."""
    SageMakerModelOperator(task_id="model", config=dict(MODEL), aws_conn_id="aws_simulator").execute({})
    for name in ("blue", "green"):
        SageMakerEndpointConfigOperator(
            task_id=f"config-{name}", config=endpoint_config(name), aws_conn_id="aws_simulator"
        ).execute({})
    endpoint = {"EndpointName": "churn", "EndpointConfigName": "blue"}
    SageMakerEndpointOperator(task_id="create", config=endpoint, **FAST).execute({})
    return fast


def endpoint_config(name):
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "churn-model",
        "InitialInstanceCount": 4,
        "InstanceType": "ml.m5.large",
    }
    return {"EndpointConfigName": name, "ProductionVariants": [variant]}


def update(**deployment):
    config = {"EndpointName": "churn", "EndpointConfigName": "green", **deployment}
    return SageMakerEndpointOperator(task_id="update", operation="update", config=config, **FAST)


def test_the_operators_create_a_model_a_configuration_and_an_endpoint(deployed, aws):
    look = aws("sagemaker").describe_endpoint(EndpointName="churn")

    assert (look["EndpointStatus"], look["EndpointConfigName"]) == ("InService", "blue")
    assert look["ProductionVariants"][0]["CurrentInstanceCount"] == 4


def test_the_endpoint_operator_waits_until_an_update_is_over(deployed):
    answer = update().execute({})

    assert answer["Endpoint"]["EndpointStatus"] == "InService"
    assert answer["Endpoint"]["EndpointConfigName"] == "green"


def test_creating_an_endpoint_that_exists_becomes_an_update(deployed):
    config = {"EndpointName": "churn", "EndpointConfigName": "green"}

    answer = SageMakerEndpointOperator(task_id="create", config=config, **FAST).execute({})

    assert answer["Endpoint"]["EndpointConfigName"] == "green"


def test_the_endpoint_operator_calls_a_rollback_a_success(deployed, aws):
    aws("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        Namespace="Test",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="ignore",
    )
    aws("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a bad model")

    answer = update(
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "WaitIntervalInSeconds": 600,
                    "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
                }
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
        }
    ).execute({})

    assert answer["Endpoint"]["EndpointStatus"] == "InService"
    assert answer["Endpoint"]["EndpointConfigName"] == "blue"
    assert answer["Endpoint"]["FailureReason"]


def test_the_endpoint_sensor_calls_a_failed_rollback_a_success(deployed):
    deployed.client.script_ending("churn", status="UpdateRollbackFailed", after_seconds=0)
    config = {"EndpointName": "churn", "EndpointConfigName": "green"}
    SageMakerEndpointOperator(
        task_id="update", operation="update", config=config, wait_for_completion=False, **FAST
    ).execute({})

    sensor = SageMakerEndpointSensor(task_id="wait", endpoint_name="churn", aws_conn_id="aws_simulator")
    wait_for_status(sensor, "UpdateRollbackFailed")

    assert sensor.poke({})


def test_a_model_is_deleted_by_its_operator(deployed, aws):
    SageMakerDeleteModelOperator(
        task_id="delete", config={"ModelName": "churn-model"}, aws_conn_id="aws_simulator"
    ).execute({})

    assert aws("sagemaker").list_models()["Models"] == []


def test_the_waiters_see_an_endpoint_come_and_go(deployed, aws):
    sagemaker = aws("sagemaker")
    often = {"Delay": 0, "MaxAttempts": 10_000}

    sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="green")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="other", WaiterConfig=often)
    assert sagemaker.describe_endpoint(EndpointName="other")["EndpointStatus"] == "InService"

    sagemaker.delete_endpoint(EndpointName="other")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="other", WaiterConfig=often)
    assert [e["EndpointName"] for e in sagemaker.list_endpoints()["Endpoints"]] == ["churn"]


def test_the_waiter_gives_up_on_a_failed_endpoint(deployed, aws):
    deployed.client.profile("churn-model", never_healthy=True)
    sagemaker = aws("sagemaker")
    sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="green")

    with pytest.raises(WaiterError, match="Failed"):
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName="other", WaiterConfig={"Delay": 0, "MaxAttempts": 10_000}
        )


def wait_for_status(sensor, status):
    for _ in range(1000):
        if sensor.hook.describe_endpoint("churn")["EndpointStatus"] == status:
            return
    raise AssertionError(f"never {status}")


@pytest.mark.parametrize(("knob", "status"), [("profile", "InService"), ("fails", "Failed")])
def test_a_training_without_an_artefact_can_be_deployed_by_its_profile(fast, aws, knob, status):
    fast.client.set_knobs(unknown_artefact=knob)
    train = SageMakerTrainingOperator(
        task_id="train", config=dict(TRAINING), wait_for_completion=False, print_log=False, **FAST
    )
    artefact = train.execute({})["Training"]["ModelArtifacts"]["S3ModelArtifacts"]
    container = {"Image": "registry/churn:1", "ModelDataUrl": artefact}
    model = {**MODEL, "PrimaryContainer": container}
    SageMakerModelOperator(task_id="model", config=model, aws_conn_id="aws_simulator").execute({})
    SageMakerEndpointConfigOperator(
        task_id="config", config=endpoint_config("blue"), aws_conn_id="aws_simulator"
    ).execute({})
    endpoint = {"EndpointName": "churn", "EndpointConfigName": "blue"}
    create = SageMakerEndpointOperator(task_id="create", config=endpoint, wait_for_completion=False, **FAST)

    create.execute({})
    fast.client.clock.advance(minutes=30)

    assert aws("sagemaker").describe_endpoint(EndpointName="churn")["EndpointStatus"] == status
