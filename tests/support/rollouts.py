"""Looks at the endpoint ``churn`` while it is updated from ``v1`` to ``v2``, by seconds since the launch."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointStatus,
    PendingDeployment,
    Stage,
    Variant,
    VariantStage,
)

LAUNCH = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


def after(seconds: float) -> datetime:
    return LAUNCH + timedelta(seconds=seconds)


def in_service(seconds: float, serves: str = "v1", **more: Any) -> Endpoint:
    return Endpoint(
        name="churn",
        status=EndpointStatus.IN_SERVICE,
        seen_at=after(seconds),
        endpoint_config_name=serves,
        last_modified_at=after(seconds - 5),
        **more,
    )


def flying(
    seconds: float, stage: Stage = Stage.CREATING, *, since: float = 1, instances: int = 0, **more: Any
) -> Endpoint:
    """The update is in flight: its fleet has been in *stage* since so many seconds after the launch."""
    mark = VariantStage(stage=stage, since=after(since))
    fleet = Variant(name="AllTraffic", instances=instances, desired_instances=4, stages=(mark,))
    return Endpoint(
        name="churn",
        status=EndpointStatus.UPDATING,
        seen_at=after(seconds),
        endpoint_config_name="v1",
        pending=PendingDeployment(endpoint_config_name="v2", started_at=after(1), variants=(fleet,)),
        **more,
    )
