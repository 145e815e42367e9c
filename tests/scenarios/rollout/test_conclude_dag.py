"""The concluding task in a DAG: one line puts it behind an update as a teardown, and Airflow can store it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import DAG, Asset, task_group

from airflow_guardrails.assets import ROLLOUTS
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_variant import SageMakerAddShadowVariantOperator
from airflow_guardrails.strategies import Canary
from tests.support.older_airflow import stored as stored_dag

CANARY = Canary(percent=25, bake=timedelta(minutes=10))
UPDATE = {"endpoint_config_name": "churn-v2", "strategy": CANARY}


@pytest.fixture
def dag():
    defaults = {"aws_conn_id": "of_the_dag", "endpoint_name": "of-the-dag", "on_kill": "leave"}
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    with DAG("deploy", start_date=start, schedule=None, default_args=defaults) as dag:
        yield dag


def update(**changes):
    arguments = {"task_id": "update", "endpoint_name": "churn", **UPDATE}
    return SageMakerGuardedUpdateOperator(**{**arguments, **changes})


def stored(dag, task_id):
    """Return a task as the scheduler has it."""
    return stored_dag(dag).get_task(task_id)


def test_one_line_puts_it_behind_the_update_as_a_teardown(dag):
    SageMakerConcludeRolloutOperator(task_id="conclude", update=update())

    task = stored(dag, "conclude")
    assert task.upstream_task_ids == {"update"}
    assert (task.is_teardown, task.trigger_rule) == (True, "all_done_setup_success")
    assert task.on_failure_fail_dagrun is False
    assert [outlet.name for outlet in task.outlets] == [ROLLOUTS.name]
    assert stored(dag, "update").is_setup is False


def test_what_the_update_was_given_goes_before_default_args(dag):
    task = SageMakerConcludeRolloutOperator(
        task_id="conclude",
        update=update(aws_conn_id="its_own", region_name="eu-west-1", on_kill="abort", waiter_delay=7),
    )

    assert (task.endpoint_name, task.endpoint_config_name) == ("churn", "churn-v2")
    assert (task.aws_conn_id, task.region_name) == ("its_own", "eu-west-1")
    assert (task.abort_action, task.waiter_delay, task.deferrable) == ("abort", 7, False)


def test_what_it_was_given_itself_goes_before_the_updates(dag):
    task = SageMakerConcludeRolloutOperator(
        task_id="conclude",
        update=update(deferrable=False),
        aws_conn_id="its_own",
        deferrable=True,
        waiter_delay=5,
        outlets=[Asset("s3://bucket/key")],
    )

    assert (task.aws_conn_id, task.deferrable, task.waiter_delay) == ("its_own", True, 5)
    assert [outlet.name for outlet in task.outlets] == ["s3://bucket/key", ROLLOUTS.name]


def test_an_update_that_makes_its_configuration_is_concluded_without_its_name(dag):
    shadow = SageMakerAddShadowVariantOperator(
        task_id="shadow", endpoint_name="churn", shadow_model_name="candidate", strategy=CANARY
    )

    assert SageMakerConcludeRolloutOperator(task_id="conclude", update=shadow).endpoint_config_name is None


def test_each_instance_of_a_mapped_group_has_its_own(dag):
    @task_group
    def deploy(name):
        SageMakerConcludeRolloutOperator(task_id="conclude", update=update(endpoint_name=name))

    deploy.expand(name=["churn", "fraud"])

    task = stored(dag, "deploy.conclude")
    assert (task.upstream_task_ids, task.is_teardown) == ({"deploy.update"}, True)
    assert dag.get_task("deploy.conclude").update_task_id == "deploy.update"


def test_it_can_be_mapped_along_with_a_mapped_update(dag):
    names = ["churn", "fraud"]
    mapped = SageMakerGuardedUpdateOperator.partial(task_id="update", **UPDATE).expand(endpoint_name=names)
    conclude = SageMakerConcludeRolloutOperator.partial(task_id="conclude", update_task_id="update").expand(
        endpoint_name=names
    )
    mapped >> conclude.as_teardown()

    task = stored(dag, "conclude")
    assert (task.is_teardown, task.trigger_rule) == (True, "all_done_setup_success")
    instance = dag.get_task("conclude").unmap({"endpoint_name": "fraud"})
    assert (instance.endpoint_name, instance.update_task_id, instance.is_teardown) == (
        "fraud",
        "update",
        True,
    )
    assert ROLLOUTS in instance.outlets


def test_an_update_that_is_mapped_is_refused_with_what_to_do(dag):
    mapped = SageMakerGuardedUpdateOperator.partial(task_id="update", **UPDATE).expand(
        endpoint_name=["churn"]
    )

    with pytest.raises(InvalidArgument, match="for a mapped one, give update_task_id"):
        SageMakerConcludeRolloutOperator(task_id="conclude", update=mapped)
