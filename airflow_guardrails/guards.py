"""
The guards of a guarded update: alarms that are made for the rollout, and deleted after the next one.

>>> from datetime import timedelta
>>> from airflow_guardrails.guards import ErrorRate, Latency
>>> print(ErrorRate(above=0.01))
5xx errors of the new fleet > 1 %, 1 min
>>> print(Latency(percentile=99, above=timedelta(milliseconds=250)))
p99 latency of the new fleet > 250 ms, 1 min
"""

from __future__ import annotations

from airflow_guardrails.domain.deployment.guards import Alarm, ErrorRate, Guard, Latency, Metric
from airflow_guardrails.domain.errors import GuardrailsValueError, InvalidGuard

__all__ = [
    "Alarm",
    "ErrorRate",
    "Guard",
    "GuardrailsValueError",
    "InvalidGuard",
    "Latency",
    "Metric",
]
