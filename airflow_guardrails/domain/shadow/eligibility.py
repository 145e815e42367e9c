"""Which endpoints can have a shadow variant, and the production variant that it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airflow_guardrails.domain.preflight.guards import INF1
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """
    The properties of a model that decide whether it can be in a shadow test.

    :param containers: number of containers.
    :param multi_model: whether a container is in MultiModel mode.
    :param marketplace: whether a container is from AWS Marketplace.
    """

    name: str
    containers: int = 1
    multi_model: bool = False
    marketplace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """
    The live variant that a shadow is compared with.

    :param instance_type: ``None`` if the variant has several, or none.
    :param instances: the number that it is scaled to now.
    """

    variant_name: str
    model_name: str
    instance_type: str | None
    instances: int


def production_of(endpoint: Endpoint, config: EndpointConfig) -> Production:
    """
    Return the production variant as it is scaled now.

    :raises ValueError: if there is not exactly one; :func:`shadow_refusals` reports that.
    """
    # shadow_refusals() has refused every other number of variants.
    (variant,) = config.variants
    live = next((each for each in endpoint.variants if each.name == variant.name), None)
    return Production(
        variant_name=variant.name,
        model_name=variant.model_name or "",
        instance_type=variant.instance_types[0] if len(variant.instance_types) == 1 else None,
        instances=live.desired_instances if live else variant.initial_instances or 1,
    )


def shadow_refusals(
    endpoint: Endpoint,
    config: EndpointConfig,
    models: Sequence[ModelTraits],
    *,
    shadow: ShadowVariant,
) -> tuple[str, ...]:
    """
    Return why the endpoint cannot have this shadow variant, each reason with its rule; empty if it can.

    SageMaker refuses these with a validation error (developer guide, "Shadow tests", exclusions;
    CreateEndpointConfig, ShadowProductionVariants). An endpoint that is not InService is refused here too.
    """
    return (
        *_endpoint_refusals(endpoint, config),
        *_variant_refusals(config, shadow),
        *_weight_refusals(endpoint, config),
        *(reason for model in models for reason in _model_refusals(model)),
    )


def _endpoint_refusals(endpoint: Endpoint, config: EndpointConfig) -> Iterator[str]:
    if endpoint.status is not EndpointStatus.IN_SERVICE:
        yield f"the endpoint must be InService (is {endpoint.status.value})"
    # API reference of CreateEndpointConfig: with a shadow, only one production variant.
    if len(config.variants) != 1:
        names = ", ".join(config.variant_names)
        yield f"the endpoint must have one production variant (has {len(config.variants)}: {names})"
    if config.shadow_variants:
        names = ", ".join(variant.name for variant in config.shadow_variants)
        yield f"the endpoint must have no shadow variant yet (has {names})"
    if config.asynchronous:
        yield "asynchronous inference does not support shadows (there is an AsyncInferenceConfig)"


def _variant_refusals(config: EndpointConfig, shadow: ShadowVariant) -> Iterator[str]:
    for variant in config.variants:
        if variant.name == shadow.name:
            yield f"the shadow must have another name than production (both are {variant.name})"
        # Without a model name, the endpoint hosts inference components.
        if variant.model_name is None:
            yield f"inference components do not support shadows (variant {variant.name} has no model)"
        if variant.serverless:
            yield f"serverless inference does not support shadows (variant {variant.name} is serverless)"
        for kind in variant.instance_types:
            yield from _instance_refusals(kind, variant.name)
        if len(variant.instance_types) != 1 and not variant.serverless and shadow.instance_type is None:
            yield (
                f"instance_type must be given if production has none or several (variant {variant.name} "
                f"has {', '.join(variant.instance_types) or 'none'})"
            )
    if shadow.instance_type is not None:
        yield from _instance_refusals(shadow.instance_type, "of the shadow")


def _weight_refusals(endpoint: Endpoint, config: EndpointConfig) -> Iterator[str]:
    # The live weight counts, because UpdateEndpointWeightsAndCapacities does not change the configuration.
    weights = {variant.name: variant.desired_weight for variant in endpoint.variants}
    for variant in config.variants:
        live = weights.get(variant.name)
        if (variant.initial_weight if live is None else live) == 0:
            yield f"production's weight must be above 0: the shadow's is a share of it ({variant.name})"


def _instance_refusals(kind: str, variant: str) -> Iterator[str]:
    if kind.startswith(INF1):
        yield f"Inf1 instances do not support shadows (variant {variant} has {kind})"


def _model_refusals(model: ModelTraits) -> Iterator[str]:
    if model.marketplace:
        yield f"AWS Marketplace containers do not support shadows (model {model.name})"
    if model.multi_model:
        yield f"multi-model endpoints do not support shadows (model {model.name})"
    if model.containers > 1:
        yield f"multi-container endpoints do not support shadows (model {model.name} has {model.containers})"
