"""What SageMaker refuses, in its own words. Line numbers are those of the fact sheet's checklist."""

from __future__ import annotations

import pytest


def test_a_missing_endpoint_is_not_found_by_any_call(bench, arn):
    """Line 1."""
    missing = ("ValidationException", f'Could not find endpoint "{arn("endpoint", "churn")}".')

    assert bench.refusal(bench.look) == missing
    assert bench.refusal(bench.update) == missing
    assert bench.refusal(bench.delete) == missing
    wishes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    scale = bench.sagemaker.update_endpoint_weights_and_capacities
    assert bench.refusal(scale, EndpointName="churn", DesiredWeightsAndCapacities=wishes) == missing


def test_a_missing_new_configuration_is_named(churn, arn):
    """Line 2."""
    missing = f'Could not find endpoint configuration "{arn("endpoint-config", "nowhere")}".'

    assert churn.refusal(churn.update, "nowhere") == ("ValidationException", missing)
    create = churn.sagemaker.create_endpoint
    refused = churn.refusal(create, EndpointName="other", EndpointConfigName="nowhere")
    assert refused == ("ValidationException", missing)
    assert churn.status() == ("InService", "blue")


def test_an_update_needs_the_old_configuration_too(churn, arn):
    """Line 3."""
    churn.sagemaker.delete_endpoint_config(EndpointConfigName="blue")

    assert churn.refusal(churn.update) == (
        "ValidationException",
        f'Could not find endpoint configuration "{arn("endpoint-config", "blue")}".',
    )


def test_a_configuration_in_use_can_be_deleted(churn):
    """Line 4."""
    churn.sagemaker.delete_endpoint_config(EndpointConfigName="blue")

    assert churn.status() == ("InService", "blue")


def test_an_endpoint_in_progress_takes_no_update_and_no_deletion(churn, arn):
    """Line 5."""
    in_progress = ("ValidationException", f'Cannot update in-progress endpoint "{arn("endpoint", "churn")}".')
    churn.update()

    assert churn.refusal(churn.update) == in_progress
    assert churn.refusal(churn.delete) == in_progress
    wishes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    scale = churn.sagemaker.update_endpoint_weights_and_capacities
    assert churn.refusal(scale, EndpointName="churn", DesiredWeightsAndCapacities=wishes) == in_progress


def test_an_endpoint_is_in_progress_while_it_is_created_and_while_it_goes(bench):
    """Line 5."""
    bench.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")
    assert bench.refusal(bench.update)[1].startswith("Cannot update in-progress endpoint ")
    bench.advance(minutes=10)

    bench.delete()

    assert bench.look()["EndpointStatus"] == "Deleting"
    assert bench.refusal(bench.update)[1].startswith("Cannot update in-progress endpoint ")
    bench.advance(minutes=1)
    assert bench.refusal(bench.look)[1].startswith("Could not find endpoint ")


def test_a_name_that_is_taken_cannot_be_created_again(churn, arn):
    """Line 6."""
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
    """Line 7."""
    create = churn.sagemaker.create_endpoint

    assert churn.refusal(create, EndpointName="Churn", EndpointConfigName="blue") == (
        "ValidationException",
        f'Cannot create already existing endpoint "{arn("endpoint", "churn")}".',
    )


def test_a_configuration_needs_its_models(bench, arn):
    missing = f'Could not find model "{arn("model", "gone")}".'

    refused = bench.refusal(bench.config, "new", bench.variant(ModelName="gone"))
    assert refused == ("ValidationException", missing)
    assert bench.refusal(bench.sagemaker.describe_model, ModelName="gone") == ("ValidationException", missing)


