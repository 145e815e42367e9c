"""
The tasks that all examples begin with: train a model, evaluate it, register it, and create its alarms.

Change ``PARAMS`` for your account: an existing endpoint, a bucket, SageMaker's execution role (with
``cloudwatch:DescribeAlarms`` on the alarms), and a serving image with the scikit-learn that trains here.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerEndpointConfigOperator,
    SageMakerModelOperator,
)
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Param, task

AWS_CONN_ID = "aws_default"
VARIANT = "main"
# One name for the model and the endpoint configuration: new in every run, however it was triggered, and the
# same in every try of a task. SageMaker allows 63 characters, 23 of which are the time with microseconds.
VERSION = "{{ params.endpoint_name }}-{{ dag_run.run_after.strftime('%Y%m%d-%H%M%S-%f') }}"
ERROR_ALARM = "{{ params.endpoint_name }}-errors"
LATENCY_ALARM = "{{ params.endpoint_name }}-green-latency"
PARAMS = {
    "endpoint_name": "tumours",
    "bucket": "tumour-models",
    "role": "arn:aws:iam::123456789012:role/SageMakerExecution",
    "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/scikit-learn-serving:latest",
    "instance_type": "ml.m5.large",
    "candidate": Param("gradient-boosting", enum=["gradient-boosting", "logistic-regression", "sentinel"]),
    "minimum_accuracy": 0.94,
}


@task
def train(candidate: str, bucket: str, key: str) -> str:
    """Fit the candidate, and upload its artefact to S3, from where SageMaker loads it."""
    import tumour_model

    model = tumour_model.train(candidate, tumour_model.complete(tumour_model.training_rows()))
    S3Hook(AWS_CONN_ID).load_bytes(tumour_model.pack(model), key=key, bucket_name=bucket, replace=True)
    return f"s3://{bucket}/{key}"


@task
def evaluate(artefact: str, minimum_accuracy: str) -> str:
    """Fail if the model is not accurate enough on rows that were not used for training."""
    import tumour_model

    bucket, key = S3Hook.parse_s3_url(artefact)
    model = tumour_model.unpack(S3Hook(AWS_CONN_ID).get_key(key, bucket).get()["Body"].read())
    measured = tumour_model.accuracy(model, tumour_model.complete(tumour_model.held_out_rows()))
    if measured < float(minimum_accuracy):
        raise AirflowFailException(
            f"held-out accuracy ({measured:.3f}) < minimum_accuracy ({minimum_accuracy})"
        )
    print(f"held-out accuracy ({measured:.3f}) >= minimum_accuracy ({minimum_accuracy})")
    return artefact


@task
def put_alarms(endpoint_name: str, endpoint_config_name: str, error_alarm: str, latency_alarm: str) -> None:
    """
    Create the two alarms that roll the update back.

    During the update, both fleets have the same endpoint and variant. Only the dimension EndpointConfigName
    distinguishes them. The error alarm measures both fleets together, as clients do: if the new fleet has a
    quarter of the traffic and fails every tenth request, it reads 2.5 %. The latency alarm measures the new
    fleet alone, so its dimension is set to the new configuration in every run.
    """
    variant = {"EndpointName": endpoint_name, "VariantName": VARIANT}
    green = variant | {"EndpointConfigName": endpoint_config_name}
    client = AwsBaseHook(AWS_CONN_ID, client_type="cloudwatch").conn
    put_alarm(client, error_alarm, "Invocation5XXErrors", variant, Statistic="Average", Threshold=0.01)
    microseconds = 250_000
    put_alarm(client, latency_alarm, "ModelLatency", green, ExtendedStatistic="p90", Threshold=microseconds)
    # A changed alarm keeps its state until it is evaluated again, and this state is that of another fleet.
    unknown = {
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": f"Watches {endpoint_config_name} from now on",
    }
    client.set_alarm_state(AlarmName=latency_alarm, **unknown)


def put_alarm(client: Any, name: str, metric: str, dimensions: dict[str, str], **rule: Any) -> None:
    client.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        ComparisonOperator="GreaterThanThreshold",
        Period=60,
        EvaluationPeriods=2,
        TreatMissingData="notBreaching",
        **rule,
    )


def trained_and_evaluated() -> Any:
    """Train and evaluate; the result is the S3 URI of the artefact."""
    artefact = train("{{ params.candidate }}", "{{ params.bucket }}", key=f"{VERSION}/model.tar.gz")
    return evaluate(artefact, "{{ params.minimum_accuracy }}")


def create_model(artefact: Any) -> SageMakerModelOperator:
    return SageMakerModelOperator(
        task_id="create_model",
        aws_conn_id=AWS_CONN_ID,
        config={
            "ModelName": VERSION,
            "ExecutionRoleArn": "{{ params.role }}",
            "PrimaryContainer": {
                "Image": "{{ params.image }}",
                "ModelDataUrl": artefact,
                "Environment": {
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                },
            },
        },
    )


def create_endpoint_config() -> SageMakerEndpointConfigOperator:
    return SageMakerEndpointConfigOperator(
        task_id="create_endpoint_config",
        aws_conn_id=AWS_CONN_ID,
        config={
            "EndpointConfigName": VERSION,
            "ProductionVariants": [
                {
                    "VariantName": VARIANT,
                    "ModelName": VERSION,
                    "InstanceType": "{{ params.instance_type }}",
                    "InitialInstanceCount": 4,
                }
            ],
        },
    )
