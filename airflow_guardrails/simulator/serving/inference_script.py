"""
An artefact's ``code/inference.py``, called as SageMaker's scikit-learn container calls it.

``model_fn(model_dir)`` loads; a request goes through ``input_fn(body, content_type)``,
``predict_fn(data, model)`` and ``output_fn(prediction, accept)``, or through
``transform_fn(model, body, content_type, accept)`` alone. What is absent has the container's own default,
except model_fn: it has none. Source: aws/sagemaker-scikit-learn-container, sagemaker-containers.
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
    """A request the container answers with an HTTP *status* of its own instead of a prediction."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Handlers(Protocol):
    """One loaded model. Whatever these raise, other than Refused, is an HTTP 500."""

    def read(self, body: bytes, content_type: str) -> Any: ...

    def predict(self, data: Any) -> Any: ...

    def predict_all(self, inputs: Sequence[Any]) -> list[Any] | None:
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
            if kind == _JSON:
                rows = [[_number(value) for value in row] for row in json.loads(text)["instances"]]
            elif kind == _CSV:
                rows = [[_number(field) for field in row] for row in csv.reader(io.StringIO(text)) if row]
            else:
                raise RequestRefused(415, f"content type must be {_CSV} or {_JSON} (got {kind!r})")
        except (ValueError, TypeError, KeyError) as error:
            raise RequestRefused(400, f"cannot read the body as {kind}: {error_text(error)}") from None
        if not rows:
            raise RequestRefused(400, "the body holds no row")
        return rows

    def predict(self, data: list[list[float]]) -> list[Any]:
        import numpy as np  # noqa: PLC0415 - the simulator itself must start fast

        predictions: list[Any] = np.asarray(self._model.predict(np.array(data, dtype=float))).tolist()
        if len(predictions) != len(data):
            raise ValueError(f"the model made {len(predictions)} predictions for {len(data)} rows")
        return predictions

    def predict_all(self, inputs: Sequence[list[list[float]]]) -> list[list[Any]]:
        predictions = iter(self.predict([row for rows in inputs for row in rows]))
        return [[next(predictions) for _ in rows] for rows in inputs]

    def write(self, prediction: list[Any], *, content_type: str, accept: str | None) -> tuple[bytes, str]:
        kind = accept if accept in {_CSV, _JSON} else _JSON if _plain(content_type) == _JSON else _CSV
        return _render(prediction, kind).encode(), kind

    def warm_up(self) -> None:
        """A container has run its model before it takes traffic; a first call is slow for its own reasons."""
        features = getattr(self._model, "n_features_in_", None)
        if isinstance(features, int):
            self.predict([[0.0] * features])


def error_text(error: Exception) -> str:
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
_REMEMBERED = 3


class InferenceScript:
    """The functions of one script, and the model that its model_fn loaded."""

    def __init__(self, script: ModuleType, model: Any, *, default_accept: str = _JSON) -> None:
        self._model = model
        self._default_accept = default_accept
        self._input_fn = getattr(script, "input_fn", _default_input_fn)
        self._predict_fn = getattr(script, "predict_fn", _default_predict_fn)
        self._output_fn = getattr(script, "output_fn", _default_output_fn)
        self._seen: deque[tuple[Any, Any]] = deque(maxlen=_REMEMBERED)

    def read(self, body: bytes, content_type: str) -> Any:
        return self._input_fn(_as_text(body, content_type), content_type)

    def predict(self, data: Any) -> Any:
        prediction = self._predict_fn(data, self._model)
        self._seen.append((data, prediction))
        return prediction

    def predict_all(self, inputs: Sequence[Any]) -> list[Any] | None:
        """
        predict_fn once for all rows, where that has been seen to make no difference.

        The inputs answered last are asked again among the others: unless each of them gets what it got
        alone, this predict_fn looks beyond the single row, or answers something else than rows.
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
        accept = _accept_or_default(accept, self._default_accept)
        return _body_and_type(self._output_fn(prediction, accept), accept)


class _TransformScript:
    """A script with a transform_fn, which does all of it."""

    def __init__(self, script: ModuleType, model: Any, *, default_accept: str = _JSON) -> None:
        self._model = model
        self._default_accept = default_accept
        self._transform_fn = script.transform_fn

    def read(self, body: bytes, content_type: str) -> Any:
        return _as_text(body, content_type)

    def predict(self, data: Any) -> Any:
        return data

    def predict_all(self, inputs: Sequence[Any]) -> list[Any] | None:  # noqa: ARG002
        return None

    def write(self, prediction: Any, *, content_type: str, accept: str | None) -> tuple[bytes, str]:
        accept = _accept_or_default(accept, self._default_accept)
        return _body_and_type(self._transform_fn(self._model, prediction, content_type, accept), accept)


def load_script(
    path: Path, model_dir: Path, environment: Mapping[str, str] = os.environ
) -> InferenceScript | _TransformScript:
    """
    Import the script at *path* and let it load its model; whatever it raises, this raises.

    Raise FileNotFoundError where there is no such script, ValueError for a transform_fn beside one of the
    functions it replaces, NotImplementedError without a model_fn.
    """
    if not path.is_file():
        raise FileNotFoundError(f"SAGEMAKER_PROGRAM names code/{path.name}, which the artefact does not have")
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
    """A numpy array; of a single CSV row a flat one, which most scikit-learn models refuse."""
    if content_type == _CSV:
        return np.genfromtxt(io.StringIO(str(body)), delimiter=",").astype(np.float32)
    if content_type == _JSON:
        return np.array(json.loads(body)).astype(np.float32)
    if content_type == _NPY and isinstance(body, bytes):
        array: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
        return array
    raise RequestRefused(415, f"content type must be one of {_CSV}, {_JSON}, {_NPY} (got {content_type!r})")


def _default_predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data)


def _default_output_fn(prediction: Any, accept: str) -> tuple[bytes, str]:
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
    return default if accept is None or accept in {"", _ANY} else accept


def _imported(path: Path) -> ModuleType:
    # What stands beside the script can be imported by it, and a pickle finds the classes it defines.
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
        return bool(np.allclose(part, alone, equal_nan=True))
    return bool(np.array_equal(part, alone))
