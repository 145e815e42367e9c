"""
The tasks that all examples begin with: train a model, evaluate it, and create it in SageMaker.

Change ``PARAMS`` for your account: an existing endpoint, a bucket, SageMaker's execution role (with
``cloudwatch:DescribeAlarms``), and a serving image with the scikit-learn that trains here.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerModelOperator
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Param, task

from airflow_guardrails.guards import ErrorRate, Latency

AWS_CONN_ID = "aws_default"
# The model's name: new in every run, however it was triggered, and the same in every try of a task. SageMaker
# allows 63 characters, 23 of which are the time with microseconds.
VERSION = "{{ params.endpoint_name }}-{{ dag_run.run_after.strftime('%Y%m%d-%H%M%S-%f') }}"
# What rolls an update back, if the new fleet does it while it bakes.
GUARDS = [ErrorRate(above=0.01), Latency(percentile=90, above=timedelta(milliseconds=250))]
PARAMS = {
    "endpoint_name": "tumours",
    "bucket": "tumour-models",
    "role": "arn:aws:iam::123456789012:role/SageMakerExecution",
    "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/scikit-learn-serving:latest",
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


def trained_evaluated_and_created() -> SageMakerModelOperator:
    """Train, evaluate and create the model ``VERSION``; return the last task."""
    artefact = train("{{ params.candidate }}", "{{ params.bucket }}", key=f"{VERSION}/model.tar.gz")
    return SageMakerModelOperator(
        task_id="create_model",
        aws_conn_id=AWS_CONN_ID,
        config={
            "ModelName": VERSION,
            "ExecutionRoleArn": "{{ params.role }}",
            "PrimaryContainer": {
                "Image": "{{ params.image }}",
                "ModelDataUrl": evaluate(artefact, "{{ params.minimum_accuracy }}"),
                "Environment": {
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                },
            },
        },
    )
