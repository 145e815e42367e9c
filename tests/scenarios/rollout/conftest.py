"""The operator under test, on the endpoint ``churn`` and in simulated time."""

from __future__ import annotations

import pytest

from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator


@pytest.fixture
def guarded_update(simulated_sleep):
    """Build an update of ``churn`` to ``churn-v2``, guarded by the alarm ``errors``."""

    def build(**changes):
        arguments = {
            "task_id": "update",
            "endpoint_name": "churn",
            "endpoint_config_name": "churn-v2",
            "alarms": ["errors"],
            "waiter_delay": 60,
        }
        operator = SageMakerGuardedUpdateOperator(**{**arguments, **changes})
        operator.sleep = simulated_sleep
        return operator

    return build
