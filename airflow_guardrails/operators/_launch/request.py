"""The arguments of a guarded update as one value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.deployment.deadline import longest_rollout, longest_update_and_rollback
from airflow_guardrails.domain.deployment.fallback import fell_back
from airflow_guardrails.domain.deployment.guardrails import MAX_ALARMS, Guardrails, RetainedProperties
from airflow_guardrails.domain.deployment.guards import Guard
from airflow_guardrails.domain.preflight.fleet_sizes import fleet_sizes
from airflow_guardrails.domain.rollout.canary_state import AnalysisState
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.domain.snapshots.guard_alarms import GuardAlarm, guard_alarms
from airflow_guardrails.domain.text import count_in_words
from airflow_guardrails.exceptions import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """
    The update that the author of the DAG requests. The fields are the arguments of the operator.

    :param target: name of the endpoint configuration to update to.
    :param guardrails: strategy and alarms, including the abort switch; see :meth:`for_target`.
    :param guards: the guards, whose alarms are made for this update.
    :param guard_alarms: their alarms; known only with the variants of the target.
    :param switch: the abort switch of this rollout. It is one of the alarms if *abort_switch* is set.
    :param if_missing: ``"create"`` creates the endpoint if there is none.
    :param only_creates: whether an existing endpoint is refused: its shadow test was left out, because there
        was no endpoint then.
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
    if_missing: str = "fail"
    only_creates: bool = False
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
    guards: tuple[Guard, ...] = ()
    guard_alarms: tuple[GuardAlarm, ...] = ()

    def for_target(self, target: EndpointConfig | None) -> LaunchRequest:
        """
        Add the alarms of the guards to the guardrails: one of each guard for each variant of *target*.

        :param target: the configuration to update to; ``None`` if it cannot be read: no guard is added.
        :raises InvalidArgument: if there are more than 10 alarms then.
        """
        if not self.guards or target is None:
            return self
        made = guard_alarms(self.guards, self.switch, target=self.target, variants=target.variant_names)
        switch, known = self.switch.alarm_name, {guard.name for guard in (*self.guard_alarms, *made)}
        given = [name for name in self.guardrails.alarms if name not in {switch, *known}]
        own = [switch] if self.abort_switch else []
        if (total := len(given) + len(made) + len(own)) > MAX_ALARMS:
            raise InvalidArgument(
                f"alarms, guards and the abort switch must be at most {MAX_ALARMS} (got {total}: "
                f"{count_in_words(len(given), 'alarm')}, {count_in_words(len(self.guards), 'guard')} on "
                f"{count_in_words(len(target.variant_names), 'variant')}"
                f"{' and the switch' if own else ''})"
            )
        alarms = (*given, *(guard.name for guard in made), *own)
        return replace(self, guardrails=replace(self.guardrails, alarms=alarms), guard_alarms=made)

    def guardrails_on(
        self,
        target: EndpointConfig | None,
        endpoint: Endpoint | None,
        *,
        serving: EndpointConfig | None = None,
    ) -> Guardrails:
        """
        Return the guardrails that run, with all at once where a fleet is too small for the strategy.

        :param endpoint: the endpoint before the update; None: unknown, as *target*. Then the strategy is the
            one in the DAG.
        :param serving: the configuration in service; None if it cannot be read.
        """
        if target is None or endpoint is None:
            return self.guardrails
        return self.guardrails.on_fleets(
            fleet_sizes(target, endpoint, serving=serving, retained=self.retained)
        )

    def rollout(
        self,
        *,
        previous: str | None,
        target: EndpointConfig | None,
        endpoint: Endpoint | None = None,
        guardrails: Guardrails | None = None,
    ) -> Rollout:
        """
        Return the rollout to wait for.

        :param previous: name of the configuration in service before; ``None`` if unknown.
        :param target: the configuration to update to; ``None`` if it cannot be read.
        :param endpoint: the endpoint before the update, for the instance counts that it may keep.
        :param guardrails: those that run, if they are known; default: see :meth:`guardrails_on`.
        """
        guardrails = guardrails or self.guardrails_on(target, endpoint)
        return Rollout(
            endpoint_name=self.endpoint_name,
            target=self.target,
            previous=previous,
            guardrails=guardrails,
            switch=self.switch if self.abort_switch else None,
            max_wait=self.wait_limit(target, endpoint, guardrails),
            require_alarms_ok=self.require_alarms_ok,
        )

    def wait_limit(
        self, target: EndpointConfig | None, endpoint: Endpoint | None, guardrails: Guardrails
    ) -> timedelta:
        """Return *max_wait*, or else the longest time that an update of this size may take."""
        if self.max_wait is not None:
            return self.max_wait
        if target is None:
            return longest_rollout(guardrails)
        serving = [variant.desired_instances for variant in endpoint.variants] if endpoint else []
        instances = max([*serving, target.instances or 0])
        return longest_rollout(guardrails, instances=instances or None, startup=target.startup)

    @property
    def sagemaker_limit(self) -> timedelta:
        """The longest time that SageMaker itself may take, and never less than *max_wait*."""
        return max(longest_update_and_rollback(self.guardrails), self.max_wait or timedelta(0))

    def with_analysis(self, state: RolloutState, *, power: dict[str, Any] | None = None) -> RolloutState:
        """
        Add the analysis of the new fleet to *state*, if one is requested and the fleet was large enough.

        :param power: what it can find, as in the report; None if unknown.
        """
        if self.analysis is None:
            return state
        runs = state.rollout.guardrails
        if runs is not None and fell_back(self.guardrails.strategy, runs.strategy):
            # There is no bake in which both fleets have traffic.
            return state
        return replace(state, analysis=AnalysisState(config=self.analysis, power=power))
