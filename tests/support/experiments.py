"""An inference experiment ``trial`` as DescribeInferenceExperiment shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_guardrails.domain.snapshots.experiment import (
    Experiment,
    ExperimentStatus,
    ModelVariant,
)

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


def after(minutes: float) -> datetime:
    return TEN + timedelta(minutes=minutes)


def experiment(**changes: Any) -> Experiment:
    seen = Experiment(
        name="trial",
        arn="arn",
        status=ExperimentStatus.RUNNING,
        seen_at=TEN,
        endpoint_name="churn",
        role_arn="role",
        variants=(
            ModelVariant(name="live", model_name="churn-1", instance_type="ml.m5.large", instances=4),
            ModelVariant(name="shadow", model_name="churn-2", instance_type="ml.m5.large", instances=4),
        ),
        production_name="live",
        shadow_name="shadow",
        sampling_percentage=100,
    )
    return replace(seen, **changes)
