"""An endpoint configuration, as DescribeEndpointConfig shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantConfig:
    """
    A production or shadow variant of a configuration.

    :param instance_types: more than one if the variant uses instance pools.
    :param initial_instances: ``None`` for a serverless variant.
    :param startup: the longest time its containers may take to start, model download included; zero if the
        configuration does not set it.
    """

    name: str
    model_name: str | None = None
    instance_types: tuple[str, ...] = ()
    initial_instances: int | None = None
    # The API's default.
    initial_weight: float = 1.0
    serverless: bool = False
    startup: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """One response of DescribeEndpointConfig, reduced to what an update depends on."""

    name: str
    arn: str
    variants: tuple[VariantConfig, ...]
    shadow_variants: tuple[VariantConfig, ...] = ()
    asynchronous: bool = False
    data_capture: bool = False

    @property
    def instances(self) -> int | None:
        """Instances of the largest variant; None if all are serverless. Retained counts may differ."""
        return max(
            (variant.initial_instances for variant in self.variants if variant.initial_instances),
            default=None,
        )

    @property
    def startup(self) -> timedelta:
        """The longest startup time of any variant."""
        return max((variant.startup for variant in self.variants), default=timedelta(0))

    @property
    def variant_names(self) -> tuple[str, ...]:
        """Names of the production variants."""
        return tuple(variant.name for variant in self.variants)
