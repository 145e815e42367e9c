"""The endpoint configurations and fleets that an inference experiment makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.catalogue import Catalogue
from airflow_guardrails.simulator.sagemaker.experiments.experiment import Experiment, Outcome
from airflow_guardrails.simulator.sagemaker.experiments.requests import (
    ModelVariants,
    shadow_variant_spec,
    to_variant_spec,
)
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, new_fleet
from airflow_guardrails.simulator.sagemaker.resources import Model


def new_config_name(experiment: Experiment, knobs: Knobs) -> str:
    """Return the name for a configuration made for *experiment*. How SageMaker names it is not known."""
    template = knobs.experiment_config_name or "{experiment}"
    return template.replace("{endpoint}", experiment.endpoint_name).replace("{experiment}", experiment.name)


def fleet_with_shadow(
    experiment: Experiment,
    variants: ModelVariants,
    blue: Fleet,
    model_of: Callable[[str], Model],
    *,
    name: str,
    now: datetime,
) -> Fleet:
    """
    Return a fleet that is *blue* plus the shadow of the experiment.

    :param name: name of its endpoint configuration.
    """
    spec = shadow_variant_spec(variants, experiment.request, blue.variants[0].weight)
    config = {**blue.config, "EndpointConfigName": name, "ShadowProductionVariants": [spec]}
    if "KmsKey" in experiment.request:
        config["KmsKeyId"] = experiment.request["KmsKey"]
    models = {**_models(blue), spec["ModelName"]: model_of(spec["ModelName"])}
    # Production keeps the count and the weight that autoscaling or a client has set since.
    green = new_fleet(config, models, now=now, retained=_production(blue))
    apply_sampling(green, experiment)
    return green


def apply_sampling(fleet: Fleet, experiment: Experiment) -> None:
    """Set the share of requests that the shadow of *fleet* gets."""
    if fleet.shadow:
        fleet.shadow.sampling = experiment.sampling
        # DescribeEndpoint shows weights, so the weight follows the sampling.
        fleet.shadow.weight = fleet.shadow.desired_weight = fleet.variants[0].weight * experiment.sampling


def fleet_after(
    experiment: Experiment,
    outcome: Outcome,
    blue: Fleet,
    catalogue: Catalogue,
    *,
    knobs: Knobs,
    now: datetime,
) -> Fleet:
    """
    Return the fleet that serves after *outcome*.

    Its configuration is the original one, or a new one if anything differs.

    :param blue: the fleet that serves now, with the shadow.
    """
    assert experiment.original
    # ModelVariants has only a part of the variant's fields; the original configuration has all.
    production = [*experiment.original["ProductionVariants"]]
    retained, models = _production(blue), _models(blue)
    kept = experiment.source_name
    if outcome.shadow == "Promote":
        assert blue.shadow
        kept = experiment.shadow_name
        production, retained = [to_variant_spec(experiment.model_variants[kept])], {kept: blue.shadow}
    # DesiredModelVariants sets the instances, so nothing is kept from the running variant.
    if kept in outcome.desired:
        production, retained = [to_variant_spec(outcome.desired[kept])], {}
    config = {**experiment.original, "ProductionVariants": production}
    if outcome.shadow == "Retain":
        (spec,) = blue.config["ShadowProductionVariants"]
        desired = outcome.desired.get(experiment.shadow_name)
        config["ShadowProductionVariants"] = [{**spec, **(to_variant_spec(desired) if desired else {})}]
    models |= {v["ModelName"]: catalogue.model(v["ModelName"]) for v in outcome.desired.values()}
    # Developer guide: "the endpoint reverts to the state it was in prior to starting the test".
    if config != experiment.original or knobs.experiment_end_config == "new":
        config["EndpointConfigName"] = catalogue.unused_config_name(new_config_name(experiment, knobs))
        catalogue.add_config(config)
    # The weight of a shadow stands for its sampling, so a promoted shadow must not keep it.
    excluded = ["DesiredWeight"] if outcome.shadow == "Promote" else []
    return new_fleet(config, models, now=now, retained=retained, excluded=excluded)


def with_scripted_end(stopping: Outcome, written: Outcome) -> Outcome:
    """Return *stopping* with the status and the reason of a scripted end."""
    return replace(stopping, status=written.status, reason=written.reason)


def _production(fleet: Fleet) -> Mapping[str, Any]:
    return {variant.name: variant for variant in fleet.variants}


def _models(fleet: Fleet) -> dict[str, Model]:
    return {variant.model.name: variant.model for variant in fleet.deployed}
