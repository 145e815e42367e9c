"""What an endpoint configuration says: the fleets it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantConfig:
    """
    A fleet as it is asked for.

    *initial_instances* is ``None`` for a serverless variant. *instance_types* are several where the variant
    draws from pools. *startup* is the longest that its containers may take to start, downloads included; zero
    where the configuration does not say.
    """

    name: str
    model_name: str | None = None
    instance_types: tuple[str, ...] = ()
    initial_instances: int | None = None
    initial_weight: float = 1.0
    serverless: bool = False
    startup: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """One answer of DescribeEndpointConfig, as far as an update of an endpoint depends on it."""

    name: str
    arn: str
    variants: tuple[VariantConfig, ...]
    shadow_variants: tuple[VariantConfig, ...] = ()
    asynchronous: bool = False
    data_capture: bool = False

    @property
    def instances(self) -> int | None:
        """Size of the largest fleet; None if all are serverless. Retained instance counts may differ."""
        return max(
            (variant.initial_instances for variant in self.variants if variant.initial_instances),
            default=None,
        )

    @property
    def startup(self) -> timedelta:
        return max((variant.startup for variant in self.variants), default=timedelta(0))

    @property
    def variant_names(self) -> tuple[str, ...]:
        return tuple(variant.name for variant in self.variants)
