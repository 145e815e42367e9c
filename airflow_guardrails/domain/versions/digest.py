"""The version of a model: a digest of what its containers run, whatever names they come under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Hex digits of SHA-256, which are 64 bits.
_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """
    What one container of a model runs.

    :param artefacts: identities of the artefacts: the content's ETag or version ID in S3, or else the URL.
    :param package: ARN of a model package, which stands for image and artefacts.
    """

    image: str | None = None
    artefacts: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    package: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """
    The version of a configuration's models.

    :param by_url: whether an artefact counts by its URL, because S3 did not show its content.
    :param unchanged: whether the endpoint already served this version when it was to be deployed.
    """

    digest: str
    by_url: bool = False
    unchanged: bool = False


def version_digest(models: Iterable[Sequence[Container]]) -> str:
    """
    Return the version (16 hex digits) of the models of all production variants, in the variants' order.

    Names of models and configurations, instance types and weights do not change it.
    """
    content = [[_content(container) for container in containers] for containers in models]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:_DIGITS]


def _content(container: Container) -> list[object]:
    environment = sorted(container.environment)
    if container.package is not None:
        return ["package", container.package, environment]
    return ["image", container.image, list(container.artefacts), environment]
