"""
Checks of requests for inference experiments, and their translation into variants and outcomes.

The texts of the refusals are not documented, see ``ExperimentInvalid``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.simulator.engine.errors import ExperimentInvalid
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.experiments.experiment import Experiment, Outcome
from airflow_guardrails.simulator.sagemaker.fleets import Fleet

_Request = Mapping[str, Any]
ModelVariants = dict[str, Mapping[str, Any]]

# Actions for production and shadow. AWS does not document which pairs are allowed.
_ALLOWED_ACTIONS = frozenset({("Retain", "Remove"), ("Remove", "Promote"), ("Retain", "Retain")})
# Developer guide: in a running test only description, sampling percentage and end can change.
_FIXED_WHILE_RUNNING = ("ModelVariants", "DataStorageConfig")


def model_variants(request: _Request, knobs: Knobs) -> ModelVariants:
    """
    Return the model variants of a request by name.

    :raises ExperimentInvalid: if the parts of the request contradict each other.
    """
    source, shadow = _names(request)
    variants = {variant["VariantName"]: variant for variant in request["ModelVariants"]}
    if source == shadow:
        raise ExperimentInvalid(knobs, f"the shadow must be another variant than its source ({source})")
    if (
        len(variants) != len(request["ModelVariants"])
        or shadow not in variants
        or variants.keys() - {source, shadow}
    ):
        raise ExperimentInvalid(
            knobs,
            f"ModelVariants must be {shadow}, and {source} at most "
            f"(got {[variant['VariantName'] for variant in request['ModelVariants']]})",
        )
    (mode,) = request["ShadowModeConfig"]["ShadowModelVariants"]
    # The service model has only a maximum for it.
    if mode["SamplingPercentage"] < 1:
        raise ExperimentInvalid(
            knobs, f"SamplingPercentage must be from 1 to 100 (got {mode['SamplingPercentage']})"
        )
    for name, variant in variants.items():
        if _infrastructure(variant)["InstanceCount"] < 1:
            raise ExperimentInvalid(knobs, f"InstanceCount of {name} must be at least 1 (got 0)")
    return variants


def with_production(variants: ModelVariants, request: _Request, fleet: Fleet, knobs: Knobs) -> ModelVariants:
    """
    Return both variants: production as *fleet* has deployed it, and the shadow of the request.

    :raises ExperimentInvalid: if an endpoint with this fleet cannot have the experiment.
    """
    source, shadow = _names(request)
    # Developer guide: one production variant and one shadow at most.
    if fleet.names != [source] or fleet.shadow:
        raise ExperimentInvalid(
            knobs,
            f"the endpoint must have {source} as its only variant (got "
            f"{[variant.name for variant in fleet.deployed]})",
        )
    deployed = fleet.variants[0]
    given = variants.get(source, {}).get("ModelName", deployed.model.name)
    if given != deployed.model.name:
        raise ExperimentInvalid(
            knobs,
            f"{source} runs model {deployed.model.name}, ModelVariants must not say otherwise (got {given})",
        )
    production = _as_model_variant(
        source, deployed.model.name, instance_type=deployed.instance_type, instances=deployed.desired
    )
    return {source: production, shadow: variants[shadow]}


def shadow_variant_spec(
    variants: ModelVariants, request: _Request, production_weight: float
) -> dict[str, Any]:
    """Return the shadow as a variant of an endpoint configuration. Its weight follows SamplingPercentage."""
    _, shadow = _names(request)
    (mode,) = request["ShadowModeConfig"]["ShadowModelVariants"]
    return {
        **to_variant_spec(variants[shadow]),
        "InitialVariantWeight": production_weight * mode["SamplingPercentage"] / 100,
    }


def to_variant_spec(variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model variant as a variant of an endpoint configuration."""
    infrastructure = _infrastructure(variant)
    return {
        "VariantName": variant["VariantName"],
        "ModelName": variant["ModelName"],
        "InstanceType": infrastructure["InstanceType"],
        "InitialInstanceCount": infrastructure["InstanceCount"],
    }


