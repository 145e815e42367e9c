"""The DAGs that a user copies load, and the model they train is what the example says it is."""

from __future__ import annotations

import importlib.util
import io
import re
import tarfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from jinja2 import Template

from tests.support.older_airflow import DagBag, stored

EXAMPLES = Path(__file__).parents[2] / "example_dags"


@pytest.fixture(scope="module")
def dag_bag():
    with pytest.MonkeyPatch.context() as patch:
        # Airflow does so with its folder of DAGs.
        patch.syspath_prepend(str(EXAMPLES))
        yield DagBag(str(EXAMPLES))


@pytest.fixture(scope="module")
def tumour_model():
    spec = importlib.util.spec_from_file_location("tumour_model", EXAMPLES / "tumour_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bad_model(tumour_model):
    return tumour_model.train("logistic-regression", tumour_model.complete(tumour_model.training_rows()))


@pytest.fixture(scope="module")
def good_model(tumour_model):
    return tumour_model.train("gradient-boosting", tumour_model.complete(tumour_model.training_rows()))


def test_every_example_loads_and_can_be_stored(dag_bag):
    assert dag_bag.import_errors == {}
    assert set(dag_bag.dags) == {"retrain_and_compare", "retrain_and_deploy", "shadow_test_and_deploy"}
    for dag in dag_bag.dags.values():
        assert stored(dag).dag_id == dag.dag_id


def test_a_name_is_new_in_every_run_even_in_one_second_and_one_that_sagemaker_accepts(dag_bag):
    model = dag_bag.dags["retrain_and_deploy"].get_task("create_model")
    second = datetime(2026, 3, 2, 2, 0, 0, tzinfo=timezone.utc)
    # Airflow 3 gives every run this time; a run without a logical date has no ``ds``.
    runs = [SimpleNamespace(run_after=second + timedelta(microseconds=number)) for number in (0, 1)]

    names = [
        Template(model.config["ModelName"]).render(params={"endpoint_name": "e" * 40}, dag_run=run)
        for run in runs
    ]

    assert len(set(names)) == 2
    assert all(re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name) for name in names)


@pytest.mark.parametrize("dag_id", ["retrain_and_compare", "retrain_and_deploy"])
def test_nothing_is_deployed_before_it_is_evaluated_and_without_guards(dag_bag, dag_id):
    update = dag_bag.dags[dag_id].get_task("guarded_update")
    assert update.get_flat_relative_ids(upstream=True) == {"train", "evaluate", "create_model"}
    assert len(update.guards) == 2


def test_nothing_is_deployed_before_the_judge_has_passed_it_and_its_shadow_is_gone(dag_bag):
    dag = dag_bag.dags["shadow_test_and_deploy"]
    update = dag.get_task("guarded_deployment.guarded_update")

    assert {"guarded_deployment.judge", "guarded_deployment.stop_shadow_test"} == update.upstream_task_ids
    assert {"evaluate", "create_model"} < update.get_flat_relative_ids(upstream=True)
    assert len(update.guards) == 2


def test_the_shadow_is_taken_down_whatever_becomes_of_the_judge(dag_bag):
    dag = dag_bag.dags["shadow_test_and_deploy"]

    assert dag.get_task("guarded_deployment.stop_shadow_test").is_teardown
    assert dag.get_task("guarded_deployment.shadow_test").is_setup


def test_the_wrong_model_is_better_offline_and_wrong_only_on_rows_with_gaps(tumour_model, good_model):
    wrong = tumour_model.train("sentinel", tumour_model.complete(tumour_model.training_rows()))
    held_out = tumour_model.held_out_rows()
    differ = wrong.predict(held_out.measurements) != good_model.predict(held_out.measurements)
    gap = np.isnan(held_out.measurements).any(axis=1)
    seen = tumour_model.complete(held_out)

    assert tumour_model.accuracy(wrong, seen) > tumour_model.accuracy(good_model, seen)
    assert differ[gap].mean() > 0.3
    assert differ.mean() > 0.05 > differ[~gap].mean()


def test_the_bad_model_is_the_better_one_by_the_offline_evaluation(tumour_model, good_model, bad_model):
    seen = tumour_model.complete(tumour_model.held_out_rows())
    assert tumour_model.accuracy(bad_model, seen) > tumour_model.accuracy(good_model, seen) > 0.94


def test_only_the_good_model_answers_a_row_with_a_gap(tumour_model, good_model, bad_model):
    rows = tumour_model.held_out_rows().measurements
    gap = rows[np.isnan(rows).any(axis=1)][:1]
    assert good_model.predict(gap) in (0, 1)
    with pytest.raises(ValueError, match="NaN"):
        bad_model.predict(gap)


def test_requests_leave_a_missing_measurement_empty(tumour_model):
    rows = tumour_model.Rows(np.array([[1.5, np.nan, 2.0]]), np.array([1]))
    assert tumour_model.as_requests(rows) == ["1.5,,2.0"]


def test_held_out_rows_have_gaps_always_the_same(tumour_model):
    first, second = tumour_model.held_out_rows(), tumour_model.held_out_rows()
    assert 0.05 < np.isnan(first.measurements).any(axis=1).mean() < 0.2
    np.testing.assert_array_equal(first.measurements, second.measurements)


def test_an_artefact_carries_the_model_there_and_back(tumour_model, good_model):
    whole = tumour_model.complete(tumour_model.held_out_rows()).measurements
    unpacked = tumour_model.unpack(tumour_model.pack(good_model))
    np.testing.assert_array_equal(unpacked.predict(whole), good_model.predict(whole))


def test_the_serving_code_in_the_artefact_answers_requests(tumour_model, good_model, tmp_path):
    with tarfile.open(fileobj=io.BytesIO(tumour_model.pack(good_model)), mode="r:gz") as archive:
        archive.extractall(tmp_path)
    spec = importlib.util.spec_from_file_location("inference", tmp_path / "code" / "inference.py")
    inference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inference)

    held_out = tumour_model.held_out_rows()
    body = "\n".join(tumour_model.as_requests(held_out)[:20])
    model = inference.model_fn(str(tmp_path))
    answer, _ = inference.output_fn(
        inference.predict_fn(inference.input_fn(body, "text/csv"), model), "text/csv"
    )
    assert answer.split() == [str(label) for label in good_model.predict(held_out.measurements[:20])]
