"""Scalable targets of Application Auto Scaling, which moto keeps."""

from __future__ import annotations

import sys
from collections.abc import Iterable

_MODELS = "moto.applicationautoscaling.models"
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"


class ScalableTargets:
    """The variants of one region that are registered as scalable targets."""

    def __init__(self, *, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region

    def registered(self, endpoint_name: str, variant_names: Iterable[str]) -> list[str]:
        """Return those of *variant_names* that are registered."""
        # moto loads this service (with EC2 and ECS) at its first call. Without a call there are no targets,
        # and importing it here would take seconds.
        if _MODELS not in sys.modules:
            return []
        backends = sys.modules[_MODELS].applicationautoscaling_backends
        targets = backends[self._account_id][self._region].targets.get(_DIMENSION, {})
        return [name for name in variant_names if f"endpoint/{endpoint_name}/variant/{name}" in targets]
