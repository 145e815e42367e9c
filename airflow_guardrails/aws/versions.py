"""What a model's containers run, for its version, from DescribeModel, DescribeModelPackage and S3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from airflow_guardrails.aws.endpoint_config import artefact_of, containers_of
from airflow_guardrails.aws.reading import Response, section_of, sections_of, text_of
from airflow_guardrails.domain.versions.digest import Container

_PACKAGE, _ENVIRONMENT = "ModelPackageName", "Environment"


def packages_of(model: Response) -> tuple[str, ...]:
    """Return the ARNs of the model packages of the model's containers."""
    return tuple(arn for container in containers_of(model) if (arn := text_of(container, _PACKAGE)))


def unpacked(model: Response, packages: Mapping[str, Sequence[Response]]) -> tuple[Response, ...]:
    """
    Return the containers of the model, with those of a model package in the place of the package.

    :param model: a response of DescribeModel, or a request of CreateModel.
    :param packages: ARN of a model package -> its containers; one that is missing stays a package.
    """
    found: list[Response] = []
    for container in containers_of(model):
        contents = packages.get(text_of(container, _PACKAGE) or "")
        if not contents:
            found.append(container)
            continue
        # As in SageMaker, an environment variable of the model comes before that of its package.
        own = section_of(container, _ENVIRONMENT)
        found += [{**each, _ENVIRONMENT: {**section_of(each, _ENVIRONMENT), **own}} for each in contents]
    return tuple(found)


def package_contents(response: Response) -> tuple[Response, ...]:
    """Return the containers in a response of DescribeModelPackage."""
    return sections_of(section_of(response, "InferenceSpecification"), "Containers")


def parse_containers(containers: Iterable[Response], identities: Mapping[str, str]) -> tuple[Container, ...]:
    """
    Return what the containers run.

    :param identities: URI of an artefact -> identity of its content; one that is missing counts by its URI.
    """
    return tuple(_container(container, identities) for container in containers)


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
    environment = container.get(_ENVIRONMENT)
    return Container(
        image=text_of(container, "Image"),
        artefacts=(identities.get(uri, uri),) if uri else (),
        environment=tuple((str(k), str(v)) for k, v in environment.items())
        if isinstance(environment, Mapping)
        else (),
        package=text_of(container, _PACKAGE),
    )
