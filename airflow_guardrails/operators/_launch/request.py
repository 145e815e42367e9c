"""The arguments of a guarded update as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.deployment.deadline import longest_rollout, longest_update_and_rollback
from airflow_guardrails.domain.deployment.guardrails import Guardrails, RetainedProperties
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """
    The update that the author of the DAG requests. The fields are the arguments of the operator.

    :param target: name of the endpoint configuration to update to.
    :param guardrails: strategy and alarms, including the abort switch.
    :param switch: the abort switch of this rollout. It is one of the alarms if *abort_switch* is set.
    :param logical_date: logical date of the DAG run; ``None`` for a run without one.
    :param max_wait: ``None``: as long as the strategy and the fleet may take, see :meth:`wait_limit`.
    """

    endpoint_name: str
    target: str
    guardrails: Guardrails
    retained: RetainedProperties
    switch: AbortSwitch
    abort_switch: bool = True
    if_already_live: str = "fail"
    if_busy: str = "fail"
    busy_timeout: timedelta
    relaunch: bool = False
    refuse_older: bool = True
    redeploy: bool = False
    logical_date: datetime | None = None
    require_alarms_ok: bool = False
    allow_unguarded: bool = False
    max_wait: timedelta | None = None
    on_timeout: str = "fail"
    analysis: CanaryAnalysis | None = None

    def rollout(
        self, *, previous: str | None, target: EndpointConfig | None, endpoint: Endpoint | None = None
    ) -> Rollout:
        """
        Return the rollout to wait for.

        :param previous: name of the configuration in service before; ``None`` if unknown.
        :param target: the configuration to update to; ``None`` if it cannot be read.
        :param endpoint: the endpoint before the update, for the instance counts that it may keep.
        """
        return Rollout(
            endpoint_name=self.endpoint_name,
            target=self.target,
            previous=previous,
            guardrails=self.guardrails,
            switch=self.switch if self.abort_switch else None,
            max_wait=self.wait_limit(target, endpoint),
            require_alarms_ok=self.require_alarms_ok,
        )

    def wait_limit(self, target: EndpointConfig | None, endpoint: Endpoint | None) -> timedelta:
        """Return *max_wait*, or else the longest time that an update of this size may take."""
        if self.max_wait is not None:
            return self.max_wait
        if target is None:
            return longest_rollout(self.guardrails)
        serving = [variant.desired_instances for variant in endpoint.variants] if endpoint else []
        instances = max([*serving, target.instances or 0])
        return longest_rollout(self.guardrails, instances=instances or None, startup=target.startup)

    @property
    def sagemaker_limit(self) -> timedelta:
        """The longest time that SageMaker itself may take, and never less than *max_wait*."""
        return max(longest_update_and_rollback(self.guardrails), self.max_wait or timedelta(0))

    def with_analysis(self, state: RolloutState, *, power: dict[str, Any] | None = None) -> RolloutState:
        """
        Add the analysis of the new fleet to *state*, if one is requested.

        :param power: what it can find, as in the report; None if unknown.
        """
        if self.analysis is None:
            return state
        return replace(state, analysis=AnalysisState(config=self.analysis, power=power))
