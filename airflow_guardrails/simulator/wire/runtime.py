"""InvokeEndpoint on moto's wire."""

from __future__ import annotations

from typing import Any

from moto.sagemakerruntime.responses import SageMakerRuntimeResponse


class RuntimeWire(SageMakerRuntimeResponse):  # type: ignore[misc]
    simulation: Any
