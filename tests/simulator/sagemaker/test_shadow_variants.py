"""Shadow variants of an endpoint configuration."""

from __future__ import annotations

import json

import pytest

SHADOW = "Candidate"


@pytest.fixture
def shadowed(endpoint):
    """``shadowed("name")`` is a configuration of four instances and a shadow of two."""

    def config(name: str, **more):
        shadow = endpoint.variant(SHADOW, instances=2)
        endpoint.config(name, ShadowProductionVariants=[{**shadow, **more}])

    return config


def shadow_of(look):
    (shadow,) = look["ShadowProductionVariants"]
    return shadow


def test_a_shadow_comes_with_the_update_and_goes_with_the_next(churn, shadowed):
    shadowed("green-shadow")
    assert "ShadowProductionVariants" not in churn.look()

    churn.update("green-shadow")
    pending = churn.look()["PendingDeploymentSummary"]
    assert shadow_of(pending)["CurrentInstanceCount"] == 0
    assert shadow_of(pending)["VariantStatus"][0]["Status"] == "Creating"
    assert shadow_of(pending)["InstanceType"] == "ml.m5.large"
    assert "ShadowProductionVariants" not in churn.look()

    churn.advance(minutes=10)
    assert churn.status() == ("InService", "green-shadow")
    serving = shadow_of(churn.look())
    assert (serving["VariantName"], serving["CurrentWeight"]) == (SHADOW, 1.0)
    assert (serving["CurrentInstanceCount"], serving["DesiredInstanceCount"]) == (2, 2)
    assert "VariantStatus" not in serving

    churn.update("green")
    assert shadow_of(churn.look())["VariantName"] == SHADOW
    assert "ShadowProductionVariants" not in churn.look()["PendingDeploymentSummary"]
    churn.advance(minutes=10)
    assert "ShadowProductionVariants" not in churn.look()


def test_an_endpoint_may_be_created_with_its_shadow(endpoint, shadowed):
    shadowed("green-shadow")

    endpoint.create("green-shadow")

    assert endpoint.status() == ("InService", "green-shadow")
    assert shadow_of(endpoint.look())["CurrentInstanceCount"] == 2


def test_a_configuration_is_described_with_its_shadow(endpoint, shadowed):
    shadowed("green-shadow", InitialVariantWeight=0.5)

    found = endpoint.sagemaker.describe_endpoint_config(EndpointConfigName="green-shadow")

    assert shadow_of(found)["InitialVariantWeight"] == 0.5


@pytest.mark.parametrize(
    ("production", "shadows", "got"), [(2, 1, "got 2 and 1"), (1, 2, "got 1 and 2"), (2, 2, "got 2 and 2")]
)
def test_there_is_one_production_variant_and_one_shadow(endpoint, production, shadows, got):
    refused = endpoint.refusal(
        endpoint.config,
        "wrong",
        *(endpoint.variant(f"p{n}") for n in range(production)),
        ShadowProductionVariants=[endpoint.variant(f"s{n}") for n in range(shadows)],
    )

    assert refused[0] == "ValidationException"
    assert f"there must be one production variant and one shadow variant ({got})" in refused[1]


def test_a_shadow_has_a_name_of_its_own(endpoint):
    refused = endpoint.refusal(endpoint.config, "wrong", ShadowProductionVariants=[endpoint.variant()])

    assert refused == (
        "ValidationException",
        "The shadow variant is invalid: the variants must have different names (got AllTraffic twice).",
    )


def test_a_shadow_needs_its_model(endpoint, arn):
    refused = endpoint.refusal(
        endpoint.config, "wrong", ShadowProductionVariants=[endpoint.variant(SHADOW, ModelName="nobody")]
    )

    assert refused == ("ValidationException", f'Could not find model "{arn("model", "nobody")}".')


