"""
Retrain every night; compare the new fleet with the old one while a canary bakes, and go back if it is worse.

An alarm has a threshold: 250 ms, say. A model that takes 24 ms where the live one takes 20 ms stays far below
it, and costs a fifth more of everything from then on. While the canary bakes both serve the same clients, so
they can be compared minute by minute. If the new fleet is worse the update is undone, and ``guarded_update``
fails and says by how much; if nothing can be told, because nobody has asked, it is undone as well.

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

from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.rules import CanaryAnalysis, MetricRule
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
def retrain_and_compare() -> None:
    artefact = trained_and_evaluated()
    model, endpoint_config = create_model(artefact), create_endpoint_config()
    alarms = put_alarms("{{ params.endpoint_name }}", VERSION, ERROR_ALARM, LATENCY_ALARM)
    guarded_update = SageMakerGuardedUpdateOperator(
        task_id="guarded_update",
        aws_conn_id=AWS_CONN_ID,
        endpoint_name="{{ params.endpoint_name }}",
        endpoint_config_name=VERSION,
        # What minutes have in common has to be learned first: half an hour is a good time.
        strategy=Canary(percent=25, bake=timedelta(minutes=30), termination_wait=timedelta(minutes=5)),
        alarms=[ERROR_ALARM, LATENCY_ALARM],
        analysis=CanaryAnalysis(
            rules=[
                MetricRule("ModelLatency", margin="10%"),
                MetricRule("Invocation5XXErrors", stat="Sum", margin=0.01),
            ]
        ),
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


retrain_and_compare()
