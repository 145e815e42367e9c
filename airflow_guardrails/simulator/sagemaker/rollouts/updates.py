"""What UpdateEndpoint checks and decides before it returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.simulator.engine.errors import ValidationException
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, Variant
from airflow_guardrails.simulator.sagemaker.rollouts.plans import Plan, alarm_names, plan_update
from airflow_guardrails.simulator.sagemaker.scaling import ScalableTargets


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedUpdate:
    """
    An UpdateEndpoint that was accepted.

    :param alarms: names of the alarms in its DeploymentConfig.
    """

    endpoint_name: str
    endpoint_config_name: str
    alarms: tuple[str, ...]
    accepted_at: datetime
    start_time: datetime


def accepted(endpoint: Endpoint, green: Fleet, config: Mapping[str, Any], *, now: datetime) -> AcceptedUpdate:
    """Return the record of an update that was just accepted."""
    return AcceptedUpdate(
        endpoint_name=endpoint.name,
        endpoint_config_name=green.config_name,
        alarms=tuple(alarm_names(config)),
        accepted_at=now,
        start_time=green.launched_at,
    )


def delay_start(green: Fleet, knobs: Knobs) -> float:
    """Delay the launch of *green* as the knobs say, and return the delay in seconds."""
    seconds = knobs.start_time_delay_seconds
    green.launched_at += timedelta(seconds=seconds)
    green.hidden = seconds > 0 and knobs.pending_before_start == "hidden"
    return seconds


def retained_variants(endpoint: Endpoint, request: Mapping[str, Any]) -> dict[str, Variant]:
    """Return name -> variant whose properties the update keeps."""
    if not request.get("RetainAllVariantProperties") or endpoint.blue is None:
        return {}
    # Developer guide: the present count is kept, whatever InitialInstanceCount says.
    return {variant.name: variant for variant in endpoint.blue.deployed}


def excluded_properties(request: Mapping[str, Any]) -> list[str]:
    """Return the variant properties that the update does not keep."""
    return [p["VariantPropertyType"] for p in request.get("ExcludeRetainedVariantProperties", ())]


def deployment_config(endpoint: Endpoint, request: Mapping[str, Any], knobs: Knobs) -> Mapping[str, Any]:
    """
    Return the DeploymentConfig of an update, given or retained; empty if there is none.

    What is not documented about RetainDeploymentConfig is decided by knobs.

    :raises ValidationException: if a knob says that SageMaker refuses it.
    """
    given: Mapping[str, Any] = request.get("DeploymentConfig") or {}
    if not request.get("RetainDeploymentConfig"):
        return given
    # Neither the combination nor the missing configuration is documented.
    if given and knobs.retain_with_config == "reject":
        raise ValidationException("DeploymentConfig must not be given when RetainDeploymentConfig is true.")
    if given and knobs.retain_with_config == "given":
        return given
    if not endpoint.last_deployment_config and knobs.retain_without_last == "reject":
        raise ValidationException(
            f'There is no deployment configuration to retain for endpoint "{endpoint.arn}".'
        )
    return endpoint.last_deployment_config or {}


def plan_for(config: Mapping[str, Any], blue: Fleet, green: Fleet, knobs: Knobs, *, own_account: str) -> Plan:
    """Return the plan of an update. Endpoints that guardrails do not support are updated all at once."""
    excluded = is_excluded([blue, green], own_account=own_account)
    guarded = not excluded and _may_be_guarded(config, blue, green, knobs)
    return plan_update(config, green, guarded=guarded, knobs=knobs)


def is_excluded(fleets: Iterable[Fleet], *, own_account: str) -> bool:
    """
    Whether guardrails do not support these fleets; they also send no events of deployments.

    Source: SageMaker developer guide, "Deployment guardrails exclusions".
    """
    return any(_runs_unguarded(variant, own_account) for fleet in fleets for variant in fleet.variants)


def check_async_kept(endpoint: Endpoint, blue: Fleet, new: Mapping[str, Any]) -> None:
    """Raise ValidationException if an update removes AsyncInferenceConfig."""
    # The error is known from an issue of AWS's Python SDK (sagemaker-python-sdk 3124).
    if "AsyncInferenceConfig" in blue.config and "AsyncInferenceConfig" not in new:
        raise ValidationException(
            f"The AsyncInferenceConfig parameter cannot be removed from this endpoint {endpoint.name}."
        )


def check_scaled(endpoint: Endpoint, blue: Fleet, green: Fleet, targets: ScalableTargets) -> None:
    """Raise ValidationException if a scalable target is removed or gets another instance type."""
    # The developer guide requires it; this text is not from a source.
    new = {variant.name: variant.instance_type for variant in green.deployed}
    changed = [old.name for old in blue.deployed if new.get(old.name) != old.instance_type]
    if scaled := targets.registered(endpoint.name, changed):
        raise ValidationException(
            f"The variant(s) {scaled} must be deregistered as scalable targets with Application Auto Scaling "
            "before they can be removed or have their instance type updated."
        )


def _may_be_guarded(config: Mapping[str, Any], blue: Fleet, green: Fleet, knobs: Knobs) -> bool:
    # Without a policy SageMaker updates all at once anyway, but alarms still count.
    if not {"BlueGreenUpdatePolicy", "RollingUpdatePolicy"} & config.keys():
        return True
    if (blue.shadow or green.shadow) and knobs.guarded_with_shadow == "reject":
        raise ValidationException(
            "Deployment guardrails are not supported for endpoints with a shadow variant."
        )
    if (blue.shadow or green.shadow) and knobs.guarded_with_shadow == "all_at_once":
        return False
    if set(blue.names) == set(green.names):
        return True
    # The guide demands equal names. It does not say what happens otherwise.
    if knobs.variant_names_differ == "all_at_once":
        return False
    raise ValidationException(
        "The new endpoint configuration must have the same variant names as the old one when a deployment "
        f"policy is given: {sorted(green.names)} instead of {sorted(blue.names)}."
    )


def _runs_unguarded(variant: Variant, own_account: str) -> bool:
    # Inf2 is not in the guide's list.
    if (variant.instance_type or "").startswith("ml.inf1."):
        return True
    return variant.model.from_marketplace(own_account=own_account)
