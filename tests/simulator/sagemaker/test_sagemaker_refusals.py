"""What SageMaker refuses, with its error texts."""

from __future__ import annotations

import pytest


def test_a_missing_endpoint_is_not_found_by_any_call(endpoint, arn):
    missing = ("ValidationException", f'Could not find endpoint "{arn("endpoint", "churn")}".')

    assert endpoint.refusal(endpoint.look) == missing
    assert endpoint.refusal(endpoint.update) == missing
    assert endpoint.refusal(endpoint.delete) == missing
    wishes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    scale = endpoint.sagemaker.update_endpoint_weights_and_capacities
    assert endpoint.refusal(scale, EndpointName="churn", DesiredWeightsAndCapacities=wishes) == missing


def test_a_missing_new_configuration_is_named(churn, arn):
    missing = f'Could not find endpoint configuration "{arn("endpoint-config", "nowhere")}".'

    assert churn.refusal(churn.update, "nowhere") == ("ValidationException", missing)
    create = churn.sagemaker.create_endpoint
    refused = churn.refusal(create, EndpointName="other", EndpointConfigName="nowhere")
    assert refused == ("ValidationException", missing)
    assert churn.status() == ("InService", "blue")


def test_an_update_needs_the_old_configuration_too(churn, arn):
    churn.sagemaker.delete_endpoint_config(EndpointConfigName="blue")

    assert churn.refusal(churn.update) == (
        "ValidationException",
        f'Could not find endpoint configuration "{arn("endpoint-config", "blue")}".',
    )


def test_a_configuration_in_use_can_be_deleted(churn):
    churn.sagemaker.delete_endpoint_config(EndpointConfigName="blue")

    assert churn.status() == ("InService", "blue")


def test_an_endpoint_in_progress_takes_no_update_and_no_deletion(churn, arn):
    in_progress = ("ValidationException", f'Cannot update in-progress endpoint "{arn("endpoint", "churn")}".')
    churn.update()

    assert churn.refusal(churn.update) == in_progress
    assert churn.refusal(churn.delete) == in_progress
    wishes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    scale = churn.sagemaker.update_endpoint_weights_and_capacities
    assert churn.refusal(scale, EndpointName="churn", DesiredWeightsAndCapacities=wishes) == in_progress


def test_an_endpoint_is_in_progress_while_it_is_created_and_while_it_goes(endpoint):
    endpoint.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    assert endpoint.refusal(endpoint.update)[1].startswith("Cannot update in-progress endpoint ")
    endpoint.advance(minutes=10)

    endpoint.delete()

    assert endpoint.look()["EndpointStatus"] == "Deleting"
    assert endpoint.refusal(endpoint.update)[1].startswith("Cannot update in-progress endpoint ")
    endpoint.advance(minutes=1)
    assert endpoint.refusal(endpoint.look)[1].startswith("Could not find endpoint ")


def test_a_name_that_is_taken_cannot_be_created_again(churn, arn):
    taken = "Cannot create already existing"

    assert churn.refusal(churn.create) == (
        "ValidationException",
        f'{taken} endpoint "{arn("endpoint", "churn")}".',
    )
    assert churn.refusal(churn.config, "blue") == (
        "ValidationException",
        f'{taken} endpoint configuration "{arn("endpoint-config", "blue")}".',
    )
    assert churn.refusal(churn.model) == (
        "ValidationException",
        f'{taken} model "{arn("model", "churn-model")}".',
    )


def test_endpoint_names_are_unique_whatever_their_case(churn, arn):
    create = churn.sagemaker.create_endpoint

    assert churn.refusal(create, EndpointName="Churn", EndpointConfigName="blue") == (
        "ValidationException",
        f'Cannot create already existing endpoint "{arn("endpoint", "churn")}".',
    )


def test_a_configuration_needs_its_models(endpoint, arn):
    missing = f'Could not find model "{arn("model", "gone")}".'

    refused = endpoint.refusal(endpoint.config, "new", endpoint.variant(ModelName="gone"))
    assert refused == ("ValidationException", missing)
    assert endpoint.refusal(endpoint.sagemaker.describe_model, ModelName="gone") == (
        "ValidationException",
        missing,
    )


def test_a_failed_endpoint_can_only_be_deleted(endpoint):
    endpoint.control.profile("churn-model", never_healthy=True)
    endpoint.create()
    assert endpoint.look()["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in endpoint.look()["FailureReason"]

    code, _ = endpoint.refusal(endpoint.update)
    assert code == "ValidationException"
    assert endpoint.look()["EndpointStatus"] == "Failed"

    endpoint.delete()
    endpoint.advance(minutes=1)
    assert endpoint.refusal(endpoint.look)[1].startswith("Could not find endpoint ")


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "cn-north-1"])
def test_every_region_has_a_world_and_a_partition_of_its_own(aws, churn, region):
    elsewhere = aws("sagemaker", region=region)
    partition = {"us-gov-west-1": "aws-us-gov", "cn-north-1": "aws-cn"}.get(region, "aws")

    code, message = churn.refusal(elsewhere.describe_endpoint, EndpointName="churn")

    assert code == "ValidationException"
    assert f"arn:{partition}:sagemaker:{region}:123456789012:endpoint/churn" in message


