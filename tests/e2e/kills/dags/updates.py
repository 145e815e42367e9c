"""Guarded updates that wait in the triggerer, or in a worker; a run's conf names endpoint and target."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary

for where, deferrable in (("in_triggerer", True), ("in_worker", False)):
    with DAG(dag_id=f"update_{where}", schedule=None):
        SageMakerGuardedUpdateOperator(
            task_id="update",
            endpoint_name="{{ dag_run.conf['endpoint'] }}",
            endpoint_config_name="{{ dag_run.conf['target'] }}",
            # So long that only a test that moves the clock sees its end.
            strategy=Canary(percent=25, bake=timedelta(hours=1)),
            deferrable=deferrable,
            waiter_delay=1,
            on_kill="abort",
            retries=1,
            retry_delay=timedelta(seconds=1),
        )
