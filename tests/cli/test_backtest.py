"""``python -m airflow_guardrails backtest`` says what alarms and analysis would have done lately."""

from __future__ import annotations

import json

import pytest

from airflow_guardrails.cli.main import main

DAG = """
from datetime import timedelta
from airflow.sdk import dag
from airflow_guardrails.guards import Alarm, ErrorRate, Metric
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.rules import CanaryAnalysis, MetricRule
from airflow_guardrails.strategies import Canary

@dag(schedule=None)
def deploy():
    SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="{endpoint}",
        endpoint_config_name="{{{{ ds }}}}",
        strategy=Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=10)),
        alarms=["errors", "missing", "of-{{{{ ds }}}}"],
        {more}
    )
    SageMakerAbortRolloutOperator(task_id="abort", endpoint_name="churn")

deploy()
"""
ANALYSIS = (
    "analysis=CanaryAnalysis(rules=[MetricRule('Invocation5XXErrors', stat='Sum', margin=0.01),"
    " MetricRule('ModelLatency', stat='p99', margin='50%')]),"
)


@pytest.fixture
def dag_file(tmp_path):
    def write(*, endpoint: str = "churn", more: str = "") -> str:
        file = tmp_path / "deploy.py"
        file.write_text(DAG.format(endpoint=endpoint, more=more))
        return str(file)

    return write


@pytest.fixture
def served(churn):
    """The endpoint has served for half an hour; for one minute of it, every request failed."""
    client = churn.simulator.client
    client.replay("churn", ["1,2,3"], per_minute=60)
    churn.advance(minutes=20)
    client.profile("churn", error_rate=1.0)
    churn.advance(minutes=1)
    client.clear_profile("churn")
    churn.advance(minutes=14)
    return churn


def test_alarms_are_replayed_on_the_last_days(served, dag_file, capfd):
    assert main(["backtest", dag_file(), "--task-id", "update", "--days", "1", "--format", "json"]) == 0

    result = json.loads(capfd.readouterr().out)
    (alarm,) = result["alarms"]
    assert (alarm["name"], alarm["went_off"]) == ("errors", 1)
    # The two bakes of ten minutes meet it from almost any minute of the half hour.
    assert 0.5 < alarm["share_rolled_back"] < 1
    assert 25 < alarm["periods_with_data"] < 40
    assert result["variants"][0]["requests"] == pytest.approx(60 * 32, abs=180)
    assert result["notes"] == [
        "Not replayed: alarms='of-{{ ds }}': * is what is known only when the task runs",
        "Not replayed: alarm missing does not exist",
    ]


def test_the_text_is_short(served, dag_file, capfd):
    assert main(["backtest", dag_file(), "--task-id", "update", "--days", "1"]) == 0

    said = capfd.readouterr().out
    assert "  errors: went off 1 time; would roll back " in said
    assert "    AWS/SageMaker Invocation5XXErrors Average, 1 min; " in said
    assert "Variant AllTraffic: " in said
    assert len(said.splitlines()) < 15


GUARDS = (
    "guards=[ErrorRate(above=0.01), Alarm(expression='m1 * 2', above=5, on='both',"
    " metrics={'m1': Metric(metric='Invocations', stat='Sum')})],"
)


def test_guards_are_replayed_on_the_fleet_in_service(served, dag_file, capfd):
    arguments = ["backtest", dag_file(more=GUARDS), "--task-id", "update", "--days", "1"]

    assert main([*arguments, "--format", "json"]) == 0

    result = json.loads(capfd.readouterr().out)
    _, guard = result["alarms"]
    assert guard["name"] == "5xx errors of the new fleet > 1 %, 1 min"
    assert guard["watches"].startswith("AWS/SageMaker Invocation5XXErrors Average, 1 min")
    # The fleet failed for one minute, which two datapoints may have.
    assert guard["went_off"] == 1
    assert 25 < guard["periods_with_data"] < 40
    replayed = "it watches the fleet of one configuration, and is replayed on the fleet in service"
    assert f"{guard['name']}: {replayed}" in result["notes"]
    assert any("does not compare one metric with a threshold" in note for note in result["notes"])


@pytest.mark.proof
def test_the_analysis_is_run_on_random_splits(churn, dag_file, capfd):
    churn.simulator.client.profile("churn", error_rate=0.002)
    churn.simulator.client.replay("churn", ["1,2,3"], per_minute=600)
    churn.advance(minutes=150)
    arguments = ["backtest", dag_file(more=ANALYSIS), "--task-id", "update", "--days", "1"]

    assert main([*arguments, "--format", "json"]) == 0
    (variant,) = json.loads(capfd.readouterr().out)["variants"]
    assert main(arguments) == 0
    said = capfd.readouterr().out

    analysis = variant["analysis"]
    assert variant["share"] == [0.2]
    assert analysis["trials"] > 90
    assert analysis["false_alarms_interval"][0] < 0.05
    errors, latency = analysis["found"]
    assert 0.01 < errors["size"] <= 0.2
    assert latency["metric"] == "ModelLatency"
    assert f"false alarms: {analysis['false_alarms']} (" in said
    assert "of the requests fail in addition: by minute" in said
    assert "ModelLatency p99 " in said


@pytest.mark.parametrize(
    ("endpoint", "more", "said"),
    [
        ("churn", ["--task-id", "abort"], "--task-id must be a guarded update (got abort,"),
        ("{{ ds }}", ["--task-id", "update"], "--endpoint-name must be given"),
        ("other", ["--task-id", "update"], "Endpoint other does not exist in us-east-1"),
    ],
)
def test_what_cannot_be_done_is_said_with_status_2(churn, dag_file, capfd, endpoint, more, said):
    assert main(["backtest", dag_file(endpoint=endpoint), *more]) == 2
    assert said in capfd.readouterr().err


def test_a_denied_call_is_named(churn, dag_file, capfd):
    churn.simulator.client.set_policies([])

    assert main(["backtest", dag_file(), "--task-id", "update"]) == 2
    assert "not authorized to perform: sagemaker:DescribeEndpoint" in capfd.readouterr().err


def test_the_endpoint_may_be_another_one(served, dag_file, capfd):
    arguments = ["backtest", dag_file(endpoint="{{ ds }}"), "--task-id", "update", "--endpoint-name", "churn"]

    assert main([*arguments, "--aws-conn-id", "aws_default", "--days", "1"]) == 0
    assert capfd.readouterr().out.startswith("Endpoint churn, 2026-03-01T10:")


@pytest.mark.parametrize("days", ["0", "15", "x"])
def test_days_are_those_that_cloudwatch_keeps(dag_file, capfd, days):
    with pytest.raises(SystemExit) as caught:
        main(["backtest", dag_file(), "--task-id", "update", "--days", days])
    assert caught.value.code == 2
