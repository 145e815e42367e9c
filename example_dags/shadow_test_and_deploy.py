"""
Retrain every night; try the new model in the shadow of the live one before a canary lets it take over.

An alarm sees errors and slow answers. It does not see wrong ones: a model that answers every request, quickly
and wrongly, passes any canary. In the shadow it gets the same requests as the live model, and its answers go
nowhere but to S3, where the judge compares them. Only a model that the judge has passed gets to the update.

The tasks before that, and what to change for your account, are in ``tumour_tasks.py``. The bucket keeps what
clients have sent: give it the protection that their data needs, and a lifecycle rule.
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

from airflow_guardrails.rules import CanaryAnalysis, MetricRule, PredictionRule
from airflow_guardrails.strategies import Canary
from airflow_guardrails.task_groups import guarded_deployment


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Two trials on one endpoint would meet.
    max_active_runs=1,
    params=PARAMS,
    tags=["example", "sagemaker"],
    doc_md=__doc__,
)
def shadow_test_and_deploy() -> None:
    artefact = trained_and_evaluated()
    model, endpoint_config = create_model(artefact), create_endpoint_config()
    alarms = put_alarms("{{ params.endpoint_name }}", VERSION, ERROR_ALARM, LATENCY_ALARM)
    deployment = guarded_deployment(
        endpoint_name="{{ params.endpoint_name }}",
        model_name=VERSION,
        endpoint_config_name=VERSION,
        role_arn="{{ params.role }}",
        shadow_test_name="{{ params.endpoint_name }}",
        duration=timedelta(hours=2),
        min_requests=20_000,
        data_storage_uri="s3://{{ params.bucket }}/captures",
        # Two models that are both good differ on a few rows; one row in twenty is too many.
        predictions=PredictionRule(max_disagreement=0.05),
        strategy=Canary(percent=25, bake=timedelta(minutes=30), termination_wait=timedelta(minutes=5)),
        alarms=[ERROR_ALARM, LATENCY_ALARM],
        # A minute suits AWS; in a simulator an hour passes in no time.
        waiter_delay=int(os.environ.get("ROLLOUT_WAITER_DELAY", "60")),
        aws_conn_id=AWS_CONN_ID,
        update_arguments={
            # Once more compared, on what clients ask it themselves.
            "analysis": CanaryAnalysis(rules=[MetricRule("ModelLatency", margin="10%")]),
            # A retry finds its own update and goes on watching it. A rollback is never tried again.
            "retries": 2,
            "retry_delay": timedelta(minutes=1),
        },
    )
    artefact >> [model, alarms]
    model >> endpoint_config
    [endpoint_config, alarms] >> deployment


shadow_test_and_deploy()
