"""
Run the ``code/inference.py`` of an artefact as SageMaker's scikit-learn container does.

``model_fn(model_dir)`` loads the model. A request goes through ``input_fn(body, content_type)``,
``predict_fn(data, model)`` and ``output_fn(prediction, accept)``, or through ``transform_fn(model, body,
content_type, accept)`` alone. Missing functions have the container's defaults; model_fn has none. Source:
aws/sagemaker-scikit-learn-container, sagemaker-containers.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

_CSV = "text/csv"
_JSON = "application/json"


class RequestRefused(Exception):
    """The container answers a request with an HTTP *status* instead of a prediction."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Handlers(Protocol):
    """One loaded model. Any exception other than RequestRefused becomes an HTTP 500."""

    def read(self, body: bytes, content_type: str) -> Any:
        """Return the input of the model for a request."""

    def predict(self, data: Any) -> Any:
        """Return the prediction for one input."""

    def predict_all(self, inputs: Sequence[Any]) -> list[Any] | None:
        """
        Return a prediction for each input, made in one call; None if only single calls are known to be
        correct.
        """

    def write(self, prediction: Any, *, content_type: str, accept: str | None) -> tuple[bytes, str]:
        """Return the body and the content type of the response."""


class ModelAlone:
    """A scikit-learn model without code: it takes CSV without a header, or ``{"instances": [[...]]}``."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def read(self, body: bytes, content_type: str) -> list[list[float]]:
        """Return the rows of a request. A missing value is NaN."""
        # latin-1 decodes any bytes; what is not a number is refused below.
        text, kind = body.decode("latin-1"), _plain(content_type)
        try:
            if kind == _JSON:
                rows = [[_number(value) for value in row] for row in json.loads(text)["instances"]]
            elif kind == _CSV:
                rows = [[_number(field) for field in row] for row in csv.reader(io.StringIO(text)) if row]
            else:
                raise RequestRefused(415, f"content type must be {_CSV} or {_JSON} (got {kind!r})")
        except (ValueError, TypeError, KeyError) as error:
            raise RequestRefused(400, f"cannot read the body as {kind}: {error_text(error)}") from None
        if not rows:
            raise RequestRefused(400, "the body has no rows")
        return rows

    def predict(self, data: list[list[float]]) -> list[Any]:
        """Return one prediction for each row."""
        import numpy as np  # noqa: PLC0415 - slow to import

        predictions: list[Any] = np.asarray(self._model.predict(np.array(data, dtype=float))).tolist()
        if len(predictions) != len(data):
            raise ValueError(f"the model made {len(predictions)} predictions for {len(data)} rows")
        return predictions

    def predict_all(self, inputs: Sequence[list[list[float]]]) -> list[list[Any]]:
        """Predict the rows of all requests in one call."""
        predictions = iter(self.predict([row for rows in inputs for row in rows]))
        return [[next(predictions) for _ in rows] for rows in inputs]

    def write(self, prediction: list[Any], *, content_type: str, accept: str | None) -> tuple[bytes, str]:
        """Return predictions in the accepted content type, or in that of the request."""
        kind = accept if accept in {_CSV, _JSON} else _JSON if _plain(content_type) == _JSON else _CSV
        return _render(prediction, kind).encode(), kind

    def warm_up(self) -> None:
        """Predict once before the first request, because the first call is slow."""
        features = getattr(self._model, "n_features_in_", None)
        if isinstance(features, int):
            self.predict([[0.0] * features])


def error_text(error: Exception) -> str:
    """Return the type and the text of an exception."""
    return f"{type(error).__name__}: {error}"


def _plain(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _render(predictions: list[Any], kind: str) -> str:
    if kind == _JSON:
        return json.dumps({"predictions": predictions})
    return "\n".join(
        ",".join(map(str, prediction)) if isinstance(prediction, list) else str(prediction)
        for prediction in predictions
    )


def _number(value: Any) -> float:
    return math.nan if value is None or value == "" else float(value)


_NPY = "application/x-npy"
_ANY = "*/*"
_TEXTS = (_CSV, _JSON)
_DEFAULT_ACCEPT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
_STAGES = ("input_fn", "predict_fn", "output_fn")
# As many as the worker predicts one by one in each batch.
_REMEMBERED = 3


class InferenceScript:
    """The functions of a script, with the model that its model_fn loaded."""

    def __init__(self, script: ModuleType, model: Any, *, default_accept: str = _JSON) -> None:
        self._model = model
        self._default_accept = default_accept
        self._input_fn = getattr(script, "input_fn", _default_input_fn)
        self._predict_fn = getattr(script, "predict_fn", _default_predict_fn)
        self._output_fn = getattr(script, "output_fn", _default_output_fn)
        self._seen: deque[tuple[Any, Any]] = deque(maxlen=_REMEMBERED)

    def read(self, body: bytes, content_type: str) -> Any:
        """Call input_fn."""
        return self._input_fn(_as_text(body, content_type), content_type)

    def predict(self, data: Any) -> Any:
        """Call predict_fn, and remember the result to check batches with."""
        prediction = self._predict_fn(data, self._model)
        self._seen.append((data, prediction))
        return prediction

    def predict_all(self, inputs: Sequence[Any]) -> list[Any] | None:
        """
        Call predict_fn once for all rows, if that does not change its answers.

        The last inputs are added to the batch. If any of them gets another answer than alone, the result is
        None: predict_fn then looks at more than single rows, or does not return rows.
        """
        tables = [data for data, _ in self._seen] + list(inputs)
        if not self._seen or not _are_tables_alike(tables):
            return None
        counts = [len(data) for data in tables]
        together = self._predict_fn(np.vstack(tables), self._model)
        if not isinstance(together, np.ndarray) or len(together) != sum(counts):
            return None
        parts = np.split(together, np.cumsum(counts)[:-1])
        known = len(self._seen)
        if all(_same(part, alone) for part, (_, alone) in zip(parts, self._seen, strict=False)):
            return parts[known:]
        return None

    def write(self, prediction: Any, *, content_type: str, accept: str | None) -> tuple[bytes, str]:  # noqa: ARG002
        """Call output_fn."""
        accept = _accept_or_default(accept, self._default_accept)
        return _body_and_type(self._output_fn(prediction, accept), accept)


class _TransformScript:
    """A script whose transform_fn does everything."""

    def __init__(self, script: ModuleType, model: Any, *, default_accept: str = _JSON) -> None:
        self._model = model
        self._default_accept = default_accept
        self._transform_fn = script.transform_fn

    def read(self, body: bytes, content_type: str) -> Any:
        """Return the body. transform_fn reads it later."""
        return _as_text(body, content_type)

    def predict(self, data: Any) -> Any:
        """Return the body unchanged."""
        return data

    def predict_all(self, inputs: Sequence[Any]) -> list[Any] | None:  # noqa: ARG002
        """Return None: transform_fn takes single requests."""
        return None

    def write(self, prediction: Any, *, content_type: str, accept: str | None) -> tuple[bytes, str]:
        """Call transform_fn."""
        accept = _accept_or_default(accept, self._default_accept)
        return _body_and_type(self._transform_fn(self._model, prediction, content_type, accept), accept)


def load_script(
    path: Path, model_dir: Path, environment: Mapping[str, str] = os.environ
) -> InferenceScript | _TransformScript:
    """
    Import the script at *path* and call its model_fn.

    Exceptions of the script are not caught.

    :raises FileNotFoundError: if there is no such script.
    :raises ValueError: for a transform_fn together with a function that it replaces.
    :raises NotImplementedError: if there is no model_fn.
    """
    if not path.is_file():
        raise FileNotFoundError(f"SAGEMAKER_PROGRAM names code/{path.name}, which is not in the artefact")
    script = _imported(path)
    stages = [name for name in _STAGES if hasattr(script, name)]
    if hasattr(script, "transform_fn") and stages:
        raise ValueError(f"{path.name} must not define transform_fn together with {', '.join(stages)}")
    if not hasattr(script, "model_fn"):
        raise NotImplementedError(f"{path.name} must define model_fn(model_dir): there is no default")
    kind = _TransformScript if hasattr(script, "transform_fn") else InferenceScript
    accept = environment.get(_DEFAULT_ACCEPT, _JSON)
    return kind(script, script.model_fn(str(model_dir)), default_accept=accept)


def _default_input_fn(body: str | bytes, content_type: str) -> np.ndarray:
    """Return a numpy array. A single CSV row becomes a flat array, which most scikit-learn models refuse."""
    if content_type == _CSV:
        return np.genfromtxt(io.StringIO(str(body)), delimiter=",").astype(np.float32)
    if content_type == _JSON:
        return np.array(json.loads(body)).astype(np.float32)
    if content_type == _NPY and isinstance(body, bytes):
        # Without pickle, because a request must not run code.
        array: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
        return array
    raise RequestRefused(415, f"content type must be one of {_CSV}, {_JSON}, {_NPY} (got {content_type!r})")


def _default_predict_fn(data: Any, model: Any) -> Any:
    """Call ``model.predict``."""
    return model.predict(data)


def _default_output_fn(prediction: Any, accept: str) -> tuple[bytes, str]:
    """Return the prediction in the accepted content type."""
    written = io.BytesIO()
    if accept == _JSON:
        return json.dumps(np.asarray(prediction).tolist()).encode(), accept
    if accept == _CSV:
        np.savetxt(written, np.asarray(prediction), delimiter=",", fmt="%s")
    elif accept == _NPY:
        np.save(written, np.asarray(prediction))
    else:
        raise RequestRefused(406, f"accept must be one of {_CSV}, {_JSON}, {_NPY} (got {accept!r})")
    return written.getvalue(), accept


def _accept_or_default(accept: str | None, default: str) -> str:
    """Return *accept*, or the default if the client accepts anything."""
    return default if accept is None or accept in {"", _ANY} else accept


def _imported(path: Path) -> ModuleType:
    # The script can import modules in its folder, and pickle finds the classes that it defines.
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = script
    spec.loader.exec_module(script)
    return script


def _as_text(body: bytes, content_type: str) -> str | bytes:
    return body.decode(errors="replace") if content_type in _TEXTS else body


def _body_and_type(answer: Any, accept: str) -> tuple[bytes, str]:
    body, kind = answer if isinstance(answer, tuple) else (answer, accept)
    if isinstance(body, str):
        return body.encode(), kind
    if isinstance(body, bytes | bytearray):
        return bytes(body), kind
    raise TypeError(f"the answer must be str or bytes (got {type(body).__name__})")


def _are_tables_alike(tables: Sequence[Any]) -> bool:
    return all(isinstance(data, np.ndarray) and data.ndim == 2 for data in tables) and (  # noqa: PLR2004
        len({(data.shape[1], data.dtype) for data in tables}) == 1
    )


def _same(part: np.ndarray, alone: Any) -> bool:
    if not isinstance(alone, np.ndarray) or part.shape != alone.shape:
        return False
    if part.dtype.kind in "fc":
        # A batch may add up floats in another order than a single row.
        return bool(np.allclose(part, alone, equal_nan=True))
    return bool(np.array_equal(part, alone))
