"""
Retrain every night. Test the new model as a shadow of the live one, and deploy it with a canary if it passes.

A guard finds errors and slow responses, but no wrong ones: a model that responds to every request, fast and
wrong, passes any canary. As a shadow it gets the same requests as the live model. Clients never see its
responses: they are stored in S3, where the judge compares them. Only a model that passes is deployed.

The tasks before that, and the parameters to change for your account, are in ``tumour_tasks.py``. The bucket
keeps the requests of clients: protect it as their data requires, and give it a lifecycle rule.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from airflow.sdk import dag
from tumour_tasks import AWS_CONN_ID, GUARDS, PARAMS, VERSION, trained_evaluated_and_created

from airflow_guardrails.rules import CanaryAnalysis, MetricRule, PredictionRule
from airflow_guardrails.strategies import Canary
from airflow_guardrails.task_groups import guarded_deployment


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # An endpoint can have only one shadow test at a time.
    max_active_runs=1,
    params=PARAMS,
    tags=["example", "sagemaker"],
    doc_md=__doc__,
)
def shadow_test_and_deploy() -> None:
    deployment = guarded_deployment(
        endpoint_name="{{ params.endpoint_name }}",
        model_name=VERSION,
        shadow_test={
            "name": "{{ params.endpoint_name }}",
            "role_arn": "{{ params.role }}",
            "duration": timedelta(hours=2),
            "min_requests": 20_000,
            "data_storage_uri": "s3://{{ params.bucket }}/captures",
            # Two good models differ on a few rows. Five in a hundred are too many.
            "predictions": PredictionRule(max_disagreement=0.05),
        },
        strategy=Canary(percent=25, bake=timedelta(minutes=30), termination_wait=timedelta(minutes=5)),
        guards=GUARDS,
        # Seconds between two calls. 60 is good for AWS; the demo sets a smaller number for its simulator.
        waiter_delay=int(os.environ.get("ROLLOUT_WAITER_DELAY", "60")),
        aws_conn_id=AWS_CONN_ID,
        update_arguments={
            # Compare the latency once more, when the new fleet serves clients.
            "analysis": CanaryAnalysis(rules=[MetricRule("ModelLatency", margin="10%")]),
            # A retry finds the update of the first try and waits for it. A rollback is not retried.
            "retries": 2,
            "retry_delay": timedelta(minutes=1),
        },
    )
    trained_evaluated_and_created() >> deployment


shadow_test_and_deploy()
