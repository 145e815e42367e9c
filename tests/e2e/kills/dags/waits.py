"""Waits for updates that something else launched, one mapped task each; a run's conf names them all."""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor


@task
def updates(dag_run=None) -> list[dict[str, str]]:
    """The arguments of each wait: ``endpoint_name`` and ``endpoint_config_name``."""
    return dag_run.conf["updates"]


with DAG(dag_id="waits", schedule=None):
    SageMakerRolloutSensor.partial(task_id="wait", deferrable=True, poke_interval=1).expand_kwargs(updates())
