"""The inference script of SageMaker's scikit-learn container: ``code/inference.py`` in ``model.tar.gz``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import joblib
import numpy as np


def model_fn(model_dir: str) -> Any:
    return joblib.load(Path(model_dir) / "model.joblib")


def input_fn(body: str, content_type: str) -> np.ndarray:
    if content_type != "text/csv":
        raise ValueError(f"send text/csv (got {content_type})")
    return np.genfromtxt(io.StringIO(body), delimiter=",", ndmin=2)


def predict_fn(rows: np.ndarray, model: Any) -> np.ndarray:
    return model.predict(rows)


def output_fn(predictions: np.ndarray, accept: str) -> tuple[str, str]:
    return "\n".join(str(prediction) for prediction in predictions), accept
