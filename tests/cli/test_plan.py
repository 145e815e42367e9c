"""``python -m airflow_guardrails plan``, and a dry run, say what an update would do and change nothing."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_guardrails.cli.main import main
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary

DAG = """
from datetime import timedelta
from airflow.sdk import dag, task
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary

@dag(schedule=None, params={"alarm": "errors"})
def deploy():
    @task
    def train():
        return "churn-tonight"

    SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        model_name=train(),
        strategy=Canary(percent=25, bake=timedelta(minutes=10)),
        alarms=["{{ params.alarm }}"],
    )

deploy()
"""
WRITES = ("UpdateEndpoint", "CreateEndpointConfig", "PutMetricAlarm", "AddTags")


@pytest.fixture
def dag_file(tmp_path):
    def write(text: str = DAG) -> str:
        file = tmp_path / "deploy.py"
        file.write_text(text)
        return str(file)

    return write


def changed(churn):
    return sum(map(churn.calls, WRITES))


def test_the_plan_is_printed_without_a_run(churn, dag_file, capfd):
    assert main(["plan", dag_file()]) == 0

    text = capfd.readouterr().out
    assert text.startswith("Update of endpoint churn\n\n- In service: churn-v1: model churn, 4 instances")
    assert "- Known only when the update runs: model_name\n" in text
    assert "- Alarms that roll it back: errors (" in text
    assert "- Minute 10: 100 % of the traffic" in text
    assert changed(churn) == 0


def test_the_plan_is_printed_as_json(churn, dag_file, capfd):
    assert main(["plan", dag_file(), "--task-id", "update", "--format", "json"]) == 0

    plan = json.loads(capfd.readouterr().out)["update"]
    assert (plan["endpoint_name"], plan["findings"][0]["code"]) == ("churn", "extra_instances")


def test_an_error_that_would_stop_the_update_is_the_exit_status(churn, dag_file, capfd):
    assert main(["plan", dag_file(DAG.replace('"errors"', '"missing"'))]) == 1

    assert "Checks before the update: 1 error would stop the update" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--task-id", "train"], "must have a guarded update"), (["--task-id", "none"], "--task-id must be")],
)
def test_what_is_no_update_has_no_plan(churn, dag_file, capfd, arguments, text):
    assert main(["plan", dag_file(), *arguments]) == 2

    assert text in capfd.readouterr().err


def test_an_argument_that_breaks_a_rule_is_said(churn, dag_file, capfd):
    assert main(["plan", dag_file(DAG.replace('endpoint_name="churn"', 'endpoint_name="no name"'))]) == 2

    assert "endpoint_name must" in capfd.readouterr().err


UPDATE = {
    "task_id": "update",
    "endpoint_name": "churn",
    "strategy": Canary(percent=25, bake=timedelta(minutes=9)),
}


def test_a_dry_run_prints_the_plan(churn, capsys):
    SageMakerGuardedUpdateOperator(**UPDATE, endpoint_config_name="churn-v2", alarms=["errors"]).dry_run()

    text = capsys.readouterr().out
    assert "- To deploy: churn-v2: model churn, 4 instances ml.m5.large\n" in text
    assert "No change of the configuration" in text
    assert changed(churn) == 0


@pytest.mark.parametrize("kind", [SageMakerGuardedUpdateOperator, SageMakerRollbackOperator])
def test_a_task_that_airflow_tests_with_the_variable_for_a_dry_run_changes_nothing(
    churn, context, capsys, monkeypatch, kind
):
    monkeypatch.setenv("AIRFLOW_GUARDRAILS_DRY_RUN", "true")
    # As airflow tasks test sets it.
    monkeypatch.setenv("AIRFLOW_TEST_MODE", "True")
    target = {"to": "churn-v2"} if kind is SageMakerRollbackOperator else {"endpoint_config_name": "churn-v2"}

    with pytest.raises(AirflowSkipException, match="Dry run: nothing was changed"):
        kind(**UPDATE, **target).execute(context)

    assert "- To deploy: churn-v2" in capsys.readouterr().out
    assert changed(churn) == 0


def test_the_variable_for_a_dry_run_leaves_out_no_deployment(churn, context, simulated_sleep, monkeypatch):
    monkeypatch.setenv("AIRFLOW_GUARDRAILS_DRY_RUN", "true")
    task = SageMakerGuardedUpdateOperator(**UPDATE, endpoint_config_name="churn-v2", alarms=["errors"])
    task.sleep, task.monotonic = simulated_sleep, lambda: churn.now().timestamp()

    assert task.execute(context)["outcome"] == "Succeeded"
