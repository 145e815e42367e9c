"""What a DAG author asks of a launch, as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

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
    What the DAG author asks of the launch.

    :param guardrails: strategy and alarms, the abort switch among them.
    :param switch: the abort switch of this rollout; it is among the alarms if *abort_switch* is set.
    :param max_wait: ``None``: as long as the strategy and the fleet may take.
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
    require_alarms_ok: bool = False
    allow_unguarded: bool = False
    max_wait: timedelta | None = None
    on_timeout: str = "fail"
    analysis: CanaryAnalysis | None = None

    def rollout(
        self, *, previous: str | None, target: EndpointConfig | None, look: Endpoint | None = None
    ) -> Rollout:
        """
        Return the rollout to watch.

        :param target: the configuration to update to, as far as it can be read.
        :param look: the endpoint, whose instance counts the update may keep.
        """
        return Rollout(
            endpoint_name=self.endpoint_name,
            target=self.target,
            previous=previous,
            guardrails=self.guardrails,
            switch=self.switch if self.abort_switch else None,
            max_wait=self.longest(target, look),
            require_alarms_ok=self.require_alarms_ok,
        )

    def longest(self, target: EndpointConfig | None, look: Endpoint | None) -> timedelta:
        """Return how long to wait for the end."""
        if self.max_wait is not None:
            return self.max_wait
        if target is None:
            return longest_rollout(self.guardrails)
        live = [variant.desired_instances for variant in look.variants] if look else []
        instances = max([*live, target.instances or 0])
        return longest_rollout(self.guardrails, instances=instances or None, startup=target.startup)

    @property
    def longest_of_all(self) -> timedelta:
        """How long SageMaker itself may take, however long this task was to wait."""
        return max(longest_update_and_rollback(self.guardrails), self.max_wait or timedelta(0))

    def analysed(self, watch: RolloutState) -> RolloutState:
        """Add the analysis to a watch, if one is wanted."""
        return (
            watch if self.analysis is None else replace(watch, analysis=AnalysisState(config=self.analysis))
        )