SERVERLESS = {
    "InstanceType": None,
    "InitialInstanceCount": None,
    "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
}
MARKETPLACE = "arn:aws:sagemaker:us-east-1:865070037744:model-package/bought"
EXCLUDED = {
    "serverless": (SERVERLESS, "serverless inference"),
    "inf1": ({"InstanceType": "ml.inf1.xlarge"}, "Inf1 instances"),
    "marketplace": ({"ModelName": "bought"}, "Marketplace containers"),
    "multi-container": ({"ModelName": "several"}, "multi-container endpoints"),
    "multi-model": ({"ModelName": "many"}, "multi-model endpoints"),
}


@pytest.fixture
def excluded(endpoint):
    """``excluded(change, of="shadow")`` asks for a configuration whose shadow, or other variant, has it."""
    endpoint.model("bought", ModelPackageName=MARKETPLACE)
    endpoint.model("many", Mode="MultiModel", ModelDataUrl="s3://models/many/")
    endpoint.sagemaker.create_model(
        ModelName="several", Containers=[{"Image": "registry/a:1"}, {"Image": "registry/b:1"}]
    )

    def config(change, *, of="shadow", **more):
        variants = {"production": endpoint.variant(), "shadow": endpoint.variant(SHADOW)}
        changed = {**variants[of], **change}
        variants[of] = {key: value for key, value in changed.items() if value is not None}
        endpoint.config(
            "excluded", variants["production"], ShadowProductionVariants=[variants["shadow"]], **more
        )

    return config


@pytest.mark.parametrize("of", ["production", "shadow"])
@pytest.mark.parametrize("feature", EXCLUDED)
def test_features_that_shadow_tests_exclude_are_refused_and_no_fallback(endpoint, excluded, feature, of):
    change, text = EXCLUDED[feature]

    code, message = endpoint.refusal(excluded, change, of=of)

    assert code == "ValidationException"
    assert f"{text} is not supported" in message or f"{text} are not supported" in message


def test_asynchronous_inference_is_refused(endpoint, excluded):
    output = {"OutputConfig": {"S3OutputPath": "s3://churn/out"}}

    code, message = endpoint.refusal(excluded, {}, AsyncInferenceConfig=output)

    assert code == "ValidationException"
    assert "asynchronous inference is not supported" in message


def test_whether_excluded_features_are_refused_is_a_knob(endpoint, excluded):
    endpoint.control.set_knobs(shadow_exclusions="ignore")

    excluded({"InstanceType": "ml.inf1.xlarge"})

    assert endpoint.sagemaker.describe_endpoint_config(EndpointConfigName="excluded")


def test_what_a_shadow_is_refused_with_is_a_knob(endpoint):
    endpoint.control.set_knobs(shadow_refused_message="No: {reason}!")

    _, message = endpoint.refusal(endpoint.config, "wrong", ShadowProductionVariants=[endpoint.variant()])

    assert message == "No: the variants must have different names (got AllTraffic twice)!"


def test_a_shadow_that_never_passes_its_ping_undoes_the_update(churn, shadowed):
    churn.model("sick")
    churn.control.profile("sick", never_healthy=True)
    shadowed("green-shadow", ModelName="sick")

    churn.update("green-shadow")
    churn.advance(minutes=10)

    assert churn.status() == ("InService", "blue")
    assert "production variant Candidate did not pass the ping health check" in churn.look()["FailureReason"]


def test_the_instances_of_a_shadow_count_towards_the_limits(churn, shadowed):
    shadowed("green-shadow")
    churn.control.set_knobs(endpoint_instance_limit=9)
    code, message = churn.refusal(churn.update, "green-shadow")
    assert code == "ResourceLimitExceeded"
    assert "a request delta of 6 Instances" in message

    churn.control.set_knobs(endpoint_instance_limit=10)
    churn.update("green-shadow")
    churn.advance(minutes=10)

    assert churn.status() == ("InService", "green-shadow")


