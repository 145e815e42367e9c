"""Endpoint configurations on the wire, through botocore's own model of the API."""

from __future__ import annotations

import json

import pytest
from botocore.parsers import JSONParser

from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig
from tests.support.older_airflow import needs_instance_pools

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/churn-v2"
VARIANT = {
    "VariantName": "AllTraffic",
    "ModelName": "churn-7",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 3,
    "InitialVariantWeight": 0.5,
}
SERVERLESS = {
    "VariantName": "AllTraffic",
    "ModelName": "churn-7",
    "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
}


@pytest.fixture(scope="module")
def shape(sagemaker):
    return sagemaker.operation_model("DescribeEndpointConfig").output_shape


@pytest.fixture
def parsed(shape):
    """What is made of the JSON that SageMaker answers to DescribeEndpointConfig."""

    def parse(**members):
        body = {
            "EndpointConfigName": "churn-v2",
            "EndpointConfigArn": ARN,
            "CreationTime": 1772400000,
            "ProductionVariants": [VARIANT],
            **members,
        }
        response = {"status_code": 200, "headers": {}, "body": json.dumps(body).encode()}
        return parse_endpoint_config(JSONParser().parse(response, shape))

    return parse


def test_a_configuration_is_read_with_everything_an_update_depends_on(parsed):
    fleet = VariantConfig(
        name="AllTraffic",
        model_name="churn-7",
        instance_types=("ml.m5.large",),
        initial_instances=3,
        initial_weight=0.5,
    )

    assert parsed() == EndpointConfig(name="churn-v2", arn=ARN, variants=(fleet,))
    assert parsed().variant_names == ("AllTraffic",)


def test_variants_keep_their_order(parsed):
    config = parsed(ProductionVariants=[{**VARIANT, "VariantName": name} for name in ("b", "a")])

    assert config.variant_names == ("b", "a")


def test_a_serverless_variant_has_no_instances(parsed):
    (variant,) = parsed(ProductionVariants=[SERVERLESS]).variants

    assert variant == VariantConfig(name="AllTraffic", model_name="churn-7", serverless=True)


def test_a_missing_weight_is_the_default_of_the_api(parsed):
    variant = {name: value for name, value in VARIANT.items() if name != "InitialVariantWeight"}

    assert parsed(ProductionVariants=[variant]).variants[0].initial_weight == 1.0


@needs_instance_pools
def test_a_variant_that_draws_from_pools_has_the_instances_of_each(parsed):
    pools = [{"InstanceType": kind, "Priority": 1} for kind in ("ml.m5.large", "ml.inf1.xlarge")]
    (variant,) = parsed(ProductionVariants=[{**VARIANT, "InstancePools": pools}]).variants

    assert variant.instance_types == ("ml.m5.large", "ml.inf1.xlarge")


def test_shadow_variants_are_kept_apart(parsed):
    config = parsed(ShadowProductionVariants=[{**VARIANT, "VariantName": "Shadow"}])

    assert config.variant_names == ("AllTraffic",)
    assert [variant.name for variant in config.shadow_variants] == ["Shadow"]


@pytest.mark.parametrize(
    ("members", "asynchronous"),
    [({}, False), ({"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://answers/"}}}, True)],
)
def test_an_asynchronous_configuration_is_known_as_one(parsed, members, asynchronous):
    assert parsed(**members).asynchronous == asynchronous


@pytest.mark.parametrize(
    ("members", "captures"),
    [
        ({}, False),
        ({"DataCaptureConfig": {"EnableCapture": True, "InitialSamplingPercentage": 100}}, True),
        ({"DataCaptureConfig": {"EnableCapture": False, "InitialSamplingPercentage": 100}}, False),
    ],
)
def test_capture_counts_where_it_is_enabled(parsed, members, captures):
    assert parsed(**members).data_capture == captures


@needs_instance_pools
def test_every_member_looked_at_is_in_botocores_model(shape):
    looked_at = {*VARIANT, "ServerlessConfig", "InstancePools"}

    assert {"AsyncInferenceConfig", "DataCaptureConfig", "ShadowProductionVariants"} <= set(shape.members)
    assert looked_at <= set(shape.members["ProductionVariants"].member.members)