def test_the_async_configuration_cannot_be_dropped(endpoint):
    output = {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}
    endpoint.config("async", AsyncInferenceConfig=output)
    endpoint.create("async")

    code, message = endpoint.refusal(endpoint.update)

    assert code == "ValidationException"
    assert message.startswith(
        "The AsyncInferenceConfig parameter cannot be removed from this endpoint churn."
    )


def test_a_second_fleet_beyond_the_limit_is_refused_when_asked_for(churn):
    churn.control.set_knobs(instance_limit=7)

    code, message = churn.refusal(churn.update)

    assert code == "ResourceLimitExceeded"
    assert message.startswith(
        "The account-level service limit 'ml.m5.large for endpoint usage' is 7 Instances, "
        "with current utilization of 4 Instances and a request delta of 4 Instances."
    )
    assert churn.status() == ("InService", "blue")


@pytest.mark.parametrize("limit", ["instance_limit", "endpoint_instance_limit"])
def test_what_fits_a_limit_exactly_is_accepted_and_one_more_is_not(endpoint, limit):
    """Both fleets count."""
    endpoint.control.set_knobs(**{limit: 3})
    refused = endpoint.refusal(endpoint.create)
    assert refused[0] == "ResourceLimitExceeded"
    assert "is 3 Instances, with current utilization of 0 Instances and a request delta of 4" in refused[1]
    endpoint.control.set_knobs(**{limit: 4})
    endpoint.create()

    endpoint.control.set_knobs(**{limit: 7})
    assert (
        endpoint.refusal(endpoint.update)[0] == endpoint.refusal(endpoint.scale, instances=8)[0] == refused[0]
    )
    endpoint.control.set_knobs(**{limit: 8})
    endpoint.update()
    endpoint.advance(minutes=10)
    endpoint.scale(instances=8)
    endpoint.advance(minutes=10)

    assert endpoint.blue()["CurrentInstanceCount"] == 8


def test_the_limit_of_an_endpoint_is_its_own(endpoint):
    endpoint.create()
    endpoint.control.set_knobs(endpoint_instance_limit=4)

    endpoint.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="blue")

    assert "'Maximum number of instances per endpoint' is 4 Instances" in endpoint.refusal(endpoint.update)[1]


def test_a_rolling_update_needs_one_batch_more_than_runs(churn, rolling):
    churn.control.set_knobs(instance_limit=4)
    assert churn.refusal(churn.update, "green", rolling(percent=25))[0] == "ResourceLimitExceeded"

    churn.control.set_knobs(instance_limit=5)
    churn.update("green", rolling(percent=25))
    churn.advance(minutes=4)

    create = churn.sagemaker.create_endpoint
    one = [churn.variant(instances=1)]
    churn.sagemaker.create_endpoint_config(EndpointConfigName="one", ProductionVariants=one)
    message = churn.refusal(create, EndpointName="other", EndpointConfigName="one")[1]
    assert "with current utilization of 5 Instances" in message
    churn.advance(minutes=60)
    create(EndpointName="other", EndpointConfigName="one")


def test_a_variant_that_scales_keeps_its_instance_type_and_its_name(aws, endpoint):
    endpoint.config("bigger", endpoint.variant(InstanceType="ml.m5.xlarge"))
    endpoint.config("renamed", endpoint.variant("Other"))
    endpoint.create()
    scaling = aws("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/churn/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=8)

    for config in ("bigger", "renamed"):
        code, message = endpoint.refusal(endpoint.update, config)
        assert code == "ValidationException"
        assert "AllTraffic" in message
    endpoint.update("green")
    endpoint.advance(minutes=10)
    scaling.deregister_scalable_target(**target)
    endpoint.update("bigger")
    endpoint.advance(minutes=10)

    assert endpoint.status() == ("InService", "bigger")


def test_the_error_of_a_failed_endpoint_is_a_knob(endpoint, arn):
    """The text is not documented."""
    endpoint.control.profile("churn-model", never_healthy=True)
    endpoint.create()
    assert (
        endpoint.refusal(endpoint.update)[1] == f'Cannot update failed endpoint "{arn("endpoint", "churn")}".'
    )

    endpoint.control.set_knobs(failed_endpoint_message="No.")

    assert endpoint.refusal(endpoint.update) == ("ValidationException", "No.")
