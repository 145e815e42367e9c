"""What a model's containers run, for its version, from DescribeModel and S3."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_guardrails.aws.endpoint_config import artefact_of, containers_of
from airflow_guardrails.aws.reading import Response, text_of
from airflow_guardrails.domain.versions.digest import Container


def parse_containers(model: Response, identities: Mapping[str, str]) -> tuple[Container, ...]:
    """
    Return what the containers of the model run.

    :param model: a response of DescribeModel, or a request of CreateModel.
    :param identities: URI of an artefact -> identity of its content; one that is missing counts by its URI.
    """
    return tuple(_container(container, identities) for container in containers_of(model))


def object_of(uri: str) -> tuple[str, str] | None:
    """Return bucket and key of an S3 URI; None for a prefix, or what is no S3 URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return (bucket, key) if uri.startswith("s3://") and key and not key.endswith("/") else None


def identity_in(response: Response) -> str | None:
    """
    Return the identity of an object's content in a response of HeadObject; None if it has none.

    The ETag comes first: a copy under another name keeps it in most cases, and has another version ID.
    """
    return text_of(response, "ETag") or text_of(response, "VersionId")


def _container(container: Response, identities: Mapping[str, str]) -> Container:
    uri = artefact_of(container)
    environment = container.get("Environment")
    return Container(
        image=text_of(container, "Image"),
        artefacts=(identities.get(uri, uri),) if uri else (),
        environment=tuple((str(k), str(v)) for k, v in environment.items())
        if isinstance(environment, Mapping)
        else (),
        package=text_of(container, "ModelPackageName"),
    )
