"""The code on docs/versions.md runs, and the page names what there is."""

from __future__ import annotations

import re

from airflow_guardrails.domain.versions.cleaning import TOO_NEW
from airflow_guardrails.domain.versions.history import MAX_RECORDS
from airflow_guardrails.domain.versions.record import RecordedOutcome
from airflow_guardrails.operators.clean_up import CleanUpReport
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.plugins._web.reads import ROLLBACK_TAG
from tests.support.pages import first_column, page, section

TEXT = page("versions")


def task_in(title: str, simulated_sleep):
    """Run the code under a heading, and return the task of its DAG."""
    (code,) = re.findall(r"```python\n(.*?)```", section(TEXT, title), re.DOTALL)
    names: dict = {}
    exec(code.replace("):\n", ") as dag:\n", 1), names)
    (task,) = names["dag"].tasks
    task.sleep = simulated_sleep
    return task


def test_the_rollback_on_the_page_goes_back(churn, context, simulated_sleep):
    churn.alarm("churn-errors")
    churn.simulator.simulation.world("us-east-1").sagemaker.update_endpoint(
        {"EndpointName": "churn", "EndpointConfigName": "churn-v2"}
    )
    churn.advance(minutes=60)
    task = task_in("Roll back", simulated_sleep)
    assert isinstance(task, SageMakerRollbackOperator)
    task.to = "churn-v1"  # nothing is recorded yet

    assert task.execute(context)["serving_endpoint_config_name"] == "churn-v1"


def test_the_dag_for_the_page_has_its_tag_and_rolls_back_the_endpoint_of_the_run(simulated_sleep):
    task = task_in("Roll back from the page", simulated_sleep)

    task.render_template_fields({"params": {"endpoint_name": "churn"}})

    assert isinstance(task, SageMakerRollbackOperator)
    assert task.endpoint_name == "churn"
    assert task.dag.tags == {ROLLBACK_TAG}
    assert list(task.dag.params) == ["endpoint_name"]


def test_the_clean_up_on_the_page_cleans_up_and_returns_the_fields_in_its_table(
    churn, context, simulated_sleep
):
    report = task_in("Clean up", simulated_sleep).execute(context)

    assert list(report) == list(CleanUpReport.__annotations__)
    assert set(report) == set(first_column(section(TEXT, "Clean up")))
    assert report["deleted"] == []


def test_the_numbers_and_words_on_the_page_are_those_in_force():
    assert f"at most {MAX_RECORDS} of them" in TEXT
    assert TOO_NEW.total_seconds() == 3600
    for outcome in RecordedOutcome:
        assert f"`{outcome.value}`" in section(TEXT, "Where it is kept")
