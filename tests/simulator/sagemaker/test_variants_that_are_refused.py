"""Variants that SageMaker does not accept in an endpoint configuration."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

INSTANCES = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}


@pytest.fixture
def create(aws):
    sagemaker = aws("sagemaker")
    sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": "any"})

    def create_config(**variant):
        named = {"VariantName": "main", "ModelName": "m", **variant}
        return sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[named])

    return create_config


def test_managed_scaling_is_for_inference_components_only(create):
    scaling = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2}

    with pytest.raises(ClientError, match="ManagedInstanceScaling is only supported for inference component"):
        create(**INSTANCES, ManagedInstanceScaling=scaling)


@pytest.mark.parametrize("memory", [1025, 1536, 6000])
def test_the_memory_of_a_serverless_variant_is_whole_gigabytes(create, memory):
    with pytest.raises(ClientError, match=f"MemorySizeInMB must be 1024, .* 6144 .got {memory}"):
        create(ServerlessConfig={"MemorySizeInMB": memory, "MaxConcurrency": 1})


@pytest.mark.parametrize("memory", range(1024, 7168, 1024))
def test_each_whole_gigabyte_from_one_to_six_is_accepted(create, memory):
    assert create(ServerlessConfig={"MemorySizeInMB": memory, "MaxConcurrency": 1})["EndpointConfigArn"]
