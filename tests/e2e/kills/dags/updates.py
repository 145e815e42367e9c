"""Guarded updates that wait in the triggerer, or in a worker; a run's conf names endpoint and target."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary


class UpdateThatFailsWhenTriedAgain(SageMakerGuardedUpdateOperator):
    """Its second try fails at once, as one whose DAG was broken meanwhile."""

    def execute(self, context: Any) -> Any:
        if context["ti"].try_number > 1:
            raise InvalidArgument("this try is to fail")
        return super().execute(context)


ARGUMENTS = {
    "task_id": "update",
    "endpoint_name": "{{ dag_run.conf['endpoint'] }}",
    "endpoint_config_name": "{{ dag_run.conf['target'] }}",
    # So long that only a test that moves the clock sees its end.
    "strategy": Canary(percent=25, bake=timedelta(hours=1)),
    "waiter_delay": 1,
    # Stages are seen soon, whatever a list says.
    "max_describe_gap": 2,
    "retries": 1,
    "retry_delay": timedelta(seconds=1),
}

for where, deferrable in (("in_triggerer", True), ("in_worker", False)):
    with DAG(dag_id=f"update_{where}", schedule=None):
        SageMakerGuardedUpdateOperator(deferrable=deferrable, **ARGUMENTS)

    with DAG(dag_id=f"update_{where}_fails_again", schedule=None):
        UpdateThatFailsWhenTriedAgain(deferrable=deferrable, **ARGUMENTS)

    with DAG(dag_id=f"update_{where}_times_out", schedule=None, dagrun_timeout=timedelta(seconds=100)):
        SageMakerGuardedUpdateOperator(deferrable=deferrable, **ARGUMENTS)
