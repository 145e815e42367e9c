"""Which instance types are accepted does not depend on the installed botocore."""

from __future__ import annotations

import pytest

from airflow_guardrails.simulator.engine import validation
from airflow_guardrails.simulator.engine.errors import ConstraintViolation
from airflow_guardrails.simulator.engine.instance_types import INSTANCE_TYPES

CONFIG = {"EndpointConfigName": "churn"}
EXPERIMENT = {
    "Name": "trial",
    "Type": "ShadowMode",
    "RoleArn": "arn:aws:iam::123456789012:role/churn",
    "EndpointName": "churn",
    "ShadowModeConfig": {
        "SourceModelVariantName": "live",
        "ShadowModelVariants": [{"ShadowModelVariantName": "candidate", "SamplingPercentage": 100}],
    },
}


def check_both(instance_type: str) -> None:
    """Check a configuration and a shadow test that have instances of *instance_type*."""
    variant = {"VariantName": "live", "ModelName": "churn", "InitialInstanceCount": 1}
    validation.check(
        "CreateEndpointConfig", {**CONFIG, "ProductionVariants": [{**variant, "InstanceType": instance_type}]}
    )
    config = {"InstanceType": instance_type, "InstanceCount": 1}
    infrastructure = {"InfrastructureType": "RealTimeInference", "RealTimeInferenceConfig": config}
    models = [
        {"ModelName": "churn", "VariantName": name, "InfrastructureConfig": infrastructure}
        for name in ("live", "candidate")
    ]
    validation.check("CreateInferenceExperiment", {**EXPERIMENT, "ModelVariants": models})


def test_every_known_type_is_accepted_for_endpoints_and_shadow_tests():
    """botocore 1.43.0 lacks ml.m5.large for shadow tests, and six of the newest types for endpoints."""
    assert {"ml.m5.large", "ml.g5.48xlarge", "ml.inf2.xlarge"} <= set(INSTANCE_TYPES)
    for instance_type in INSTANCE_TYPES:
        check_both(instance_type)


def test_what_botocore_lists_is_accepted_too():
    for instance_type in validation.enum_values("ProductionVariantInstanceType"):
        check_both(instance_type)


@pytest.mark.parametrize("instance_type", ["m5.large", "ml.m5.larg", "ml.m5", ""])
def test_a_type_that_is_not_known_is_refused(instance_type):
    with pytest.raises(ConstraintViolation, match=r"Member must satisfy enum value set: \[ml\.t2\.medium, "):
        check_both(instance_type)
