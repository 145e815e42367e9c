"""Where the requests to an endpoint go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.capture_rules import CaptureRule, capture_rules_of
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.experiments.experiment import Experiment
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, Variant
from airflow_guardrails.simulator.sagemaker.resources import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    A destination of requests.

    :param share: share of the endpoint's requests, 0 to 1; the shares of all routes sum to 1.
    :param instances: active instances, at least 1.
    """

    variant_name: str
    endpoint_config_name: str
    model: Model
    share: float
    instances: int
    mirror: Mirror | None = None
    captures: tuple[CaptureRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """
    The shadow that gets copies of a route's requests.

    :param sampling: share of the requests that are copied, 0 to 1.
    """

    variant_name: str
    model: Model
    sampling: float
    instances: int


def routes(endpoint: Endpoint, knobs: Knobs, experiment: Experiment | None = None) -> list[Route]:
    """
    Return the routes of an endpoint; empty while nothing serves.

    Green gets the share of its instances that are active, blue the rest. Within a fleet the weights decide. A
    shadow gets copies of the requests to its own fleet only.

    :param experiment: captures requests to the fleet that was launched for it.
    """
    if not endpoint.serving or endpoint.blue is None:
        return []
    found = [*_of_fleet(endpoint.blue, 1 - endpoint.green_share, knobs, experiment)]
    if endpoint.green:
        found += _of_fleet(endpoint.green, endpoint.green_share, knobs, experiment)
    # A fleet whose weights are all 0 gets no requests, so the sum may be below 1.
    total = sum(route.share for route in found)
    return [replace(route, share=route.share / total) for route in found if route.share > 0]


def _of_fleet(fleet: Fleet, share: float, knobs: Knobs, experiment: Experiment | None) -> Iterator[Route]:
    own_experiment = experiment if experiment and experiment.config_name == fleet.config_name else None
    captures = capture_rules_of(fleet.config, own_experiment)
    # The service model allows a weight of 0, so all of them may be 0.
    weights = sum(variant.weight for variant in fleet.variants) or 1.0
    for variant in fleet.variants:
        yield Route(
            variant_name=variant.name,
            endpoint_config_name=fleet.config_name,
            model=variant.model,
            share=share * variant.weight / weights,
            # InvocationsPerInstance divides by it.
            instances=max(variant.active, 1),
            mirror=_mirror(fleet.shadow, variant, knobs) if fleet.shadow else None,
            captures=captures,
        )


def _mirror(shadow: Variant, production: Variant, knobs: Knobs) -> Mirror | None:
    if not shadow.active:
        return None
    return Mirror(
        variant_name=shadow.name,
        model=shadow.model,
        sampling=_sampling(shadow, production, knobs),
        instances=shadow.active,
    )


def _sampling(shadow: Variant, production: Variant, knobs: Knobs) -> float:
    if shadow.sampling is not None:
        return shadow.sampling
    # How weights decide is not documented; AWS's sample uses 1 and 1 for all requests.
    if knobs.shadow_sampling == "all":
        return 1.0
    total = production.weight + (shadow.weight if knobs.shadow_sampling == "share" else 0.0)
    return min(1.0, shadow.weight / total) if total else 0.0
