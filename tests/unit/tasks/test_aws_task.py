"""What all operators and sensors that call AWS have in common: their connection arguments."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.predictions import (
    SageMakerComparePredictionsOperator,
    SageMakerPlanPredictionsOperator,
)
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from airflow_guardrails.strategies import AllAtOnce

UPDATE = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"}
ELSEWHERE = {
    "aws_conn_id": "elsewhere",
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"read_timeout": 5},
}


@pytest.fixture(
    params=[
        (SageMakerGuardedUpdateOperator, {**UPDATE, "strategy": AllAtOnce()}),
        (SageMakerAbortRolloutOperator, UPDATE),
        (SageMakerConcludeRolloutOperator, {**UPDATE, "update_task_id": "update"}),
        (SageMakerRolloutSensor, UPDATE),
        (SageMakerAddShadowVariantOperator, {"endpoint_name": "churn", "shadow_model_name": "candidate"}),
        (SageMakerRemoveShadowVariantOperator, {"endpoint_name": "churn"}),
        (
            SageMakerCreateShadowTestOperator,
            {"name": "trial", "endpoint_name": "churn", "role_arn": "arn", "shadow_model_name": "candidate"},
        ),
        (SageMakerStopShadowTestOperator, {"name": "trial"}),
        (SageMakerShadowTestSensor, {"name": "trial"}),
        (SageMakerJudgeShadowTestOperator, {"name": "trial"}),
        (SageMakerPlanPredictionsOperator, {"name": "trial"}),
        (SageMakerComparePredictionsOperator, {"name": "trial", "hour": "2026-03-02T10:00:00Z"}),
    ],
    ids=lambda case: case[0].__name__,
)
def build(request):
    kind, arguments = request.param
    return lambda **more: kind(task_id="task", **{**arguments, **more})


def connection_of(task):
    hook = task.hook
    given = hook.config
    return {
        "aws_conn_id": hook.aws_conn_id,
        "region_name": hook.region_name,
        "verify": hook.verify,
        "botocore_config": {"read_timeout": given.read_timeout},
    }


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", '{"conn_type": "aws"}')


def test_each_task_uses_the_connection_of_its_arguments(build):
    assert connection_of(build(**ELSEWHERE)) == ELSEWHERE


def test_each_task_uses_the_connection_of_default_args(build):
    with DAG("deploy", default_args=ELSEWHERE, schedule=None):
        task = build()

    assert connection_of(task) == ELSEWHERE


def test_each_task_uses_the_default_connection_by_default(build):
    task = build()

    assert (task.aws_conn_id, task.region_name, task.verify, task.botocore_config) == (
        "aws_default",
        None,
        None,
        None,
    )


def test_each_task_lets_templates_say_where(build):
    assert {"aws_conn_id", "region_name", "verify"} <= {*build().template_fields}


def test_each_task_can_be_mapped_with_a_connection_of_its_own(build):
    task = build()
    with DAG("deploy", schedule=None):
        mapped = type(task).partial(task_id="mapped", aws_conn_id="elsewhere").expand_kwargs([{}])

    assert mapped.partial_kwargs["aws_conn_id"] == "elsewhere"
