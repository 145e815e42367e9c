"""What UpdateEndpoint decides before it returns: which plan, for which fleet, or which refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_guardrails.simulator.endpoints import Endpoint
from airflow_guardrails.simulator.errors import ResourceLimitExceeded, ValidationException
from airflow_guardrails.simulator.fleets import Fleet, Variant
from airflow_guardrails.simulator.knobs import Knobs
from airflow_guardrails.simulator.plans import Plan, alarm_names, plan_update

AlarmState = Callable[[str], str | None]


def retained_variants(endpoint: Endpoint, request: Mapping[str, Any]) -> dict[str, Variant]:
    if not request.get("RetainAllVariantProperties") or endpoint.blue is None:
        return {}
    return {variant.name: variant for variant in endpoint.blue.variants}


def excluded_properties(request: Mapping[str, Any]) -> list[str]:
    return [p["VariantPropertyType"] for p in request.get("ExcludeRetainedVariantProperties", ())]


def deployment_config(endpoint: Endpoint, request: Mapping[str, Any], knobs: Knobs) -> Mapping[str, Any]:
    given: Mapping[str, Any] = request.get("DeploymentConfig") or {}
    if not request.get("RetainDeploymentConfig"):
        return given
    if given and knobs.retain_with_config == "reject":
        raise ValidationException("DeploymentConfig must not be given when RetainDeploymentConfig is true.")
    if given and knobs.retain_with_config == "given":
        return given
    if not endpoint.last_deployment_config and knobs.retain_without_last == "reject":
        raise ValidationException(
            f'There is no deployment configuration to retain for endpoint "{endpoint.arn}".'
        )
    return endpoint.last_deployment_config or {}


def plan_for(config: Mapping[str, Any], blue: Fleet, green: Fleet, knobs: Knobs, state: AlarmState) -> Plan:
    _check_alarms(config, knobs, state)
    return plan_update(config, green, guarded=_guarded(config, blue, green, knobs), knobs=knobs)


def watched_alarms(plan: Plan, knobs: Knobs, state: AlarmState) -> list[str]:
    """The alarms that can stop the update, as they stand when it starts."""
    if knobs.alarm_already_in_alarm == "rolls_back":
        return list(plan.alarms)
    return [name for name in plan.alarms if state(name) != "ALARM"]


def check_async_kept(endpoint: Endpoint, blue: Fleet, new: Mapping[str, Any]) -> None:
    if "AsyncInferenceConfig" in blue.config and "AsyncInferenceConfig" not in new:
        raise ValidationException(
            f"The AsyncInferenceConfig parameter cannot be removed from this endpoint {endpoint.name}."
        )


def check_instance_limit(fleet: Fleet, *, used: int, knobs: Knobs) -> None:
    limit, wanted = knobs.instance_limit, fleet.total
    if limit is not None and used + wanted > limit:
        resource = f"{fleet.variants[0].instance_type} for endpoint usage"
        raise ResourceLimitExceeded(resource=resource, limit=limit, used=used, wanted=wanted)


def _check_alarms(config: Mapping[str, Any], knobs: Knobs, state: AlarmState) -> None:
    missing = [name for name in alarm_names(config) if state(name) is None]
    if missing and knobs.missing_alarm == "reject":
        raise ValidationException(f"Could not find alarms {missing}.")


def _guarded(config: Mapping[str, Any], blue: Fleet, green: Fleet, knobs: Knobs) -> bool:
    if any((variant.instance_type or "").startswith("ml.inf1.") for variant in green.variants):
        return False
    has_policy = "BlueGreenUpdatePolicy" in config or "RollingUpdatePolicy" in config
    if not has_policy or set(blue.names) == set(green.names):
        return True
    if knobs.variant_names_differ == "all_at_once":
        return False
    raise ValidationException(
        "The new endpoint configuration must have the same variant names as the old one when a deployment "
        f"policy is given: {sorted(green.names)} instead of {sorted(blue.names)}."
    )
