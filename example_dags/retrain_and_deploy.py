"""
Retrain every night; let the new model take over a live endpoint by a canary that rolls itself back.

Train, evaluate, register and deploy: the last step is where production breaks. Here a quarter of the new
fleet goes live, SageMaker watches two alarms for ten minutes, and only then shifts the rest. If one goes off,
SageMaker goes back by itself, and ``guarded_update`` fails and says which alarm it was.

The tasks before it, and what to change for your account, are in ``tumour_tasks.py``.
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
    # Two updates of one endpoint would meet.
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
        # Half a minute suits AWS; in a simulator an hour passes in no time.
        waiter_delay=int(os.environ.get("ROLLOUT_WAITER_DELAY", "30")),
        # A retry finds its own update and goes on watching it. A rollback is never tried again.
        retries=2,
        retry_delay=timedelta(minutes=1),
    )
    artefact >> [model, alarms]
    model >> endpoint_config
    [endpoint_config, alarms] >> guarded_update
    # Marking guarded_update failed rolls it back, also while no triggerer runs.
    SageMakerConcludeRolloutOperator(task_id="conclude", update=guarded_update)


retrain_and_deploy()
