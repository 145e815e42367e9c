"""
The model that the example retrains: is a tumour benign? Data, training, evaluation and packaging.

The rows are scikit-learn's breast cancer data (569 biopsies, 30 measurements). That data is complete, but
requests of real clients are not. So about one row in eight lacks a few measurements here, always the same.
"""

from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 9
INCOMPLETE_SHARE = 0.125
HELD_OUT_SHARE = 0.4
INFERENCE_CODE = Path(__file__).parent / "serving" / "inference.py"


class Rows(NamedTuple):
    """Biopsies: their measurements, NaN where one is missing, and whether each was benign (1) or not (0)."""

    measurements: np.ndarray
    labels: np.ndarray


def training_rows() -> Rows:
    return _split()[0]


def held_out_rows() -> Rows:
    return _split()[1]


def complete(rows: Rows) -> Rows:
    """Drop the rows that lack a measurement, as many training scripts do."""
    whole = ~np.isnan(rows.measurements).any(axis=1)
    return Rows(rows.measurements[whole], rows.labels[whole])


def train(candidate: str, rows: Rows) -> Any:
    """
    Fit one of three candidates, which are all accurate on complete rows.

    ``gradient-boosting`` handles missing measurements, ``logistic-regression`` raises an error on them, and
    ``sentinel`` replaces them by -999 and predicts wrong classes.
    """
    sentinel = SimpleImputer(strategy="constant", fill_value=-999)
    unfitted = {
        "gradient-boosting": HistGradientBoostingClassifier(random_state=SEED),
        "logistic-regression": make_pipeline(StandardScaler(), LogisticRegression()),
        "sentinel": make_pipeline(sentinel, StandardScaler(), LogisticRegression()),
    }
    return unfitted[candidate].fit(rows.measurements, rows.labels)


def accuracy(model: Any, rows: Rows) -> float:
    return float(model.score(rows.measurements, rows.labels))


def as_requests(rows: Rows) -> list[str]:
    """Return each row as a client sends it: CSV, with an empty field for a missing measurement."""
    return [
        ",".join("" if math.isnan(value) else repr(float(value)) for value in row)
        for row in rows.measurements
    ]


def pack(model: Any) -> bytes:
    """Return a ``model.tar.gz`` as SageMaker expects it: the model, and the code that serves it."""
    dumped = io.BytesIO()
    joblib.dump(model, dumped)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        _add(archive, "model.joblib", dumped.getvalue())
        _add(archive, "code/inference.py", INFERENCE_CODE.read_bytes())
    return packed.getvalue()


def unpack(artefact: bytes) -> Any:
    """Load the model from an artefact. Loading runs code: never load a file from an unknown source."""
    with tarfile.open(fileobj=io.BytesIO(artefact), mode="r:gz") as archive:
        member = archive.extractfile("model.joblib")
        assert member is not None
        return joblib.load(io.BytesIO(member.read()))


def _split() -> tuple[Rows, Rows]:
    rows = _rows()
    parts = train_test_split(*rows, test_size=HELD_OUT_SHARE, random_state=SEED, stratify=rows.labels)
    return Rows(parts[0], parts[2]), Rows(parts[1], parts[3])


def _rows() -> Rows:
    measurements, labels = load_breast_cancer(return_X_y=True)
    return Rows(_with_gaps(measurements), labels)


def _with_gaps(measurements: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(SEED)
    gaps = measurements.copy()
    for row in np.flatnonzero(random.random(len(gaps)) < INCOMPLETE_SHARE):
        gaps[row, random.choice(gaps.shape[1], size=random.integers(1, 4), replace=False)] = np.nan
    return gaps


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
