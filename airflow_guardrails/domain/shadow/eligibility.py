"""Which endpoints can have a shadow, and what production is like there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airflow_guardrails.domain.preflight.guards import INF1
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """What of a model decides whether it can be in a shadow test."""

    name: str
    containers: int = 1
    multi_model: bool = False
    marketplace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """The live variant that a shadow is compared with; *instance_type* is None where it has several."""

    variant_name: str
    model_name: str
    instance_type: str | None
    instances: int


def production_of(endpoint: Endpoint, config: EndpointConfig) -> Production:
    """Read the one production variant, as it is scaled now; :func:`refusals` has let it through."""
    (variant,) = config.variants
    live = next((each for each in endpoint.variants if each.name == variant.name), None)
    return Production(
        variant_name=variant.name,
        model_name=variant.model_name or "",
        instance_type=variant.instance_types[0] if len(variant.instance_types) == 1 else None,
        instances=live.desired_instances if live else variant.initial_instances or 1,
    )


def refusals(
    endpoint: Endpoint,
    config: EndpointConfig,
    models: Sequence[ModelTraits],
    *,
    shadow: ShadowVariant,
) -> tuple[str, ...]:
    """
    Say what keeps the endpoint from having a shadow, each with its rule; nothing where it can have one.

    SageMaker answers these with a validation error ("Shadow tests", exclusions; CreateEndpointConfig,
    ShadowProductionVariants); a status it accepts no change in is refused here too.
    """
    return (
        *_of_the_endpoint(endpoint, config),
        *_of_the_variants(config, shadow),
        *_of_the_weights(endpoint, config),
        *(reason for model in models for reason in _of_the_model(model)),
    )


def _of_the_endpoint(endpoint: Endpoint, config: EndpointConfig) -> Iterator[str]:
    if endpoint.status is not EndpointStatus.IN_SERVICE:
        yield f"the endpoint must be InService (is {endpoint.status.value})"
    if len(config.variants) != 1:
        names = ", ".join(config.variant_names)
        yield f"the endpoint must have one production variant (has {len(config.variants)}: {names})"
    if config.shadow_variants:
        names = ", ".join(variant.name for variant in config.shadow_variants)
        yield f"the endpoint must have no shadow variant yet (has {names})"
    if config.asynchronous:
        yield "asynchronous inference takes no shadow (the configuration has an AsyncInferenceConfig)"


def _of_the_variants(config: EndpointConfig, shadow: ShadowVariant) -> Iterator[str]:
    for variant in config.variants:
        if variant.name == shadow.name:
            yield f"the shadow must be named otherwise than production (both are {variant.name})"
        if variant.model_name is None:
            yield f"inference components take no shadow (variant {variant.name} has no model of its own)"
        if variant.serverless:
            yield f"serverless inference takes no shadow (variant {variant.name} is serverless)"
        for kind in variant.instance_types:
            yield from _of_the_instances(kind, variant.name)
        if len(variant.instance_types) != 1 and not variant.serverless and shadow.instance_type is None:
            yield (
                f"instance_type must be given where production has none or several (variant {variant.name} "
                f"has {', '.join(variant.instance_types) or 'none'})"
            )
    if shadow.instance_type is not None:
        yield from _of_the_instances(shadow.instance_type, "of the shadow")


def _of_the_weights(endpoint: Endpoint, config: EndpointConfig) -> Iterator[str]:
    weights = {variant.name: variant.desired_weight for variant in endpoint.variants}
    for variant in config.variants:
        live = weights.get(variant.name)
        if (variant.initial_weight if live is None else live) == 0:
            yield f"production's weight must be above 0, for the shadow's is a part of it ({variant.name})"


def _of_the_instances(kind: str, variant: str) -> Iterator[str]:
    if kind.startswith(INF1):
        yield f"Inf1 instances take no shadow (variant {variant} has {kind})"


def _of_the_model(model: ModelTraits) -> Iterator[str]:
    if model.marketplace:
        yield f"AWS Marketplace containers take no shadow (model {model.name})"
    if model.multi_model:
        yield f"multi-model endpoints take no shadow (model {model.name})"
    if model.containers > 1:
        yield f"multi-container endpoints take no shadow (model {model.name} has {model.containers})"
