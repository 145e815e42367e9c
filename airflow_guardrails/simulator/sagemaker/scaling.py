"""Which variants Application Auto Scaling minds, as moto's own backend knows it."""

from __future__ import annotations

import sys
from collections.abc import Iterable

_MODELS = "moto.applicationautoscaling.models"
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"


class ScalableTargets:
    """The targets registered in one region."""

    def __init__(self, *, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region

    def registered(self, endpoint_name: str, variant_names: Iterable[str]) -> list[str]:
        """Those of an endpoint's variants that are registered."""
        # moto loads this service, and EC2 and ECS with it, at its first call; before that there are none.
        if _MODELS not in sys.modules:
            return []
        backends = sys.modules[_MODELS].applicationautoscaling_backends
        targets = backends[self._account_id][self._region].targets.get(_DIMENSION, {})
        return [name for name in variant_names if f"endpoint/{endpoint_name}/variant/{name}" in targets]