def merge_update(experiment: Experiment, request: _Request, knobs: Knobs) -> dict[str, Any]:
    """
    Return the request of an experiment with an update merged in. Model variants are replaced by name.

    :raises ExperimentInvalid: if the update changes what cannot change while the experiment runs.
    """
    merged = {**experiment.request, **{key: value for key, value in request.items() if key != "Name"}}
    if experiment.status == "Running":
        _check_while_running(experiment, request, merged, knobs)
    if "ModelVariants" in request:
        by_name = {v["VariantName"]: v for v in experiment.request["ModelVariants"]}
        by_name |= {v["VariantName"]: v for v in request["ModelVariants"]}
        merged["ModelVariants"] = list(by_name.values())
    return merged


def stop_outcome(experiment: Experiment, request: _Request, knobs: Knobs) -> Outcome:
    """
    Return the outcome that StopInferenceExperiment requests.

    Without an action, production is kept unless the shadow is promoted, and the shadow is removed.

    :raises ExperimentInvalid: for actions that do not go together, and for unknown variants.
    """
    source, shadow = experiment.source_name, experiment.shadow_name
    actions = request["ModelVariantActions"]
    _check_names(actions, experiment, "ModelVariantActions", knobs)
    promoted = actions.get(shadow) == "Promote"
    pair = (actions.get(source, "Remove" if promoted else "Retain"), actions.get(shadow, "Remove"))
    desired = {variant["VariantName"]: variant for variant in request.get("DesiredModelVariants", ())}
    _check_names(desired, experiment, "DesiredModelVariants", knobs)
    if pair not in _ALLOWED_ACTIONS or (
        pair == ("Retain", "Retain") and knobs.experiment_keeps_shadow == "reject"
    ):
        raise ExperimentInvalid(knobs, f"{source} cannot be {pair[0]} where {shadow} is {pair[1]}")
    # AWS does not document whether a promotion needs DesiredModelVariants.
    if promoted and shadow not in desired and knobs.promote_without_desired == "reject":
        raise ExperimentInvalid(knobs, f"DesiredModelVariants must hold {shadow}, which is promoted")
    return Outcome(
        # No default is documented. An experiment that a client concludes early is called Cancelled.
        status=request.get("DesiredState", "Cancelled"),
        production=pair[0],
        shadow=pair[1],
        desired=desired,
        reason=request.get("Reason"),
    )


def _check_while_running(experiment: Experiment, request: _Request, merged: _Request, knobs: Knobs) -> None:
    fixed = [
        key
        for key in _FIXED_WHILE_RUNNING
        if request.get(key, merged.get(key)) != experiment.request.get(key)
    ]
    if fixed or _names(merged) != _names(experiment.request):
        raise ExperimentInvalid(
            knobs,
            "only Description, SamplingPercentage and EndTime can change while the experiment is running "
            f"(got {', '.join(fixed) or 'other variant names'})",
        )


def _check_names(given: Mapping[str, Any], experiment: Experiment, field: str, knobs: Knobs) -> None:
    if unknown := sorted(set(given) - set(experiment.model_variants)):
        raise ExperimentInvalid(
            knobs, f"{field} must name variants of {sorted(experiment.model_variants)} (got {unknown})"
        )


def _names(request: _Request) -> tuple[str, str]:
    mode = request["ShadowModeConfig"]
    (shadow,) = mode["ShadowModelVariants"]
    return mode["SourceModelVariantName"], shadow["ShadowModelVariantName"]


def _infrastructure(variant: Mapping[str, Any]) -> Mapping[str, Any]:
    config: Mapping[str, Any] = variant["InfrastructureConfig"]["RealTimeInferenceConfig"]
    return config


def _as_model_variant(
    name: str, model_name: str, *, instance_type: str | None, instances: int
) -> dict[str, Any]:
    return {
        "ModelName": model_name,
        "VariantName": name,
        "InfrastructureConfig": {
            "InfrastructureType": "RealTimeInference",
            "RealTimeInferenceConfig": {"InstanceType": instance_type or "", "InstanceCount": instances},
        },
    }
