"""A configuration with another model keeps all that SageMaker's own description has."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from botocore.validate import ParamValidator

from airflow_guardrails.aws.derived_config import ONLY_DESCRIBED, as_requested, differences
from airflow_guardrails.aws.model_config import chosen_variant, first_config, with_model
from airflow_guardrails.domain.arguments import InvalidValue
from airflow_guardrails.domain.snapshots.endpoint import Variant

PLAIN = {
    "VariantName": "AllTraffic",
    "ModelName": "churn",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 2,
    "InitialVariantWeight": 1.0,
}
OF_THE_TYPE = {
    "VolumeSizeInGB": 40,
    "AcceleratorType": "ml.eia2.large",
    "InferenceAmiVersion": "al2",
    "CapacityReservationConfig": {"MlReservationArn": "arn"},
}


def example(shape, path=""):
    kinds = {
        "structure": lambda: {
            name: example(member, f"{path}/{name}") for name, member in shape.members.items()
        },
        "list": lambda: [example(shape.member, path)],
        "boolean": lambda: True,
        "timestamp": lambda: datetime(2026, 3, 2, tzinfo=timezone.utc),
        "integer": lambda: max(shape.metadata.get("min", 1), 1),
        "float": lambda: 1.0,
        "string": lambda: path.ljust(shape.metadata.get("min", 0), "-"),
    }
    return kinds[shape.type_name]()


@pytest.fixture(scope="module")
def created(sagemaker):
    return sagemaker.operation_model("CreateEndpointConfig").input_shape


@pytest.fixture(scope="module")
def full(sagemaker):
    """A response that has every field there is."""
    return example(sagemaker.operation_model("DescribeEndpointConfig").output_shape)


def live(*variants, **more):
    return {"EndpointConfigName": "v1", "ProductionVariants": list(variants or [PLAIN]), **more}


def test_nothing_is_lost_but_the_model(full, created):
    (production,) = full["ProductionVariants"]

    request, left_out = with_model(full, "churn-2", name="new", variants=())

    kept = {key: value for key, value in full.items() if key not in ONLY_DESCRIBED}
    changed = {"EndpointConfigName": "new", "ProductionVariants": [{**production, "ModelName": "churn-2"}]}
    assert request == {**kept, **changed}
    assert left_out == ()
    assert ParamValidator().validate(request, created).generate_report() == ""


def test_what_only_describe_has_is_known(sagemaker, created):
    described = sagemaker.operation_model("DescribeEndpointConfig").output_shape.members
    assert {*described} - {*created.members} <= ONLY_DESCRIBED


def test_count_and_weight_are_the_current_ones():
    now = Variant(name="AllTraffic", instances=5, desired_instances=5, desired_weight=2.0)

    request, _ = with_model(live(), "churn-2", name="new", variants=[now])

    (variant,) = request["ProductionVariants"]
    assert (variant["InitialInstanceCount"], variant["InitialVariantWeight"]) == (5, 2.0)


def test_another_type_loses_what_belongs_to_the_type_and_says_so():
    request, left_out = with_model(
        live({**PLAIN, **OF_THE_TYPE}), "churn-2", name="new", variants=(), instance_type="ml.g5.xlarge"
    )

    assert request["ProductionVariants"] == [
        {**PLAIN, "ModelName": "churn-2", "InstanceType": "ml.g5.xlarge"}
    ]
    assert [text.split()[0] for text in left_out] == sorted(OF_THE_TYPE)


def test_the_same_type_loses_nothing():
    request, left_out = with_model(
        live({**PLAIN, **OF_THE_TYPE}), "churn-2", name="new", variants=(), instance_type="ml.m5.large"
    )

    assert request["ProductionVariants"] == [{**PLAIN, **OF_THE_TYPE, "ModelName": "churn-2"}]
    assert left_out == ()


def test_a_type_in_overrides_counts_and_what_stands_beside_it_stays():
    overrides = {
        "ProductionVariants": [
            {"VariantName": "AllTraffic", "InstanceType": "ml.g5.xlarge", "InferenceAmiVersion": "al2-gpu"}
        ]
    }

    request, left_out = with_model(
        live({**PLAIN, **OF_THE_TYPE}), "churn-2", name="new", variants=(), overrides=overrides
    )

    (variant,) = request["ProductionVariants"]
    assert (variant["InferenceAmiVersion"], "VolumeSizeInGB" in variant) == ("al2-gpu", False)
    assert len(left_out) == 3


def test_one_type_replaces_instance_pools():
    pools = {key: value for key, value in PLAIN.items() if key != "InstanceType"}
    pools["InstancePools"] = [{"InstanceType": "ml.m5.large", "Priority": 1}]

    request, left_out = with_model(
        live(pools), "churn-2", name="new", variants=(), instance_type="ml.m5.large"
    )

    assert "InstancePools" not in request["ProductionVariants"][0]
    assert len(left_out) == 1


@pytest.mark.parametrize("named", [None, "c"])
def test_the_variants_are_named_if_it_is_not_clear_which_one_is_meant(named):
    config = live({**PLAIN, "VariantName": "a"}, {**PLAIN, "VariantName": "b"})

    with pytest.raises(
        InvalidValue, match=f"variant_name must be one of the variants of v1: a, b .got {named!r}"
    ):
        chosen_variant(config, named)


def test_the_first_configuration_is_as_small_as_can_be(created):
    request = first_config("churn", name="new", instance_type="ml.m5.large")

    assert request == {
        "EndpointConfigName": "new",
        "ProductionVariants": [{**PLAIN, "InitialInstanceCount": 1}],
    }
    assert ParamValidator().validate(request, created).generate_report() == ""


def test_defaults_that_sagemaker_adds_within_a_value_are_no_difference():
    wanted = live({**PLAIN, "RoutingConfig": {"RoutingStrategy": "RANDOM"}}, VpcConfig={"Subnets": ["a"]})
    routing = {"RoutingStrategy": "RANDOM", "Default": 1}
    found = live({**PLAIN, "RoutingConfig": routing}, VpcConfig={"Subnets": ["a"], "Default": 1})

    assert differences(as_requested(found, wanted), wanted) == ()
    assert differences(as_requested({**found, "KmsKeyId": "k"}, wanted), wanted) == (
        "KmsKeyId is 'k' instead of None",
    )
