"""
Retrain every night. Compare the new fleet with the old one while a canary bakes; roll back if it is worse.

An alarm has a fixed threshold, for example 250 ms. A model that needs 24 ms instead of 20 ms stays far below
it, but it needs a fifth more instances. While the canary bakes, both fleets serve the same clients and can be
compared minute by minute. If the new fleet is worse, SageMaker rolls back the update, and ``guarded_update``
fails with the measured difference. If there are too few requests to decide, the update is rolled back too.

The tasks before the update, and the parameters to change for your account, are in ``tumour_tasks.py``.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag
from tumour_tasks import AWS_CONN_ID, GUARDS, PARAMS, VERSION, trained_evaluated_and_created

from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.rules import CanaryAnalysis, MetricRule
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
def retrain_and_compare() -> None:
    guarded_update = SageMakerGuardedUpdateOperator(
        task_id="guarded_update",
        aws_conn_id=AWS_CONN_ID,
        endpoint_name="{{ params.endpoint_name }}",
        model_name=VERSION,
        # The comparison needs some minutes to learn how much they vary; half an hour of bake is enough.
        strategy=Canary(percent=25, bake=timedelta(minutes=30), termination_wait=timedelta(minutes=5)),
        guards=GUARDS,
        analysis=CanaryAnalysis(
            rules=[
                MetricRule("ModelLatency", margin="10%"),
                MetricRule("Invocation5XXErrors", stat="Sum", margin=0.01),
            ]
        ),
        deferrable=True,
        # Seconds between two calls. 30 is good for AWS; the demo sets a smaller number for its simulator.
        waiter_delay=int(os.environ.get("ROLLOUT_WAITER_DELAY", "30")),
        # A retry finds the update of the first try and waits for it. A rollback is not retried.
        retries=2,
        retry_delay=timedelta(minutes=1),
    )
    trained_evaluated_and_created() >> guarded_update


retrain_and_compare()
