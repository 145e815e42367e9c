"""Derived configurations carry everything over that SageMaker's own model lets them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from airflow_guardrails.aws.derived_config import (
    is_derived,
    is_taken,
    planned_config,
    with_tags,
    without_tags,
)
from airflow_guardrails.aws.shadow_variant import differences, with_shadow, without_shadow
from airflow_guardrails.aws.tags import DERIVED_FROM, MADE_FOR
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Variant
from tests.support.older_airflow import needs_instance_pools

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/churn-v1"
ORIGIN = {"derived_from": "churn-v1", "made_for": "churn"}
SHADOW = ShadowVariant(model_name="candidate", sampling_percentage=25)
LIVE = (Variant(name="AllTraffic", instances=3, desired_instances=3, desired_weight=2.0),)
PRODUCTION = {
    "VariantName": "AllTraffic",
    "ModelName": "churn",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 2,
    "InitialVariantWeight": 1.0,
}


@pytest.fixture(scope="module")
def created(sagemaker):
    return sagemaker.operation_model("CreateEndpointConfig").input_shape


@pytest.fixture(scope="module")
def described(sagemaker):
    return sagemaker.operation_model("DescribeEndpointConfig").output_shape


@pytest.fixture(scope="module")
def answer(described):
    """An answer that holds every member there is, down to the last leaf."""
    full = example(described, "")
    full["ProductionVariants"][0] |= {"VariantName": "AllTraffic"}
    return {**full, "EndpointConfigArn": ARN, "ResponseMetadata": {"HTTPStatusCode": 200}}


def example(shape, path):
    """A value of *shape*, another at each path."""
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


def leaves(value, path=()):
    if isinstance(value, dict):
        return {leaf for key, each in value.items() for leaf in leaves(each, (*path, key))}
    if isinstance(value, list):
        return {leaf for each in value for leaf in leaves(each, path)}
    return {path}


# What says where it is, when it was made, and what is meant to change.
NOT_CARRIED = {("EndpointConfigArn",), ("CreationTime",)}


def test_everything_that_is_described_and_can_be_asked_for_is_carried_over(answer, created, described):
    request = without_shadow(answer, name="churn-new", variants=())

    can_be_asked_for = leaves(example(created, ""))
    is_described = leaves(example(described, ""))
    shadow = {leaf for leaf in is_described if leaf[0] == "ShadowProductionVariants"}
    assert is_described & can_be_asked_for - shadow == leaves(request)
    assert is_described - can_be_asked_for == NOT_CARRIED
    changed = {"EndpointConfigName"}
    assert all(request[key] == answer[key] for key in request.keys() - changed)


@needs_instance_pools
def test_a_shadow_is_like_production_in_all_that_is_not_productions_own(answer, created):
    request = with_shadow(answer, SHADOW, name="churn-new", variants=())

    (production,), (shadow,) = request["ProductionVariants"], request["ShadowProductionVariants"]
    assert production.keys() - shadow.keys() == {"CapacityReservationConfig", "InstancePools"}
    own = {"VariantName", "ModelName", "InitialVariantWeight"}
    assert all(shadow[key] == production[key] for key in shadow.keys() - own)
    assert production == answer["ProductionVariants"][0]
    assert all(request[key] == answer[key] for key in ("KmsKeyId", "VpcConfig", "ExplainerConfig"))


def test_the_requests_are_as_botocore_wants_them(answer, created):
    for request in (
        with_shadow(answer, SHADOW, name="churn-new", variants=LIVE),
        without_shadow(answer, name="churn-new", variants=LIVE),
        with_tags(without_shadow(answer, name="churn-new", variants=LIVE), {"a": "b"}, **ORIGIN),
    ):
        assert ParamValidator().validate(request, created).generate_report() == ""


@pytest.fixture
def live():
    return {
        "EndpointConfigName": "churn-v1",
        "EndpointConfigArn": ARN,
        "ProductionVariants": [PRODUCTION],
        "CreationTime": datetime(2026, 3, 2, tzinfo=timezone.utc),
        "KmsKeyId": None,
    }


def test_production_keeps_the_count_and_weight_of_now(live):
    request = with_shadow(live, SHADOW, name="new", variants=LIVE)

    (production,), (shadow,) = request["ProductionVariants"], request["ShadowProductionVariants"]
    assert (production["InitialInstanceCount"], production["InitialVariantWeight"]) == (3, 2.0)
    assert (shadow["InitialInstanceCount"], shadow["InitialVariantWeight"]) == (3, 0.5)
    assert request.keys() == {"EndpointConfigName", "ProductionVariants", "ShadowProductionVariants"}


def test_a_variant_scaled_in_to_nothing_is_asked_for_with_its_initial_count(live):
    none = Variant(name="AllTraffic", instances=0, desired_instances=0)

    (production,) = without_shadow(live, name="new", variants=[none])["ProductionVariants"]

    assert production == PRODUCTION


def test_a_shadow_of_another_type_leaves_what_belongs_to_the_type(live):
    spec = {
        **PRODUCTION,
        "InferenceAmiVersion": "al2",
        "AcceleratorType": "ml.eia2.large",
        "VolumeSizeInGB": 9,
    }
    live["ProductionVariants"] = [spec]
    shadow = ShadowVariant(model_name="candidate", instance_type="ml.c5.large", instance_count=1)

    (made,) = with_shadow(live, shadow, name="new", variants=())["ShadowProductionVariants"]

    assert made == {
        "VariantName": "shadow",
        "ModelName": "candidate",
        "InstanceType": "ml.c5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }


def test_a_shadow_of_the_same_type_keeps_its_volume(live):
    live["ProductionVariants"] = [{**PRODUCTION, "VolumeSizeInGB": 9}]

    (made,) = with_shadow(live, SHADOW, name="new", variants=())["ShadowProductionVariants"]

    assert made["VolumeSizeInGB"] == 9


def test_a_pool_of_one_type_gives_the_shadow_that_type(live):
    pooled = {key: value for key, value in PRODUCTION.items() if key != "InstanceType"}
    live["ProductionVariants"] = [
        {**pooled, "InstancePools": [{"InstanceType": "ml.m5.large", "Priority": 1}]}
    ]

    request = with_shadow(live, SHADOW, name="new", variants=())

    (shadow,) = request["ShadowProductionVariants"]
    assert shadow["InstanceType"] == "ml.m5.large"
    assert "InstancePools" not in shadow
    assert "InstanceType" not in request["ProductionVariants"][0]


def test_nothing_asked_for_is_changed_in_what_was_described(live):
    before = repr(live)

    with_shadow(live, SHADOW, name="new", variants=LIVE)

    assert repr(live) == before


# Whether a configuration that is there is the one that is wanted.


@pytest.fixture
def wanted(live):
    return with_shadow(live, SHADOW, name="new", variants=LIVE)


def found(wanted, *, of="ShadowProductionVariants", **changes):
    answer = {**wanted, "EndpointConfigArn": ARN, "CreationTime": datetime(2026, 3, 2, tzinfo=timezone.utc)}
    return {**answer, of: [{**answer[of][0], **changes}]}


def test_what_was_asked_for_is_recognized(wanted):
    assert differences(found(wanted), with_tags(wanted, {"team": "a"}, **ORIGIN)) == ()


def test_other_counts_and_weights_in_the_same_ratio_are_no_difference(wanted):
    scaled = found(wanted, InitialInstanceCount=7, InitialVariantWeight=0.25)
    scaled["ProductionVariants"] = [{**PRODUCTION, "InitialInstanceCount": 7, "InitialVariantWeight": 1.0}]

    assert differences(scaled, wanted) == ()


def test_a_weight_of_single_precision_is_no_difference(live):
    shadow = ShadowVariant(model_name="candidate", sampling_percentage=30)
    wanted = with_shadow(live, shadow, name="new", variants=())

    assert differences(found(wanted, InitialVariantWeight=0.30000001192092896), wanted) == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ModelName": "x"}, "shadow.ModelName is 'x' instead of 'candidate'"),
        ({"InstanceType": "ml.c5.large"}, "shadow.InstanceType is 'ml.c5.large' instead of 'ml.m5.large'"),
        ({"VariantName": "x"}, "ShadowProductionVariants is ['x'] instead of ['shadow']"),
        ({"InitialVariantWeight": 2.0}, "shadow's share of the requests is 1.0 instead of 0.25"),
        ({"of": "ProductionVariants", "ModelName": "x"}, "AllTraffic.ModelName is 'x' instead of 'churn'"),
        (
            {"of": "ProductionVariants", "VolumeSizeInGB": 9},
            "AllTraffic.VolumeSizeInGB is 9 instead of None",
        ),
    ],
)
def test_another_variant_is_a_difference(wanted, change, says):
    assert differences(found(wanted, **change), wanted) == (says,)


def test_another_setting_of_the_configuration_is_a_difference(wanted):
    assert differences({**found(wanted), "KmsKeyId": "k"}, wanted) == ("KmsKeyId is 'k' instead of None",)
    assert differences(found(wanted), {**wanted, "KmsKeyId": "k"}) == ("KmsKeyId is None instead of 'k'",)


def test_a_count_of_the_shadow_that_the_author_gave_counts(wanted):
    assert differences(found(wanted, InitialInstanceCount=7), wanted, shadow_count=3) == (
        "shadow.InitialInstanceCount is 7 instead of 3",
    )


def test_a_shadow_where_there_is_to_be_none_is_a_difference(live, wanted):
    plain = without_shadow(live, name="new", variants=LIVE)

    assert differences(found(wanted), plain) == ("ShadowProductionVariants is ['shadow'] instead of []",)


def test_what_sagemaker_adds_to_a_shadow_by_itself_is_no_difference(wanted):
    assert differences(found(wanted, VolumeSizeInGB=30), wanted) == ()


# Tags, and the rest.


def test_tags_are_carried_over_but_awss_own_and_ours(live):
    tags = {"team": "churn", "aws:cloudformation:stack-name": "s", "airflow-guardrails:owner": "o"}
    request = with_tags(without_shadow(live, name="new", variants=()), tags, **ORIGIN)

    assert request["Tags"] == [
        {"Key": "team", "Value": "churn"},
        {"Key": DERIVED_FROM, "Value": "churn-v1"},
        {"Key": MADE_FOR, "Value": "churn"},
    ]
    assert "Tags" not in without_tags(request)
    assert is_derived({DERIVED_FROM: "churn-v1"})
    assert not is_derived(tags)


def test_a_request_can_be_looked_at_before_it_is_made(wanted):
    planned = planned_config(wanted, arn=ARN)

    assert (planned.name, planned.variant_names) == ("new", ("AllTraffic",))
    assert [variant.name for variant in planned.shadow_variants] == ["shadow"]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('Cannot create already existing endpoint configuration "arn:..."', True),
        ('Cannot create already existing endpoint "arn:..."', False),
        ("Could not find model", False),
    ],
)
def test_a_name_that_is_taken_is_distinguished_from_other_refusals(text, taken):
    error = ClientError({"Error": {"Code": "ValidationException", "Message": text}}, "CreateEndpointConfig")

    assert is_taken(error) is taken
