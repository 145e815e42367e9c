"""Artefacts without code that are served: MLflow's layout, XGBoost, LightGBM; and those that are not."""

from __future__ import annotations

import importlib.util
import json
import pickle

import pytest

from airflow_guardrails.simulator.serving.artefacts import (
    MlflowModel,
    UnknownArtefact,
    load_model_alone,
)
from airflow_guardrails.simulator.serving.inference_script import RequestRefused
from tests.support.hosting_helper import doubling

ROW = [3.0, 0.0]
MLMODEL = """
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}
  sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle}
"""


@pytest.fixture
def mlflow_model(tmp_path):
    (tmp_path / "MLmodel").write_text(MLMODEL)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(doubling()))
    return load_model_alone(tmp_path)


@pytest.mark.parametrize(
    "request_body",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [ROW]}},
        {"dataframe_records": [{"a": 3.0, "b": 0.0}]},
        {"instances": [ROW]},
        {"inputs": [ROW]},
    ],
)
def test_a_model_in_mlflows_layout_takes_each_form_of_its_scoring_server(mlflow_model, request_body):
    rows = mlflow_model.read(json.dumps(request_body).encode(), "application/json; charset=utf-8")
    body, kind = mlflow_model.write(mlflow_model.predict(rows), content_type="application/json", accept=None)

    assert isinstance(mlflow_model, MlflowModel)
    assert json.loads(body)["predictions"] == pytest.approx([6.0])
    assert kind == "application/json"


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"rows": []}', b'{"dataframe_split": {}}'])
def test_another_request_is_the_callers_error(mlflow_model, body):
    with pytest.raises(RequestRefused, match="cannot read the body"):
        mlflow_model.read(body, "application/json")


def test_a_layout_that_only_mlflow_can_read_needs_mlflow(tmp_path):
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: mlflow.pytorch}}")

    with pytest.raises(UnknownArtefact, match="pip install mlflow"):
        load_model_alone(tmp_path)


def test_a_layout_without_a_python_function_is_unknown(tmp_path):
    (tmp_path / "MLmodel").write_text("flavors: {crate: {version: 1}}")

    with pytest.raises(UnknownArtefact, match="flavours crate, not python_function"):
        load_model_alone(tmp_path)


@pytest.mark.parametrize(("name", "library"), [("xgboost-model", "xgboost"), ("model.txt", "lightgbm")])
def test_a_model_whose_library_is_missing_says_which(tmp_path, name, library):
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    (tmp_path / name).write_bytes(b"")

    with pytest.raises(UnknownArtefact, match=f"pip install {library}"):
        load_model_alone(tmp_path)


def test_an_artefact_with_something_else_names_what_is_there_and_what_is_known(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"")

    with pytest.raises(UnknownArtefact, match=r"has weights\.pt: it needs code/inference\.py.*xgboost-model"):
        load_model_alone(tmp_path)
