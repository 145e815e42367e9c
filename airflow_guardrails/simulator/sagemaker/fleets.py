"""Fleets: the instances that serve one endpoint configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.sagemaker.resources import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A VariantStatus: status and message as SageMaker writes them, and since when."""

    status: str
    message: str
    since: datetime


@dataclass(slots=True, kw_only=True)
class Variant:
    """
    One variant of a fleet.

    :param active: instances that take traffic, SageMaker's CurrentInstanceCount.
    :param desired: instances that take traffic when the update is finished.
    :param sampling: share of requests that an experiment copies to this shadow, 0 to 1; None means that the
        weights decide.
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
        # By default the weight does not change.
        self.desired_weight = self.desired_weight or self.weight

    @property
    def instance_type(self) -> str | None:
        """The instance type; None for a serverless variant."""
        return self.spec.get("InstanceType")


@dataclass(slots=True, kw_only=True)
class Fleet:
    """
    All variants of one endpoint configuration as they are deployed.

    :param shadow: gets copies of the requests to the production variant; it is not in *variants*.
    :param launched_at: may be in the future; until then the fleet may be *hidden* in descriptions.
    """

    config_name: str
    config: Mapping[str, Any]
    variants: list[Variant]
    launched_at: datetime
    shadow: Variant | None = None
    hidden: bool = False

    @property
    def deployed(self) -> list[Variant]:
        """The production variants, then the shadow."""
        return [*self.variants, self.shadow] if self.shadow else self.variants

    @property
    def names(self) -> list[str]:
        """Names of the production variants."""
        return [variant.name for variant in self.variants]

    @property
    def total(self) -> int:
        """Desired instances of the production variants."""
        return sum(variant.desired for variant in self.variants)

    @property
    def shadow_instances(self) -> int:
        """Desired instances of the shadow."""
        return self.shadow.desired if self.shadow else 0

    @property
    def instances(self) -> int:
        """Desired instances of all variants."""
        return self.total + self.shadow_instances

    @property
    def active(self) -> int:
        """Instances of the production variants that take traffic."""
        return sum(variant.active for variant in self.variants)

    @property
    def active_share(self) -> float:
        """The share of the production instances that take traffic, 0 to 1."""
        # A fleet that was rolled back has no instances left.
        return self.active / max(self.total, 1)

    def activate(self, counts: Sequence[int]) -> None:
        """Set the active instances of each production variant. The shadow is active if any of them is."""
        for variant, count in zip(self.variants, counts, strict=True):
            variant.active = count
        if self.shadow:
            # A shadow gets copies only of requests that its own fleet gets.
            self.shadow.active = self.shadow.desired if any(counts) else 0

    def activate_all(self) -> None:
        """Let all instances take traffic."""
        self.activate([variant.desired for variant in self.variants])

    def activate_share(self, share: float) -> None:
        """Let a share of the instances of each variant take traffic, 0 to 1."""
        # AWS does not document how an old fleet rounds when it gives up a share.
        self.activate([round(variant.desired * share) for variant in self.variants])

    def enter(self, status: str, message: Callable[[Variant], str], *, now: datetime) -> None:
        """Set the stage of every variant."""
        for variant in self.deployed:
            variant.stage = Stage(status=status, message=message(variant), since=now)

    def clear_stages(self) -> None:
        """Remove the stage of every variant."""
        for variant in self.deployed:
            variant.stage = None

    def remove_instances(self) -> None:
        """Set the active and desired instances of every variant to 0."""
        for variant in self.deployed:
            variant.active = variant.desired = 0


def variant_specs(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return all variants of an endpoint configuration, the shadow last."""
    return [*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())]


def new_fleet(
    config: Mapping[str, Any],
    models: Mapping[str, Model],
    *,
    now: datetime,
    retained: Mapping[str, Variant] | None = None,
    excluded: Sequence[str] = (),
) -> Fleet:
    """
    Return a fleet for *config*.

    :param retained: variants by name that pass on their instance count and weight.
    :param excluded: ``DesiredInstanceCount`` or ``DesiredWeight``, which are not passed on.
    """

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
    # API reference: the weight is 1.0 by default. A serverless variant has no instance count.
    count, weight = spec.get("InitialInstanceCount", 1), spec.get("InitialVariantWeight", 1.0)
    # RetainAllVariantProperties keeps what autoscaling or a client has changed since.
    if old and "DesiredInstanceCount" not in excluded:
        count = old.desired
    if old and "DesiredWeight" not in excluded:
        weight = old.desired_weight
    return Variant(name=spec["VariantName"], model=model, spec=spec, weight=weight, desired=count)
