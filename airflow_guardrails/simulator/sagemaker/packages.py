"""Model packages, which moto keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.sagemaker.models import sagemaker_backends

_Container = Mapping[str, Any]


class ModelPackages:
    """The model packages of one region."""

    def __init__(self, *, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region

    def unpacked(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return CreateModel's *request* with image and artefact of the packages that its containers name."""
        found = dict(request)
        if primary := request.get("PrimaryContainer"):
            found["PrimaryContainer"] = self._container(primary)
        if containers := request.get("Containers"):
            found["Containers"] = [self._container(container) for container in containers]
        return found

    def _container(self, container: _Container) -> dict[str, Any]:
        """Return the container with what its package says; one of the AWS Marketplace stays as it is."""
        backend = sagemaker_backends[self._account_id][self._region]
        name = container.get("ModelPackageName", "")
        package = backend.model_packages.get(backend.model_package_name_mapping.get(name, name))
        specification = (package.inference_specification if package else None) or {}
        # Packages with several containers are not simulated.
        first: _Container = next(iter(specification.get("Containers", ())), {})
        environment = {**first.get("Environment", {}), **container.get("Environment", {})}
        return {**first, **container, **({"Environment": environment} if environment else {})}
