"""Endpoint configurations on the wire: DescribeEndpointConfig's answer as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.endpoint_config import EndpointConfig, VariantConfig

Answer = Mapping[str, Any]

# A container's model is downloaded before it has to answer its first ping.
_STARTUP_LIMITS = ("ModelDataDownloadTimeoutInSeconds", "ContainerStartupHealthCheckTimeoutInSeconds")


def parse_endpoint_config(answer: Answer) -> EndpointConfig:
    """Read an answer of DescribeEndpointConfig."""
    return EndpointConfig(
        name=answer["EndpointConfigName"],
        arn=answer["EndpointConfigArn"],
        variants=_parse_variants(answer["ProductionVariants"]),
        shadow_variants=_parse_variants(answer.get("ShadowProductionVariants")),
        asynchronous=bool(answer.get("AsyncInferenceConfig")),
        data_capture=bool((answer.get("DataCaptureConfig") or {}).get("EnableCapture")),
    )


def _parse_variants(variants: Iterable[Answer] | None) -> tuple[VariantConfig, ...]:
    return tuple(_parse_variant(variant) for variant in variants or ())


def _parse_variant(variant: Answer) -> VariantConfig:
    return VariantConfig(
        name=variant["VariantName"],
        model_name=variant.get("ModelName"),
        instance_types=_instance_types(variant),
        initial_instances=variant.get("InitialInstanceCount"),
        initial_weight=variant.get("InitialVariantWeight", 1.0),
        serverless=bool(variant.get("ServerlessConfig")),
        startup=timedelta(seconds=sum(variant.get(limit) or 0 for limit in _STARTUP_LIMITS)),
    )


def _instance_types(variant: Answer) -> tuple[str, ...]:
    own = [variant["InstanceType"]] if variant.get("InstanceType") else []
    pooled = [pool["InstanceType"] for pool in variant.get("InstancePools") or ()]
    return tuple(dict.fromkeys([*own, *pooled]))
