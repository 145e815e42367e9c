"""A guarded update with the task behind it that concludes it, also if no triggerer runs."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary

with DAG(dag_id="update_concluded", schedule=None):
    update = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="{{ dag_run.conf['endpoint'] }}",
        endpoint_config_name="{{ dag_run.conf['target'] }}",
        # So long that only a test that moves the clock sees its end.
        strategy=Canary(percent=25, bake=timedelta(hours=1)),
        deferrable=True,
        waiter_delay=1,
        # Stages are seen soon, whatever a list says.
        max_describe_gap=2,
    )
    SageMakerConcludeRolloutOperator(task_id="conclude", update=update)
