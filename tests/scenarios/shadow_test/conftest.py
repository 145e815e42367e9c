"""The endpoint ``churn``, a second model, and operators that test it as a shadow, in simulated time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from tests.support.lab import ROLE, Lab, in_simulated_time


@pytest.fixture
def lab(churn):
    """The endpoint is InService, and model ``churn-candidate`` is there."""
    lab = Lab(simulator=churn.simulator, sagemaker=churn.sagemaker, cloudwatch=churn.cloudwatch)
    container = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:2"}
    lab.sagemaker.create_model(ModelName="churn-candidate", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    return lab


@pytest.fixture
def candidate(lab):
    """The endpoint, and a model ``churn-candidate`` beside the one that serves."""
    return lab


@pytest.fixture
def create(candidate, simulated_sleep):
    """Build a task that tries ``churn-candidate`` for two hours."""

    def build(**changes: Any) -> SageMakerCreateShadowTestOperator:
        arguments = {
            "task_id": "shadow",
            "name": "churn-trial",
            "endpoint_name": "churn",
            "role_arn": ROLE,
            "shadow_model_name": "churn-candidate",
            "duration": timedelta(hours=2),
            "waiter_delay": 300,
        }
        operator = SageMakerCreateShadowTestOperator(**{**arguments, **changes})
        return in_simulated_time(operator, candidate, simulated_sleep)

    return build


@pytest.fixture
def stop(candidate, simulated_sleep):
    def build(name: str, **changes: Any) -> SageMakerStopShadowTestOperator:
        arguments = {"task_id": "stop", "name": name, "waiter_delay": 300}
        operator = SageMakerStopShadowTestOperator(**{**arguments, **changes})
        return in_simulated_time(operator, candidate, simulated_sleep)

    return build


@pytest.fixture
def experiment(candidate):
    """Look at an experiment by boto3."""

    def look(name: str) -> dict[str, Any]:
        answer: dict[str, Any] = candidate.sagemaker.describe_inference_experiment(Name=name)
        return answer

    return look
