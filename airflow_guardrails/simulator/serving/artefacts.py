"""Artefacts without code that can be served: scikit-learn, MLflow's layout, XGBoost, LightGBM."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from airflow_guardrails.simulator.serving.inference_script import ModelAlone, RequestRefused, error_text

_MLFLOW_KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# The names under which SageMaker's own containers and MLflow save them.
_XGBOOST = ("xgboost-model", "model.xgb", "model.ubj", "model.json")
_LIGHTGBM = ("lightgbm-model", "lightgbm_model.txt", "model.txt", "model.lgb")


class UnknownArtefact(ValueError):
    """The artefact has no model that the simulator can serve."""


def load_model_alone(directory: Path) -> ModelAlone:
    """
    Load the model in an unpacked artefact.

    :raises UnknownArtefact: if there is none of a known kind, or its library is not installed.
    """
    if (directory / "model.joblib").is_file():
        return ModelAlone(_library("joblib").load(directory / "model.joblib"))
    if (directory / "MLmodel").is_file():
        return MlflowModel(_mlflow(directory))
    if path := _first(directory, _XGBOOST):
        return ModelAlone(_XGBoost(path))
    if path := _first(directory, _LIGHTGBM):
        return ModelAlone(_library("lightgbm").Booster(model_file=str(path)))
    there = ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"
    raise UnknownArtefact(
        f"the artefact has {there}: it needs code/inference.py, or a file that is served without code: "
        f"model.joblib, MLmodel, {', '.join((*_XGBOOST, *_LIGHTGBM))}"
    )


class MlflowModel(ModelAlone):
    """A model that takes the requests of MLflow's scoring server, as JSON."""

    def read(self, body: bytes, content_type: str) -> list[list[float]]:
        """Return the rows of a request, in any of the forms that MLflow's scoring server takes as JSON."""
        if content_type.partition(";")[0].strip() != "application/json":
            return super().read(body, content_type)
        try:
            rows = _rows(json.loads(body))
        except (ValueError, TypeError, KeyError) as error:
            raise RequestRefused(400, f"cannot read the body: {error_text(error)}") from None
        return super().read(json.dumps({"instances": rows}).encode(), content_type)


def _rows(request: Mapping[str, Any]) -> list[Any]:
    key = next((key for key in _MLFLOW_KEYS if key in request), None)
    if key is None:
        raise ValueError(f"it must have one of {', '.join(_MLFLOW_KEYS)}")
    rows = request[key]
    if key == "dataframe_split":
        rows = rows["data"]
    return [list(row.values()) if isinstance(row, Mapping) else row for row in rows]


class _XGBoost:
    def __init__(self, path: Path) -> None:
        self._library = _library("xgboost")
        self._booster = self._library.Booster()
        self._booster.load_model(str(path))

    def predict(self, rows: Any) -> Any:
        # Without names: a model that was trained with names would refuse rows without them.
        self._booster.feature_names = None
        return self._booster.predict(self._library.DMatrix(rows))


class _Pyfunc:
    """Gives MLflow the columns that the signature of the model names."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, rows: Any) -> Any:
        schema = self._model.metadata.get_input_schema()
        if schema is None or schema.is_tensor_spec():
            return self._model.predict(rows)
        return self._model.predict(_library("pandas").DataFrame(rows, columns=schema.input_names()))


def _mlflow(directory: Path) -> Any:
    """Load a model in MLflow's layout; a pickled scikit-learn model needs no MLflow."""
    flavours = _library("yaml").safe_load((directory / "MLmodel").read_text())["flavors"]
    sklearn = flavours.get("sklearn") or {}
    path = directory / str(sklearn.get("pickled_model", ""))
    if sklearn.get("serialization_format") in {"pickle", "cloudpickle"} and path.is_file():
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301 - loading a model runs its code, on AWS as here
    if "python_function" not in flavours:
        raise UnknownArtefact(f"MLmodel has the flavours {', '.join(flavours)}, not python_function")
    return _Pyfunc(_library("mlflow.pyfunc").load_model(str(directory)))


def _first(directory: Path, names: tuple[str, ...]) -> Path | None:
    return next((directory / name for name in names if (directory / name).is_file()), None)


def _library(name: str) -> Any:
    importing: Callable[[str], Any] = import_module
    try:
        return importing(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise UnknownArtefact(
            f"the artefact needs {package}, which the simulator does not find: pip install {package}"
        ) from error
