"""Find the update of an endpoint that can be aborted, and its switch, from a task that did not start it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.tags import INTENT_PREFIX, parse_intent
from airflow_guardrails.domain.rollout.launch import Intent
from airflow_guardrails.domain.rollout.outcome import Adopted
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch, switches_among
from airflow_guardrails.domain.snapshots.alarms import AlarmState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


# CloudWatch keeps the history of an alarm for 30 days (user guide, "Using Amazon CloudWatch alarms").
_HISTORY = timedelta(days=30)


class AbortableRollouts:
    """The updates of one endpoint, for a task that has not started them."""

    def __init__(self, hook: GuardrailsHook, endpoint_name: str) -> None:
        self._hook = hook
        self._endpoint_name = endpoint_name

    def in_flight(self, endpoint: Endpoint, *, target: str, deadline: datetime) -> RolloutState:
        """
        Return the state of the update to *target* that is in flight, with its switch if that is known.

        :param deadline: when to stop waiting for its end, on AWS's clock.
        """
        switch = self.switch_of(endpoint, target=target) if endpoint.pending_config_name == target else None
        rollout = Rollout(
            endpoint_name=self._endpoint_name,
            target=target,
            previous=endpoint.endpoint_config_name,
            guardrails=endpoint.guardrails,
            switch=switch,
            adopted=Adopted.FOREIGN,
            deadline=deadline,
        )
        state = RolloutState(rollout=rollout, stages_complete=False)
        return state.with_update_in_flight(endpoint).after(endpoint) if switch else state.after(endpoint)

    def switch_of(self, endpoint: Endpoint, *, target: str) -> AbortSwitch | None:
        """
        Return the abort switch of the update in flight; None if there is no proof of any.

        SageMaker shows the alarms of the last deployment, which may not be the one in flight. So the
        StartTime in the intent of the task that started the update is better proof.
        """
        started = endpoint.pending.started_at if endpoint.pending else None
        intents = self._intents(target)
        for owner, intent in intents.items():
            if started is not None and intent.started_at == started:
                # The update may have no switch (abort_switch=False).
                switch = AbortSwitch.of(self._endpoint_name, owner=owner, target=target)
                return switch if switch.is_named_by(endpoint) or self._exists(switch) else None
        for switch in switches_among(endpoint.rollback_alarms, endpoint_name=self._endpoint_name):
            known = intents.get(switch.owner)
            if switch.is_for(target) and (known is None or known.started_at is None or started is None):
                return switch
        return None

    def aborted_before(self, endpoint: EndpointLook, *, target: str | None) -> RolloutState | None:
        """
        Return the state of the last update, if its switch was thrown; None if it was not, or is not known.

        :param target: name of the endpoint configuration of the update; ``None``: any.
        """
        if not isinstance(endpoint, Endpoint):
            return None
        for switch in switches_among(endpoint.rollback_alarms, endpoint_name=self._endpoint_name):
            name = target or self._hook.get_abort_switch_target(switch)
            if name is None or not switch.is_for(name):
                continue
            if (thrown_at := self._thrown_at(switch, endpoint)) is not None:
                return self._after_throw(switch, endpoint, target=name, thrown_at=thrown_at)
        return None

    def _exists(self, switch: AbortSwitch) -> bool:
        try:
            return bool(self._hook.describe_alarms([switch.alarm_name]))
        except ClientError as error:
            if errors.is_passing(error):
                raise
            return False

    def _thrown_at(self, switch: AbortSwitch, endpoint: Endpoint) -> datetime | None:
        start = endpoint.seen_at - _HISTORY
        history = self._hook.describe_alarm_history([switch.alarm_name], start=start, end=endpoint.seen_at)
        return max((entry.at for entry in history if entry.state is AlarmState.ALARM), default=None)

    def _after_throw(
        self, switch: AbortSwitch, endpoint: Endpoint, *, target: str, thrown_at: datetime
    ) -> RolloutState:
        # The last deployment has the switch, so this update was accepted. It has ended, so a configuration in
        # service that is not the target is the previous one.
        serving = endpoint.endpoint_config_name
        rollout = Rollout(
            endpoint_name=self._endpoint_name,
            target=target,
            previous=serving if serving != target else None,
            guardrails=endpoint.guardrails,
            switch=switch,
            adopted=Adopted.FOREIGN,
            started_at=thrown_at,
        )
        return RolloutState(rollout=rollout, stages_complete=False, seen_in_flight=True).after_abort(
            thrown_at
        )

    def _intents(self, target: str) -> dict[str, Intent]:
        """Return owner -> intent to update to *target*; empty if the tags cannot be read."""
        try:
            config = self._hook.describe_endpoint_config(target)
            tags = self._hook.list_tags(config["EndpointConfigArn"]) if config else {}
        except ClientError as error:
            if errors.is_passing(error):
                raise
            return {}
        found = {
            key.removeprefix(INTENT_PREFIX): parse_intent(value)
            for key, value in tags.items()
            if key.startswith(INTENT_PREFIX)
        }
        return {owner: intent for owner, intent in found.items() if intent and not intent.withdrawn}
