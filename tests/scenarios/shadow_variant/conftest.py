"""The operators under test, on the endpoint ``churn`` with a candidate model, and in simulated time."""

from __future__ import annotations

import pytest

from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"


@pytest.fixture
def hosting(churn):
    """Endpoint ``churn`` and model ``candidate``, which it could serve."""
    churn.sagemaker.create_model(
        ModelName="candidate",
        PrimaryContainer={"Image": IMAGE},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/sagemaker",
    )
    return churn


@pytest.fixture
def in_simulated_time(hosting, simulated_sleep):
    def prepare(operator):
        operator.sleep = simulated_sleep
        operator.monotonic = lambda: hosting.now().timestamp()
        return operator

    return prepare


@pytest.fixture
def add_shadow(in_simulated_time):
    """Build a task that gives ``churn`` the shadow ``candidate``; a fresh one, as every try has."""

    def build(**changes):
        arguments = {
            "task_id": "add",
            "endpoint_name": "churn",
            "shadow_model_name": "candidate",
            "alarms": ["errors"],
            "deferrable": False,
        }
        return in_simulated_time(SageMakerAddShadowVariantOperator(**{**arguments, **changes}))

    return build


@pytest.fixture
def remove_shadow(in_simulated_time):
    def build(**changes):
        arguments = {
            "task_id": "remove",
            "endpoint_name": "churn",
            "alarms": ["errors"],
            "deferrable": False,
        }
        return in_simulated_time(SageMakerRemoveShadowVariantOperator(**{**arguments, **changes}))

    return build


@pytest.fixture
def config(churn):
    """Describe an endpoint configuration; None if there is none."""

    def describe(name):
        if name not in churn.config_names():
            return None
        return churn.sagemaker.describe_endpoint_config(EndpointConfigName=name)

    return describe


@pytest.fixture
def tags(churn, config):
    def of(name):
        listed = churn.sagemaker.list_tags(ResourceArn=config(name)["EndpointConfigArn"])["Tags"]
        return {tag["Key"]: tag["Value"] for tag in listed}

    return of


@pytest.fixture
def names(churn):
    """The names of all endpoint configurations there are."""
    return churn.config_names
