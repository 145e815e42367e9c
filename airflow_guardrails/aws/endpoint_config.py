"""Endpoint configurations on the wire: DescribeEndpointConfig's answer as a value."""

from __future__ import annotations

from datetime import timedelta

from airflow_guardrails.aws.reading import (
    Answer,
    needed,
    number_of,
    section_of,
    sections_of,
    text_of,
    whole_number_of,
)
from airflow_guardrails.domain.shadow.eligibility import ModelTraits
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig


def from_marketplace(model: Answer, *, account_id: str) -> bool:
    """
    Whether a container of the model is AWS Marketplace's: a package of another account, without a version.

    A package shared from another account's model registry has a version; that is how the two are told apart
    here. No document of AWS says so.
    """
    return any(
        _foreign_without_version(text_of(container, "ModelPackageName") or "", account_id)
        for container in _containers(model)
    )


def parse_model(model: Answer, *, account_id: str) -> ModelTraits:
    """
    Read an answer of DescribeModel, as far as it decides about shadow tests.

    :raises UnexpectedAnswer: if it names no model.
    """
    containers = _containers(model)
    return ModelTraits(
        name=needed(model, "ModelName", by="DescribeModel"),
        containers=len(containers),
        multi_model=any(container.get("Mode") == "MultiModel" for container in containers),
        marketplace=from_marketplace(model, account_id=account_id),
    )


def account_of(arn: str) -> str:
    return (arn.split(":") + [""] * 5)[4]


def _containers(model: Answer) -> list[Answer]:
    primary = section_of(model, "PrimaryContainer")
    return [*([primary] if primary else []), *sections_of(model, "Containers")]


def _foreign_without_version(package: str, account_id: str) -> bool:
    if not package.startswith("arn:"):
        return False
    versioned = package.rpartition("/")[2].isdigit()
    return account_of(package) != account_id and not versioned


# A container's model is downloaded before it has to answer its first ping.
_STARTUP_LIMITS = ("ModelDataDownloadTimeoutInSeconds", "ContainerStartupHealthCheckTimeoutInSeconds")


def parse_endpoint_config(answer: Answer) -> EndpointConfig:
    """
    Read an answer of DescribeEndpointConfig.

    :raises UnexpectedAnswer: if it does not say which configuration it is of.
    """
    name = needed(answer, "EndpointConfigName", by="DescribeEndpointConfig")
    return EndpointConfig(
        name=name,
        arn=needed(answer, "EndpointConfigArn", by=f"Endpoint configuration {name}"),
        variants=_parse_variants(answer, "ProductionVariants"),
        shadow_variants=_parse_variants(answer, "ShadowProductionVariants"),
        asynchronous=bool(answer.get("AsyncInferenceConfig")),
        data_capture=bool(section_of(answer, "DataCaptureConfig").get("EnableCapture")),
    )


def _parse_variants(answer: Answer, key: str) -> tuple[VariantConfig, ...]:
    return tuple(
        VariantConfig(
            name=needed(variant, "VariantName", by=f"{key} of DescribeEndpointConfig"),
            model_name=text_of(variant, "ModelName"),
            instance_types=_instance_types(variant),
            initial_instances=whole_number_of(variant, "InitialInstanceCount"),
            initial_weight=_weight(variant),
            serverless=bool(variant.get("ServerlessConfig")),
            startup=timedelta(seconds=sum(whole_number_of(variant, limit) or 0 for limit in _STARTUP_LIMITS)),
        )
        for variant in sections_of(answer, key)
    )


def _weight(variant: Answer) -> float:
    weight = number_of(variant, "InitialVariantWeight")
    return 1.0 if weight is None else weight


def _instance_types(variant: Answer) -> tuple[str, ...]:
    named = (text_of(each, "InstanceType") for each in (variant, *sections_of(variant, "InstancePools")))
    return tuple(dict.fromkeys(name for name in named if name))
