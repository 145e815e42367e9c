"""What a DAG author wants of a launch, as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from airflow_guardrails.domain.analysis import CanaryAnalysis
from airflow_guardrails.domain.analysis_state import Analysis
from airflow_guardrails.domain.guardrails import Guardrails
from airflow_guardrails.domain.retaining import RetainedProperties
from airflow_guardrails.domain.rollout import Rollout, Watch


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
    analysis: CanaryAnalysis | None = None

    def rollout(self, *, previous: str | None) -> Rollout:
        return Rollout(
            endpoint_name=self.endpoint_name,
            target=self.target,
            previous=previous,
            guardrails=self.guardrails,
            max_wait=self.max_wait,
        )

    def analysed(self, watch: Watch) -> Watch:
        """Add the analysis to a watch, if one is wanted."""
        return watch if self.analysis is None else replace(watch, analysis=Analysis(wish=self.analysis))
