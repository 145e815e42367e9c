"""The operator under test, on the endpoint ``churn`` and in simulated time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce


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


@pytest.fixture
def update_in_simulated_time(churn, simulated_sleep):
    """Build an update with these arguments, in simulated time; a fresh one, as every try has."""

    def build(**arguments):
        common = {
            "task_id": "update",
            "strategy": AllAtOnce(termination_wait=timedelta(minutes=5)),
            "alarms": ["errors"],
            "waiter_delay": 60,
            "deferrable": False,
        }
        operator = SageMakerGuardedUpdateOperator(**{**common, **arguments})
        operator.sleep = simulated_sleep
        operator.monotonic = lambda: churn.now().timestamp()
        return operator

    return build
