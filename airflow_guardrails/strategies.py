"""
The strategies of a guarded update: how traffic is shifted to the new fleet.

>>> from datetime import timedelta
>>> from airflow_guardrails.strategies import Canary
>>> print(Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5)))
canary: 25 % of the fleet, bake 10 min, then all, wait 5 min before the old fleet is removed
"""

from __future__ import annotations

from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary, Linear, Rolling, Strategy
from airflow_guardrails.domain.errors import GuardrailsValueError, InvalidAlarms, InvalidStrategy

__all__ = [
    "AllAtOnce",
    "Canary",
    "GuardrailsValueError",
    "InvalidAlarms",
    "InvalidStrategy",
    "Linear",
    "Rolling",
    "Strategy",
]
