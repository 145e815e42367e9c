"""The code of docs/guarded-updates.md and docs/waiting.md runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.context import set_current_context

from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor

DOCS = Path(__file__).parents[2] / "docs"


def block(page: str, word: str) -> str:
    (code,) = [
        code
        for code in re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
        if word in code
    ]
    return code


@pytest.fixture
def names(churn, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": churn.simulator.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    names = {}
    exec(block("guarded-updates", "guarded_name"), names)
    return names


def test_a_task_that_is_retried_finds_the_configuration_that_it_has_made(churn, names, context):
    create = names["create_config"].function

    with set_current_context(context):
        made = {create("churn"), create("churn")}

    (name,) = made
    assert churn.sagemaker.describe_endpoint_config(EndpointConfigName=name)["EndpointConfigName"] == name


def test_the_sensor_can_be_parsed():
    with DAG("wait", schedule=None) as dag:
        exec(block("waiting", "SageMakerRolloutSensor("), {"SageMakerRolloutSensor": SageMakerRolloutSensor})

    assert dag.task_ids == ["wait_for_rollout"]
