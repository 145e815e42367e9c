"""SageMaker's operations on moto's wire; what is not ours falls through to moto."""

from __future__ import annotations

from typing import Any

from moto.sagemaker.responses import SageMakerResponse


class SageMakerWire(SageMakerResponse):  # type: ignore[misc]
    simulation: Any
