"""The responses of DescribeEndpoint and ListEndpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.simulator.sagemaker.endpoints import Description, Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, Stage, Variant

_COPIED_FIELDS = ("AsyncInferenceConfig", "ExplainerConfig", "MetricsConfig")
_COPIED_VARIANT_FIELDS = ("ManagedInstanceScaling", "RoutingConfig")


def describe(endpoint: Endpoint) -> Description:
    """
    Return the response of DescribeEndpoint.

    PendingDeploymentSummary is present only during an update to a new configuration.
    """
    return without_none(
        **summarize(endpoint),
        # The old name until the update ends, as in AWS's example of an event.
        EndpointConfigName=endpoint.config_name,
        FailureReason=endpoint.failure_reason,
        LastDeploymentConfig=endpoint.last_deployment_config,
        PendingDeploymentSummary=_pending(endpoint),
        **(_serving(endpoint.blue) if endpoint.blue else {}),
    )


def summarize(endpoint: Endpoint) -> dict[str, Any]:
    """Return the row of ListEndpoints, which has no configuration name."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "CreationTime": endpoint.created_at,
        "LastModifiedTime": endpoint.modified_at,
        "EndpointStatus": endpoint.shown_status,
    }


SUMMARY_FIELDS = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")


def without_none(**fields: Any) -> dict[str, Any]:
    """Return *fields* without those that are None: AWS leaves out absent fields."""
    return {name: value for name, value in fields.items() if value is not None}


def _serving(fleet: Fleet) -> dict[str, Any]:
    return {
        "ProductionVariants": [_variant(variant, fleet) for variant in fleet.variants],
        "ShadowProductionVariants": [_variant(fleet.shadow, fleet)] if fleet.shadow else None,
        "DataCaptureConfig": _data_capture(fleet.config.get("DataCaptureConfig")),
        **{key: fleet.config.get(key) for key in _COPIED_FIELDS},
    }


def _pending(endpoint: Endpoint) -> dict[str, Any] | None:
    green = endpoint.green
    # After a failed rollback green stays, but is no longer pending.
    if green is None or green.hidden or not endpoint.in_flight:
        return None
    return without_none(
        EndpointConfigName=green.config_name,
        StartTime=green.launched_at,
        ProductionVariants=[_pending_variant(variant, green) for variant in green.variants],
        ShadowProductionVariants=[_pending_variant(green.shadow, green)] if green.shadow else None,
    )


def _pending_variant(variant: Variant, green: Fleet) -> dict[str, Any]:
    # The service model has InstanceType only for pending variants.
    return {**_variant(variant, green), **without_none(InstanceType=variant.instance_type)}


def _variant(variant: Variant, fleet: Fleet) -> dict[str, Any]:
    return without_none(
        VariantName=variant.name,
        DeployedImages=_images(variant, fleet),
        # AWS's example shows weight 1 in both fleets: the share of a canary is not in the weights.
        CurrentWeight=variant.weight,
        DesiredWeight=variant.desired_weight,
        **_capacity(variant),
        VariantStatus=[_stage(variant.stage)] if variant.stage else None,
        **{key: variant.spec.get(key) for key in _COPIED_VARIANT_FIELDS},
    )


def _capacity(variant: Variant) -> dict[str, Any]:
    if serverless := variant.spec.get("ServerlessConfig"):
        return {"CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
    # In AWS's example of a canary, the pending CurrentInstanceCount is 1 of 3: instances with traffic.
    return {"CurrentInstanceCount": variant.active, "DesiredInstanceCount": variant.desired}


def _images(variant: Variant, fleet: Fleet) -> list[dict[str, Any]] | None:
    image = variant.model.image
    if image is None:
        return None
    # SageMaker resolves a tag to a digest. There is no registry to ask here.
    return [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": fleet.launched_at}]


def _stage(stage: Stage) -> dict[str, Any]:
    return {"Status": stage.status, "StatusMessage": stage.message, "StartTime": stage.since}


def _data_capture(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    enabled = config.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        # The service model requires this field, also without a key.
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
