"""What a container does with a request: read it, predict, write the answer."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any, Protocol

CSV = "text/csv"
JSON = "application/json"


class Refused(Exception):
    """A request the container answers with an HTTP *status* of its own instead of a prediction."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Handlers(Protocol):
    """One loaded model. Whatever these raise, other than Refused, is an HTTP 500."""

    def read(self, body: bytes, content_type: str) -> Any: ...

    def predict(self, data: Any) -> Any: ...

    def predict_all(self, several: Sequence[Any]) -> list[Any] | None:
        """A prediction for each, made in one call; None where only one by one is known to be right."""

    def write(self, prediction: Any, *, content_type: str, accept: str | None) -> tuple[bytes, str]:
        """The body of the answer, and its content type."""


class ModelAlone:
    """A scikit-learn model without code of its own: CSV without a header or ``{"instances": [[...]]}``."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def read(self, body: bytes, content_type: str) -> list[list[float]]:
        """The rows of a request; a missing value is NaN."""
        # latin-1 reads every byte, whatever a client sent; what is no number is refused as such.
        text, kind = body.decode("latin-1"), _plain(content_type)
        try:
            if kind == JSON:
                rows = [[_number(value) for value in row] for row in json.loads(text)["instances"]]
            elif kind == CSV:
                rows = [[_number(field) for field in row] for row in csv.reader(io.StringIO(text)) if row]
            else:
                raise Refused(415, f"content type must be {CSV} or {JSON} (got {kind!r})")
        except (ValueError, TypeError, KeyError) as error:
            raise Refused(400, f"cannot read the body as {kind}: {text_of(error)}") from None
        if not rows:
            raise Refused(400, "the body holds no row")
        return rows

    def predict(self, data: list[list[float]]) -> list[Any]:
        import numpy as np  # noqa: PLC0415 - the simulator itself must start fast

        predictions: list[Any] = np.asarray(self._model.predict(np.array(data, dtype=float))).tolist()
        if len(predictions) != len(data):
            raise ValueError(f"the model made {len(predictions)} predictions for {len(data)} rows")
        return predictions

    def predict_all(self, several: Sequence[list[list[float]]]) -> list[list[Any]]:
        predictions = iter(self.predict([row for rows in several for row in rows]))
        return [[next(predictions) for _ in rows] for rows in several]

    def write(self, prediction: list[Any], *, content_type: str, accept: str | None) -> tuple[bytes, str]:
        kind = accept if accept in {CSV, JSON} else JSON if _plain(content_type) == JSON else CSV
        return _render(prediction, kind).encode(), kind

    def warm_up(self) -> None:
        """A container has run its model before it takes traffic; a first call is slow for its own reasons."""
        features = getattr(self._model, "n_features_in_", None)
        if isinstance(features, int):
            self.predict([[0.0] * features])


def text_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _plain(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _render(predictions: list[Any], kind: str) -> str:
    if kind == JSON:
        return json.dumps({"predictions": predictions})
    return "\n".join(
        ",".join(map(str, prediction)) if isinstance(prediction, list) else str(prediction)
        for prediction in predictions
    )


def _number(value: Any) -> float:
    return math.nan if value is None or value == "" else float(value)
