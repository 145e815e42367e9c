"""Models and endpoint configurations. They do not change after they are created."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.errors import AlreadyExists, ValidationException


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """
    A model as CreateModel describes it.

    :param model_data_url: ``s3://`` URL of the artefact; None if the model has none.
    :param packages: ARNs of its model packages.
    """

    name: str
    image: str | None
    model_data_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    container_count: int = 1
    multi_model: bool = False

    def from_marketplace(self, *, own_account: str) -> bool:
        """
        Whether a container is from the AWS Marketplace.

        Its model package has another account and no version. A package that is shared from another account's
        registry is ``model-package/group/version``.
        """
        return any(_is_foreign(package, own_account) and package.count("/") == 1 for package in self.packages)

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> Model:
        """Read a CreateModel request; raise ValidationException if it has no container."""
        containers = [*filter(None, [request.get("PrimaryContainer")]), *request.get("Containers", ())]
        if not containers:
            raise ValidationException(
                "Either PrimaryContainer or Containers must be given to create a model."
            )
        # Only the first container answers; pipelines of containers are not simulated.
        first = containers[0]
        source = first.get("ModelDataSource", {}).get("S3DataSource", {})
        return cls(
            name=request["ModelName"],
            image=first.get("Image"),
            model_data_url=first.get("ModelDataUrl") or source.get("S3Uri"),
            environment=first.get("Environment", {}),
            packages=tuple(c["ModelPackageName"] for c in containers if "ModelPackageName" in c),
            container_count=len(containers),
            multi_model=any(c.get("Mode") == "MultiModel" for c in containers),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A stored resource with the request that created it, without tags."""

    name: str
    arn: str
    created_at: datetime
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """How SageMaker names a type of resource: in texts, in ARNs and in field names."""

    text: str
    arn_type: str
    field: str
    not_found: Callable[[str], ValidationException]


class ResourceStore:
    """All resources of one type, by name."""

    def __init__(self, resource_type: ResourceType, *, clock: Clock, arn: Callable[[str, str], str]) -> None:
        self.resource_type = resource_type
        self._clock = clock
        self._arn = arn
        self._resources: dict[str, Resource] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._resources

    def add(self, request: Mapping[str, Any]) -> Resource:
        """Store a resource; raise AlreadyExists if its name is taken."""
        name = request[f"{self.resource_type.field}Name"]
        arn = self._arn(self.resource_type.arn_type, name)
        if name in self._resources:
            raise AlreadyExists(self.resource_type.text, arn)
        # Describe does not return tags, and AddTags may change them later.
        stored = {key: value for key, value in request.items() if key != "Tags"}
        resource = Resource(name=name, arn=arn, created_at=self._clock.now(), request=stored)
        self._resources[name] = resource
        return resource

    def find(self, name: str, *, visible_after: float = 0.0) -> Resource:
        """
        Return a resource.

        :param visible_after: age in seconds below which it is not found.
        :raises ValidationException: the not-found error of the type.
        """
        resource = self._resources.get(name)
        # One error for both: a client cannot tell a late configuration from a missing one.
        if resource is None or self._age(resource) < visible_after:
            raise self.resource_type.not_found(self._arn(self.resource_type.arn_type, name))
        return resource

    def remove(self, name: str) -> Resource:
        """Delete a resource and return it."""
        resource = self.find(name)
        del self._resources[name]
        return resource

    def describe(self, name: str, *, visible_after: float = 0.0) -> dict[str, Any]:
        """Return the response of Describe: the request, the ARN and the creation time."""
        resource = self.find(name, visible_after=visible_after)
        return {
            **resource.request,
            f"{self.resource_type.field}Arn": resource.arn,
            "CreationTime": resource.created_at,
        }

    def summaries(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each resource for List."""
        for resource in self._resources.values():
            yield {
                f"{self.resource_type.field}Name": resource.name,
                f"{self.resource_type.field}Arn": resource.arn,
                "CreationTime": resource.created_at,
            }

    def _age(self, resource: Resource) -> float:
        return (self._clock.now() - resource.created_at).total_seconds()


def _is_foreign(arn: str, own_account: str) -> bool:
    return arn.startswith("arn:") and arn.split(":")[4] != own_account
