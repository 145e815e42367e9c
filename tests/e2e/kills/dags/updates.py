"""Guarded updates that wait in the triggerer, or in a worker; a run's conf names endpoint and target."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

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


class UpdateThatNoTriggererTakesInTime(SageMakerGuardedUpdateOperator):
    """Airflow's own time-out of its wait comes while the update is in flight."""

    def defer(self, **kwargs: Any) -> NoReturn:
        super().defer(**{**kwargs, "timeout": timedelta(seconds=20)})


class UpdateWhoseTriggerFails(SageMakerGuardedUpdateOperator):
    """The triggerer cannot import its trigger, as one with an older release installed."""

    def defer(self, *, trigger: Any, **kwargs: Any) -> NoReturn:
        trigger.serialize = lambda: ("airflow_guardrails.triggers.later.Trigger", {})
        super().defer(trigger=trigger, **kwargs)


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

with DAG(dag_id="update_no_triggerer_in_time", schedule=None):
    UpdateThatNoTriggererTakesInTime(**{**ARGUMENTS, "deferrable": True, "retries": 0})

with DAG(dag_id="update_trigger_fails", schedule=None):
    UpdateWhoseTriggerFails(**{**ARGUMENTS, "deferrable": True, "retries": 0})
