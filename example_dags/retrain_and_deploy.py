"""
Retrain every night, and bring the new model into service with a canary that SageMaker can roll back.

The DAG trains, evaluates, registers and deploys a model. A quarter of the new fleet gets traffic first.
SageMaker watches two alarms for ten minutes, and shifts the rest of the traffic only if neither goes off. If
one goes off, SageMaker rolls the update back, and ``guarded_update`` fails with the name of the alarm.

The tasks before the update, and the parameters to change for your account, are in ``tumour_tasks.py``.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag
from tumour_tasks import (
    AWS_CONN_ID,
    ERROR_ALARM,
    LATENCY_ALARM,
    PARAMS,
    VERSION,
    create_endpoint_config,
    create_model,
    put_alarms,
    trained_and_evaluated,
)

from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # An endpoint can have only one update at a time.
    max_active_runs=1,
    params=PARAMS,
    tags=["example", "sagemaker"],
    doc_md=__doc__,
)
def retrain_and_deploy() -> None:
    artefact = trained_and_evaluated()
    model, endpoint_config = create_model(artefact), create_endpoint_config()
    alarms = put_alarms("{{ params.endpoint_name }}", VERSION, ERROR_ALARM, LATENCY_ALARM)
    guarded_update = SageMakerGuardedUpdateOperator(
        task_id="guarded_update",
        aws_conn_id=AWS_CONN_ID,
        endpoint_name="{{ params.endpoint_name }}",
        endpoint_config_name=VERSION,
        strategy=Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5)),
        alarms=[ERROR_ALARM, LATENCY_ALARM],
        deferrable=True,
        # Seconds between two calls. 30 is good for AWS; the demo sets a smaller number for its simulator.
        waiter_delay=int(os.environ.get("ROLLOUT_WAITER_DELAY", "30")),
        # A retry finds the update of the first try and waits for it. A rollback is not retried.
        retries=2,
        retry_delay=timedelta(minutes=1),
    )
    artefact >> [model, alarms]
    model >> endpoint_config
    [endpoint_config, alarms] >> guarded_update
    # If guarded_update is marked failed while no triggerer runs, this task rolls the update back.
    SageMakerConcludeRolloutOperator(task_id="conclude", update=guarded_update)


retrain_and_deploy()
