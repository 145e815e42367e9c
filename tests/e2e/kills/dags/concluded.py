"""A guarded update with the task behind it that aborts it where no triggerer lives."""

from __future__ import annotations

import importlib.util
from datetime import timedelta

from airflow.sdk import DAG

from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary

# The test that needs this DAG is skipped where there is no such operator.
if importlib.util.find_spec("airflow_guardrails.operators.conclude"):
    from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator

    with DAG(dag_id="update_concluded", schedule=None):
        update = SageMakerGuardedUpdateOperator(
            task_id="update",
            endpoint_name="{{ dag_run.conf['endpoint'] }}",
            endpoint_config_name="{{ dag_run.conf['target'] }}",
            strategy=Canary(percent=25, bake=timedelta(hours=1)),
            deferrable=True,
            waiter_delay=1,
            max_describe_gap=2,
            on_kill="abort",
        )
        SageMakerConcludeRolloutOperator(task_id="conclude", update=update)
