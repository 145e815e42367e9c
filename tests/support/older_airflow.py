"""What tests need of Airflow under the names that its versions have, and what only newer versions can do."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest

try:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

from airflow_guardrails.sensors.rollout import keeps_task_state

__all__ = ["DagBag", "needs_instance_pools", "needs_task_state", "stored"]

_VARIANT = (
    botocore.session.Session().get_service_model("sagemaker").shape_for("ProductionVariant").members.keys()
)

needs_task_state = pytest.mark.skipif(
    not keeps_task_state(), reason="Airflow keeps the state of a task between pokes since 3.3"
)
needs_instance_pools = pytest.mark.skipif(
    "InstancePools" not in _VARIANT, reason="the installed botocore has no instance pools"
)


def stored(dag: Any) -> Any:
    """Return *dag* as the scheduler and the API server have it: from its serialized form."""
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
