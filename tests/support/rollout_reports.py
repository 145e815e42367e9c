"""Reports of version 2, as tasks publish them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from airflow_guardrails.domain.rollout.report import parse_report


def in_flight(**changes: Any) -> Mapping[str, Any]:
    """Return a report of version 2 of an update that bakes, with some other values."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    return {**parse_report(_IN_FLIGHT), "as_of": now.isoformat(), **changes}


_IN_FLIGHT: Mapping[str, Any] = {
    "schema_version": 2,
    "summary": "BAKING 1 of 4 instances: churn-v42; churn-v41 serves",
    "endpoint_name": "churn",
    "endpoint_config_name": "churn-v42",
    "previous_endpoint_config_name": "churn-v41",
    "serving_endpoint_config_name": "churn-v41",
    "endpoint_status": "Updating",
    "region": "eu-west-1",
    "account": "123456789012",
    # One time for all: reports with different starts are about different rollouts.
    "started_at": datetime.now(timezone.utc).replace(microsecond=0).isoformat(),
    "guarded": True,
    "strategy": {
        "name": "canary",
        "description": "canary: 25 % for 30 min, then all",
        "steps": [
            {"minute": 0.0, "percent": 25.0, "bake_minutes": 30.0},
            {"minute": 30.0, "percent": 100.0, "bake_minutes": 10.0},
        ],
    },
    "stages_complete": True,
    "traffic": {"percent": 25.0, "course": []},
    "abort_switch": "airflow-guardrails-abort-1",
    "stopping": {"aborts": True, "text": "Marking this task failed aborts the update"},
}
