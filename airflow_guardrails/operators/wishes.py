"""What a DAG author wants of a launch, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from airflow_guardrails.domain.guardrails import Guardrails
from airflow_guardrails.domain.retaining import RetainedProperties
from airflow_guardrails.domain.rollout import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the DAG author wants of the launch."""

    endpoint_name: str
    target: str
    guardrails: Guardrails
    retained: RetainedProperties
    abort_switch: bool = True
    if_already_live: str = "fail"
    if_busy: str = "fail"
    busy_timeout: timedelta
    relaunch: bool = False
    require_alarms_ok: bool = False
    allow_unguarded: bool = False
    max_wait: timedelta

    def rollout(self, *, previous: str | None) -> Rollout:
        return Rollout(
            endpoint_name=self.endpoint_name,
            target=self.target,
            previous=previous,
            guardrails=self.guardrails,
            max_wait=self.max_wait,
        )