def test_a_failed_endpoint_can_only_be_deleted(bench):
    """Line 28."""
    bench.control.profile("churn-model", never_healthy=True)
    bench.create()
    assert bench.look()["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in bench.look()["FailureReason"]

    code, _ = bench.refusal(bench.update)
    assert code == "ValidationException"
    assert bench.look()["EndpointStatus"] == "Failed"

    bench.delete()
    bench.advance(minutes=1)
    assert bench.refusal(bench.look)[1].startswith("Could not find endpoint ")


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "cn-north-1"])
def test_every_region_has_a_world_and_a_partition_of_its_own(aws, churn, region):
    elsewhere = aws("sagemaker", region=region)
    partition = {"us-gov-west-1": "aws-us-gov", "cn-north-1": "aws-cn"}.get(region, "aws")

    code, message = churn.refusal(elsewhere.describe_endpoint, EndpointName="churn")

    assert code == "ValidationException"
    assert f"arn:{partition}:sagemaker:{region}:123456789012:endpoint/churn" in message


def test_the_async_configuration_cannot_be_dropped(bench):
    """Line 39."""
    output = {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}
    bench.config("async", AsyncInferenceConfig=output)
    bench.create("async")

    code, message = bench.refusal(bench.update)

    assert code == "ValidationException"
    assert message.startswith(
        "The AsyncInferenceConfig parameter cannot be removed from this endpoint churn."
    )


def test_a_second_fleet_beyond_the_limit_is_refused_when_asked_for(churn):
    """Line 26, the part that is known at once."""
    churn.control.set_knobs(instance_limit=7)

    code, message = churn.refusal(churn.update)

    assert code == "ResourceLimitExceeded"
    assert message.startswith(
        "The account-level service limit 'ml.m5.large for endpoint usage' is 7 Instances, "
        "with current utilization of 4 Instances and a request delta of 4 Instances."
    )
    assert churn.status() == ("InService", "blue")


@pytest.mark.parametrize("limit", ["instance_limit", "endpoint_instance_limit"])
def test_what_fits_a_limit_exactly_is_accepted_and_one_more_is_not(bench, limit):
    """Line 26: both fleets count."""
    bench.control.set_knobs(**{limit: 3})
    refused = bench.refusal(bench.create)
    assert refused[0] == "ResourceLimitExceeded"
    assert "is 3 Instances, with current utilization of 0 Instances and a request delta of 4" in refused[1]
    bench.control.set_knobs(**{limit: 4})
    bench.create()

    bench.control.set_knobs(**{limit: 7})
    assert bench.refusal(bench.update)[0] == bench.refusal(bench.scale, instances=8)[0] == refused[0]
    bench.control.set_knobs(**{limit: 8})
    bench.update()
    bench.advance(minutes=10)
    bench.scale(instances=8)
    bench.advance(minutes=10)

    assert bench.blue()["CurrentInstanceCount"] == 8


def test_the_limit_of_an_endpoint_is_its_own(bench):
    bench.create()
    bench.control.set_knobs(endpoint_instance_limit=4)

    bench.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="blue")

    assert "'Maximum number of instances per endpoint' is 4 Instances" in bench.refusal(bench.update)[1]


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


def test_a_variant_that_scales_keeps_its_instance_type_and_its_name(aws, bench):
    """Line 40."""
    bench.config("bigger", bench.variant(InstanceType="ml.m5.xlarge"))
    bench.config("renamed", bench.variant("Other"))
    bench.create()
    scaling = aws("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/churn/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=8)

    for config in ("bigger", "renamed"):
        code, message = bench.refusal(bench.update, config)
        assert code == "ValidationException"
        assert "AllTraffic" in message
    bench.update("green")
    bench.advance(minutes=10)
    scaling.deregister_scalable_target(**target)
    bench.update("bigger")
    bench.advance(minutes=10)

    assert bench.status() == ("InService", "bigger")


def test_what_a_failed_endpoint_is_told_is_a_knob(bench, arn):
    """Line 28: the text is not documented."""
    bench.control.profile("churn-model", never_healthy=True)
    bench.create()
    assert bench.refusal(bench.update)[1] == f'Cannot update failed endpoint "{arn("endpoint", "churn")}".'

    bench.control.set_knobs(failed_endpoint_message="No.")

    assert bench.refusal(bench.update) == ("ValidationException", "No.")