def test_a_canary_with_a_shadow_is_guarded_and_keeps_the_shadow_whole(churn, shadowed, canary):
    churn.alarm("errors")
    shadowed("green-shadow")

    churn.update("green-shadow", canary(percent=25, alarms=["errors"]))
    churn.advance(minutes=5)
    assert churn.green()["CurrentInstanceCount"] == 1
    assert shadow_of(churn.look()["PendingDeploymentSummary"])["CurrentInstanceCount"] == 2
    churn.turn("errors", "ALARM")
    churn.advance(minutes=5)

    assert churn.status() == ("InService", "blue")
    assert "ShadowProductionVariants" not in churn.look()


def test_a_rolling_update_takes_the_shadow_along(churn, shadowed, rolling):
    shadowed("green-shadow")

    churn.update("green-shadow", rolling())
    churn.advance(hours=2)

    assert churn.status() == ("InService", "green-shadow")
    assert shadow_of(churn.look())["CurrentInstanceCount"] == 2


def test_whether_an_endpoint_with_a_shadow_can_be_guarded_is_a_knob(churn, shadowed, canary):
    shadowed("green-shadow")
    churn.control.set_knobs(guarded_with_shadow="reject")
    assert churn.refusal(churn.update, "green-shadow", canary())[0] == "ValidationException"

    churn.control.set_knobs(guarded_with_shadow="all_at_once")
    churn.update("green-shadow", canary())

    assert "Baking" not in [name for name, _ in churn.stages()]
    assert churn.status() == ("InService", "green-shadow")


def test_weight_and_capacity_of_a_shadow_can_be_changed(endpoint, shadowed):
    shadowed("green-shadow")
    endpoint.create("green-shadow")
    wish = {"VariantName": SHADOW, "DesiredInstanceCount": 3, "DesiredWeight": 0.25}

    endpoint.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="churn", DesiredWeightsAndCapacities=[wish]
    )
    endpoint.advance(minutes=10)

    serving = shadow_of(endpoint.look())
    assert (serving["CurrentInstanceCount"], serving["CurrentWeight"]) == (3, 0.25)
    assert endpoint.blue()["CurrentInstanceCount"] == 4


def test_whether_a_shadow_can_be_scaled_is_a_knob(endpoint, shadowed):
    shadowed("green-shadow")
    endpoint.create("green-shadow")
    endpoint.control.set_knobs(shadow_weights="reject")

    code, message = endpoint.refusal(
        endpoint.sagemaker.update_endpoint_weights_and_capacities,
        EndpointName="churn",
        DesiredWeightsAndCapacities=[{"VariantName": SHADOW, "DesiredWeight": 0.25}],
    )

    assert code == "ValidationException"
    assert f"['{SHADOW}'] are not present" in message


def test_retained_properties_of_a_shadow_are_kept(endpoint, shadowed):
    for name in ("green-shadow", "next-shadow"):
        shadowed(name)
    endpoint.create("green-shadow")
    endpoint.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="churn",
        DesiredWeightsAndCapacities=[{"VariantName": SHADOW, "DesiredInstanceCount": 3}],
    )
    endpoint.advance(minutes=10)

    endpoint.update("next-shadow", RetainAllVariantProperties=True)
    endpoint.advance(minutes=10)

    assert shadow_of(endpoint.look())["CurrentInstanceCount"] == 3


def test_events_tell_of_production_variants_only(aws, churn, shadowed):
    events, sqs = aws("events"), aws("sqs")
    queue = sqs.create_queue(QueueName="rollouts")["QueueUrl"]
    address = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="endpoints", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    events.put_targets(Rule="endpoints", Targets=[{"Id": "queue", "Arn": address}])
    shadowed("green-shadow")

    churn.update("green-shadow")
    churn.advance(minutes=1)
    churn.advance(minutes=10)

    told = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    details = [json.loads(message["Body"])["detail"] for message in told]
    assert any("PendingDeploymentSummary" in detail for detail in details)
    assert SHADOW not in json.dumps(details)
