"""Where an endpoint's requests go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_guardrails.simulator.endpoints import Endpoint
from airflow_guardrails.simulator.fleets import Fleet
from airflow_guardrails.simulator.resources import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a part of an endpoint's requests goes; the shares of all its routes sum to 1."""

    variant_name: str
    endpoint_config_name: str
    model: Model
    share: float
    instances: int


def routes(endpoint: Endpoint) -> list[Route]:
    """
    Green's share is its active instances of all it is to have, blue has the rest; weights divide each.

    Empty while nothing serves.
    """
    if not endpoint.serving or endpoint.blue is None:
        return []
    found = [*_of_fleet(endpoint.blue, 1 - endpoint.green_share)]
    if endpoint.green:
        found += _of_fleet(endpoint.green, endpoint.green_share)
    whole = sum(route.share for route in found)
    return [replace(route, share=route.share / whole) for route in found if route.share > 0]


def _of_fleet(fleet: Fleet, share: float) -> Iterator[Route]:
    weights = sum(variant.weight for variant in fleet.variants) or 1.0
    for variant in fleet.variants:
        yield Route(
            variant_name=variant.name,
            endpoint_config_name=fleet.config_name,
            model=variant.model,
            share=share * variant.weight / weights,
            instances=max(variant.active, 1),
        )
