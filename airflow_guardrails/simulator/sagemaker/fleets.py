"""The instances that serve one endpoint configuration, and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.sagemaker.resources import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A VariantStatus: what SageMaker is doing with a variant, in its words, and since when."""

    status: str
    message: str
    since: datetime


@dataclass(slots=True, kw_only=True)
class Variant:
    """
    One variant of a fleet.

    *active* instances take traffic, *desired* ones do when the update is over; the former are SageMaker's
    CurrentInstanceCount. *sampling* is the part of requests that an inference experiment copies to a shadow,
    0 to 1; None leaves it to the weights.
    """

    name: str
    model: Model
    spec: Mapping[str, Any]
    weight: float
    desired: int
    active: int = 0
    desired_weight: float = 0.0
    stage: Stage | None = None
    sampling: float | None = None

    def __post_init__(self) -> None:
        self.desired_weight = self.desired_weight or self.weight

    @property
    def instance_type(self) -> str | None:
        return self.spec.get("InstanceType")


@dataclass(slots=True, kw_only=True)
class Fleet:
    """
    Blue or green: every variant of one endpoint configuration as it is deployed.

    The *shadow* is no part of *variants*: it takes copies of what the one production variant is asked, once
    that is asked anything. *launched_at* may be a moment to come; until then the fleet may be *hidden*.
    """

    config_name: str
    config: Mapping[str, Any]
    variants: list[Variant]
    launched_at: datetime
    shadow: Variant | None = None
    hidden: bool = False

    @property
    def deployed(self) -> list[Variant]:
        """Everything that has instances: the production variants, then the shadow."""
        return [*self.variants, self.shadow] if self.shadow else self.variants

    @property
    def names(self) -> list[str]:
        return [variant.name for variant in self.variants]

    @property
    def total(self) -> int:
        """The instances of the production variants."""
        return sum(variant.desired for variant in self.variants)

    @property
    def shadow_instances(self) -> int:
        return self.shadow.desired if self.shadow else 0

    @property
    def instances(self) -> int:
        return self.total + self.shadow_instances

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
        if self.shadow:
            self.shadow.active = self.shadow.desired if any(counts) else 0

    def activate_all(self) -> None:
        self.activate([variant.desired for variant in self.variants])

    def activate_share(self, share: float) -> None:
        self.activate([round(variant.desired * share) for variant in self.variants])

    def enter(self, status: str, message: Callable[[Variant], str], *, now: datetime) -> None:
        for variant in self.deployed:
            variant.stage = Stage(status=status, message=message(variant), since=now)

    def clear_stages(self) -> None:
        for variant in self.deployed:
            variant.stage = None

    def remove_instances(self) -> None:
        """Be left without an instance."""
        for variant in self.deployed:
            variant.active = variant.desired = 0


def variant_specs(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every variant that an endpoint configuration asks for, the shadow last."""
    return [*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())]


def new_fleet(
    config: Mapping[str, Any],
    models: Mapping[str, Model],
    *,
    now: datetime,
    retained: Mapping[str, Variant] | None = None,
    excluded: Sequence[str] = (),
) -> Fleet:
    """A fleet of *config*: same-named *retained* variants hand on count and weight, unless *excluded*."""

    def of(specs: Iterable[Mapping[str, Any]]) -> list[Variant]:
        return [
            _variant(spec, models[spec["ModelName"]], (retained or {}).get(spec["VariantName"]), excluded)
            for spec in specs
        ]

    shadows = of(config.get("ShadowProductionVariants", ()))
    return Fleet(
        config_name=config["EndpointConfigName"],
        config=config,
        variants=of(config["ProductionVariants"]),
        shadow=shadows[0] if shadows else None,
        launched_at=now,
    )


def _variant(spec: Mapping[str, Any], model: Model, old: Variant | None, excluded: Sequence[str]) -> Variant:
    count, weight = spec.get("InitialInstanceCount", 1), spec.get("InitialVariantWeight", 1.0)
    if old and "DesiredInstanceCount" not in excluded:
        count = old.desired
    if old and "DesiredWeight" not in excluded:
        weight = old.desired_weight
    return Variant(name=spec["VariantName"], model=model, spec=spec, weight=weight, desired=count)
