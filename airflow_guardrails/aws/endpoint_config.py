"""The responses of DescribeEndpointConfig and DescribeModel as values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from airflow_guardrails.aws.reading import (
    Response,
    number_of,
    required_text,
    section_of,
    sections_of,
    text_of,
    whole_number_of,
)
from airflow_guardrails.domain.shadow.eligibility import ModelTraits
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig


def from_marketplace(model: Response, *, account_id: str) -> bool:
    """
    Return whether a container of the model is from AWS Marketplace.

    That is a model package of another account whose ARN has no version. A package from another account's
    model registry has a version. AWS does not document this difference.
    """
    return any(
        _foreign_without_version(text_of(container, "ModelPackageName") or "", account_id)
        for container in containers_of(model)
    )


def parse_model(model: Response, *, account_id: str) -> ModelTraits:
    """
    Return the traits of the model that decide whether it can be in a shadow test.

    :raises UnexpectedAnswer: if the response has no model name.
    """
    containers = containers_of(model)
    return ModelTraits(
        name=required_text(model, "ModelName", by="DescribeModel"),
        containers=len(containers),
        multi_model=any(container.get("Mode") == "MultiModel" for container in containers),
        marketplace=from_marketplace(model, account_id=account_id),
    )


def artefacts_of(model: Response) -> tuple[str, ...]:
    """Return the S3 URIs of the artefacts of the model's containers, each once."""
    return tuple(dict.fromkeys(uri for container in containers_of(model) if (uri := artefact_of(container))))


def artefact_of(container: Response) -> str | None:
    """Return the S3 URI of a container's artefact; None if it has none."""
    source = section_of(section_of(container, "ModelDataSource"), "S3DataSource")
    return text_of(container, "ModelDataUrl") or text_of(source, "S3Uri")


def account_of(arn: str) -> str:
    """Return the account ID in the ARN; "" if it has none."""
    return (arn.split(":") + [""] * 5)[4]


def containers_of(model: Response) -> list[Response]:
    """Return the containers in a response of DescribeModel."""
    # A model has either one primary container or a list of containers.
    primary = section_of(model, "PrimaryContainer")
    return [*([primary] if primary else []), *sections_of(model, "Containers")]


def _foreign_without_version(package: str, account_id: str) -> bool:
    if not package.startswith("arn:"):
        return False
    versioned = package.rpartition("/")[2].isdigit()
    return account_of(package) != account_id and not versioned


# They add up: a container's model is downloaded before its first health check.
_STARTUP_LIMITS = ("ModelDataDownloadTimeoutInSeconds", "ContainerStartupHealthCheckTimeoutInSeconds")


def parse_endpoint_config(response: Response) -> EndpointConfig:
    """
    Return the configuration in a response of DescribeEndpointConfig.

    :raises UnexpectedAnswer: if the name of the configuration, its ARN or the name of a variant is missing.
    """
    name = required_text(response, "EndpointConfigName", by="DescribeEndpointConfig")
    return EndpointConfig(
        name=name,
        arn=required_text(response, "EndpointConfigArn", by=f"Endpoint configuration {name}"),
        variants=tuple(_parse_variants(response, "ProductionVariants")),
        shadow_variants=tuple(_parse_variants(response, "ShadowProductionVariants")),
        asynchronous=bool(response.get("AsyncInferenceConfig")),
        data_capture=bool(section_of(response, "DataCaptureConfig").get("EnableCapture")),
    )


def _parse_variants(response: Response, key: str) -> Iterator[VariantConfig]:
    for variant in sections_of(response, key):
        yield VariantConfig(
            name=required_text(variant, "VariantName", by=f"{key} of DescribeEndpointConfig"),
            model_name=text_of(variant, "ModelName"),
            instance_types=_instance_types(variant),
            initial_instances=whole_number_of(variant, "InitialInstanceCount"),
            initial_weight=_weight(variant),
            serverless=bool(variant.get("ServerlessConfig")),
            startup=timedelta(seconds=sum(whole_number_of(variant, limit) or 0 for limit in _STARTUP_LIMITS)),
        )


def _weight(variant: Response) -> float:
    weight = number_of(variant, "InitialVariantWeight")
    # 1.0 is the API's default for InitialVariantWeight.
    return 1.0 if weight is None else weight


def _instance_types(variant: Response) -> tuple[str, ...]:
    named = (text_of(each, "InstanceType") for each in (variant, *sections_of(variant, "InstancePools")))
    return tuple(dict.fromkeys(name for name in named if name))
