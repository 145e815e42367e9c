"""Updates that are concluded, one of them mapped, and DAGs that run when a rollout has ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task, task_group

from airflow_guardrails.assets import ROLLOUTS, rollout_asset
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary


def deploy(endpoint: Any, target: Any) -> None:
    update = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name=endpoint,
        endpoint_config_name=target,
        strategy=Canary(percent=25, bake=timedelta(minutes=10)),
        deferrable=True,
        waiter_delay=1,
        max_describe_gap=2,
        retries=1,
        retry_delay=timedelta(seconds=1),
    )
    SageMakerConcludeRolloutOperator(task_id="conclude", update=update)


@task
def report(triggering_asset_events: Any = None) -> dict[str, Any]:
    """Return the reports in the events that started this run, by the asset."""
    return {
        asset.uri: events[-1].extra
        for asset, events in triggering_asset_events.items()
        if hasattr(asset, "uri")
    }


with DAG(dag_id="deploy", schedule=None):
    deploy("{{ dag_run.conf['endpoint'] }}", "{{ dag_run.conf['target'] }}")

with DAG(dag_id="deploy_mapped", schedule=None):

    @task
    def names(dag_run: Any = None) -> list[dict[str, str]]:
        return list(dag_run.conf["updates"])

    @task_group
    def one(endpoint: str, target: str) -> None:
        deploy(endpoint, target)

    one.expand_kwargs(names())

with DAG(dag_id="after_rollback", schedule=[rollout_asset("churn-bad", "RolledBack")]):
    report()

with DAG(dag_id="after_success", schedule=[rollout_asset("churn-good", "Succeeded")]):
    report()

with DAG(dag_id="after_any", schedule=[ROLLOUTS]):
    report()
