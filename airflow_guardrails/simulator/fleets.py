"""The instances that serve one endpoint configuration, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.resources import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A VariantStatus: what SageMaker is doing with a variant, in its words, and since when."""

    status: str
    message: str
    since: datetime


@dataclass(slots=True, kw_only=True)
class Variant:
    """
    One production variant of a fleet.

    *active* instances take traffic, *desired* ones do when the update is over; the former are SageMaker's
    CurrentInstanceCount.
    """

    name: str
    model: Model
    spec: Mapping[str, Any]
    weight: float
    desired: int
    active: int = 0
    desired_weight: float = 0.0
    stage: Stage | None = None

    def __post_init__(self) -> None:
        self.desired_weight = self.desired_weight or self.weight

    @property
    def instance_type(self) -> str | None:
        return self.spec.get("InstanceType")


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Blue or green: every variant of one endpoint configuration as it is deployed."""

    config_name: str
    config: Mapping[str, Any]
    variants: list[Variant]
    launched_at: datetime

    @property
    def names(self) -> list[str]:
        return [variant.name for variant in self.variants]

    @property
    def total(self) -> int:
        return sum(variant.desired for variant in self.variants)

    @property
    def active(self) -> int:
        return sum(variant.active for variant in self.variants)

    @property
    def active_share(self) -> float:
        """The part of the fleet that takes traffic, 0 to 1."""
        return self.active / max(self.total, 1)

    def activate(self, counts: Sequence[int]) -> None:
        for variant, count in zip(self.variants, counts, strict=True):
            variant.active = count

    def activate_all(self) -> None:
        self.activate([variant.desired for variant in self.variants])

    def activate_share(self, share: float) -> None:
        self.activate([round(variant.desired * share) for variant in self.variants])

    def enter(self, status: str, messages: Sequence[str], *, now: datetime) -> None:
        for variant, message in zip(self.variants, messages, strict=True):
            variant.stage = Stage(status=status, message=message, since=now)

    def settle(self) -> None:
        for variant in self.variants:
            variant.stage = None


def launch(
    config: Mapping[str, Any],
    models: Mapping[str, Model],
    *,
    now: datetime,
    retained: Mapping[str, Variant] | None = None,
    excluded: Sequence[str] = (),
) -> Fleet:
    """A fleet of *config*: same-named *retained* variants hand on count and weight, unless *excluded*."""
    variants = [
        _variant(spec, models[spec["ModelName"]], (retained or {}).get(spec["VariantName"]), excluded)
        for spec in config["ProductionVariants"]
    ]
    return Fleet(config_name=config["EndpointConfigName"], config=config, variants=variants, launched_at=now)


def _variant(spec: Mapping[str, Any], model: Model, old: Variant | None, excluded: Sequence[str]) -> Variant:
    count, weight = spec.get("InitialInstanceCount", 1), spec.get("InitialVariantWeight", 1.0)
    if old and "DesiredInstanceCount" not in excluded:
        count = old.desired
    if old and "DesiredWeight" not in excluded:
        weight = old.desired_weight
    return Variant(name=spec["VariantName"], model=model, spec=spec, weight=weight, desired=count)
