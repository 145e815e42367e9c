"""The sizes of the new fleets of an update. They follow from configuration and live endpoint."""

from __future__ import annotations

from airflow_guardrails.domain.deployment.guardrails import RetainedProperties, VariantProperty
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, Variant
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig


def fleet_sizes(
    target: EndpointConfig,
    endpoint: Endpoint,
    *,
    serving: EndpointConfig | None,
    retained: RetainedProperties,
) -> tuple[int | None, ...]:
    """
    Return the sizes of the new fleets in instances, in the order of the variants; None: serverless.

    :param endpoint: the endpoint before the update.
    :param serving: the configuration that it serves; None if that is unknown.
    :param retained: what the update keeps of the live variants.
    """
    return tuple(
        new_instances(variant, endpoint, serving=serving, retained=retained) for variant in target.variants
    )


def new_instances(
    variant: VariantConfig,
    endpoint: Endpoint,
    *,
    serving: EndpointConfig | None,
    retained: RetainedProperties,
) -> int | None:
    """Return the size of the new fleet of *variant*; None if it is serverless."""
    if variant.serverless:
        return None
    keeps = retained.keeps(VariantProperty.DESIRED_INSTANCE_COUNT)
    live = live_instances(variant.name, endpoint, serving=serving) if keeps else None
    # Developer guide: a retained count wins, whatever InitialInstanceCount says.
    return variant.initial_instances if live is None else live


def live_instances(name: str, endpoint: Endpoint, *, serving: EndpointConfig | None) -> int | None:
    """Return the instances that a variant is scaled to; None if it does not serve, or is serverless."""
    live = live_variant(name, endpoint)
    configured = serving.variants if serving else ()
    if live is None or live.serverless:
        return None
    if any(variant.name == name and variant.serverless for variant in configured):
        return None
    return live.desired_instances


def live_variant(name: str, endpoint: Endpoint) -> Variant | None:
    """Return the variant of the endpoint with this name; None if it does not serve."""
    return next((variant for variant in endpoint.variants if variant.name == name), None)
