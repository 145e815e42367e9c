"""The code on docs/coming-from-amazon.md runs, and what the page says about amazon's operators is so."""

from __future__ import annotations

import inspect
import re
from datetime import datetime, timezone

import pytest
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerEndpointOperator,
    SageMakerTrainingOperator,
)
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from botocore.exceptions import ClientError
from jinja2 import Template

from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary
from airflow_guardrails.task_groups import guarded_deployment
from tests.support.fakes import TaskInstance
from tests.support.hosting_helper import artefact, constant
from tests.support.pages import first_column, page, section
from tests.support.simulated import new_client

TEXT = page("coming-from-amazon")
URL = "s3://churn-models/model.tar.gz"


@pytest.fixture
def bucket(simulator):
    s3 = new_client(simulator.url, "s3")
    s3.create_bucket(Bucket="churn-models")
    s3.put_object(Bucket="churn-models", Key="model.tar.gz", Body=artefact(constant(1.0)))


class Pulled:
    """A task instance that pulls this XCom of the task ``train``."""

    def __init__(self, value) -> None:
        self.value = value

    def xcom_pull(self, task_ids: str):
        assert task_ids == "train"
        return self.value


def code(language: str) -> str:
    """The one block of the page in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def names_in(function) -> set[str]:
    return set(inspect.signature(function).parameters)


def deploy(simulated_sleep, run: str):
    """Run the task on the page in a run of its own, and return its report."""
    known = {"ROLE": "arn:aws:iam::123456789012:role/churn", "IMAGE": "sklearn:1", "MODEL_URL": URL}
    with DAG("churn", start_date=datetime(2026, 3, 2, tzinfo=timezone.utc), schedule=None):
        exec(code("python"), known)
    known["deploy"].sleep = simulated_sleep
    return known["deploy"].execute({"ti": TaskInstance(run_id=run)})


def test_the_task_on_the_page_creates_the_endpoint_and_updates_it_in_the_next_run(bucket, simulated_sleep):
    first = deploy(simulated_sleep, "first")
    second = deploy(simulated_sleep, "second")

    assert (first["outcome"], first["guarded"]) == ("Succeeded", False)
    assert first["unguarded_because"]
    assert (second["outcome"], second["guarded"]) == ("Succeeded", True)
    assert second["previous_endpoint_config_name"] == first["serving_endpoint_config_name"]
    # One instance is too small for a canary.
    assert second["strategy"]["name"] == "all at once"
    assert second["strategy"]["steps"] == [{"minute": 0, "percent": 100, "bake_minutes": 15}]
    assert "all_at_once" in {finding["code"] for finding in second["findings"]}


def test_the_tables_arguments_are_those_of_amazons_operator_and_ours():
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section(TEXT, "Replace the operator"), re.MULTILINE)[1:]
    amazons = {word for row, _ in rows for word in re.findall(r"`(\w+)", row)} - {"DeploymentConfig"}

    assert amazons <= names_in(SageMakerEndpointOperator.__init__)
    assert {"operation", "config", "check_interval", "max_ingestion_time"} <= amazons
    for ours in ("config", "waiter_delay", "max_wait", "wait_for_completion", "deferrable", "strategy"):
        assert f"`{ours}`" in TEXT
        assert ours in names_in(SageMakerGuardedUpdateOperator.__init__)
    assert first_column(TEXT)[0] == "config"


def test_every_argument_on_the_page_is_one_of_a_class_it_names():
    known = set[str]().union(
        *(
            names_in(each)
            for each in (
                SageMakerGuardedUpdateOperator.__init__,
                SageMakerEndpointOperator.__init__,
                SageMakerTrainingOperator.__init__,
                BaseOperator.__init__,
                DAG.__init__,
                guarded_deployment,
                Canary.__init__,
            )
        )
    )
    assert set(re.findall(r"`(?:\w+\()?(\w+)=", TEXT)) <= known


def test_a_training_that_is_cleared_has_another_name_and_the_template_finds_its_artefact(bucket):
    training = {
        "TrainingJobName": "churn",
        "RoleArn": "arn:aws:iam::123456789012:role/churn",
        "AlgorithmSpecification": {"TrainingImage": "churn:1", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://churn-models/output"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    results = [
        SageMakerTrainingOperator(
            task_id="train", config=dict(training), wait_for_completion=False, print_log=False
        ).execute({})
        for _ in range(2)
    ]
    _, _, template = code("text").strip().partition("ModelDataUrl: ")

    rendered = [Template(template).render(ti=Pulled(found)) for found in results]

    assert rendered[0] == "s3://churn-models/output/churn/output/model.tar.gz"
    assert re.fullmatch(r"s3://churn-models/output/churn-\d+/output/model\.tar\.gz", rendered[1])


def test_the_configuration_in_service_can_be_deleted_and_then_every_update_is_refused(churn):
    churn.sagemaker.delete_endpoint_config(EndpointConfigName="churn-v1")

    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
