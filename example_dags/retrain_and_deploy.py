"""
Retrain every night, and bring the new model into service with a canary that SageMaker can roll back.

The DAG trains, evaluates and deploys a model. A quarter of the new fleet gets traffic first. SageMaker
watches two guards for ten minutes, and shifts the rest of the traffic only if neither goes off. If one goes
off, SageMaker rolls the update back, and ``guarded_update`` fails with the measured value and the limit.

The tasks before the update, and the parameters to change for your account, are in ``tumour_tasks.py``.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag
from tumour_tasks import AWS_CONN_ID, GUARDS, PARAMS, VERSION, trained_evaluated_and_created

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
    guarded_update = SageMakerGuardedUpdateOperator(
        task_id="guarded_update",
        aws_conn_id=AWS_CONN_ID,
        endpoint_name="{{ params.endpoint_name }}",
        model_name=VERSION,
        strategy=Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5)),
        guards=GUARDS,
        deferrable=True,
        # Seconds between two calls. 30 is good for AWS; the demo sets a smaller number for its simulator.
        waiter_delay=int(os.environ.get("ROLLOUT_WAITER_DELAY", "30")),
        # A retry finds the update of the first try and waits for it. A rollback is not retried.
        retries=2,
        retry_delay=timedelta(minutes=1),
    )
    trained_evaluated_and_created() >> guarded_update
    # If guarded_update is marked failed while no triggerer runs, this task rolls the update back.
    SageMakerConcludeRolloutOperator(task_id="conclude", update=guarded_update)


retrain_and_deploy()
