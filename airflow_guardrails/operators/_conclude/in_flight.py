"""Which update of an endpoint can be aborted, and by which switch; for tasks that did not launch it."""

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
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


# CloudWatch keeps an alarm's history so long.
HISTORY = timedelta(days=30)


class RolloutInFlight:
    """The updates of one endpoint, seen by a task that has launched none of them."""

    def __init__(self, hook: GuardrailsHook, endpoint_name: str) -> None:
        self._hook = hook
        self._endpoint_name = endpoint_name

    def in_flight(self, look: Endpoint, *, target: str, deadline: datetime) -> RolloutState:
        """
        Return the watch over the update to *target* that is in flight, with its switch if that is known.
        """
        switch = self.switch_of(look, target=target) if look.pending_config_name == target else None
        rollout = Rollout(
            endpoint_name=self._endpoint_name,
            target=target,
            previous=look.endpoint_config_name,
            guardrails=look.guardrails,
            switch=switch,
            adopted=Adopted.FOREIGN,
            deadline=deadline,
        )
        watch = RolloutState(rollout=rollout, stages_complete=False)
        return watch.with_update_in_flight(look).after(look) if switch else watch.after(look)

    def switch_of(self, look: Endpoint, *, target: str) -> AbortSwitch | None:
        """
        Return the switch that the update in flight carries, as far as there is proof.

        SageMaker names the alarms of the last deployment, and nobody knows whether that is the one in flight;
        so the StartTime that whoever launched it has written down goes before that.
        """
        started = look.pending.started_at if look.pending else None
        intents = self._intents(target)
        for owner, intent in intents.items():
            if started is not None and intent.started_at == started:
                # It may have been launched without one (abort_switch=False).
                switch = AbortSwitch.of(self._endpoint_name, owner=owner, target=target)
                return switch if switch.is_named_by(look) or self._exists(switch) else None
        for switch in switches_among(look.rollback_alarms, endpoint_name=self._endpoint_name):
            known = intents.get(switch.owner)
            if switch.is_for(target) and (known is None or known.started_at is None or started is None):
                return switch
        return None

    def _exists(self, switch: AbortSwitch) -> bool:
        try:
            return bool(self._hook.describe_alarms([switch.alarm_name]))
        except ClientError as error:
            if errors.is_passing(error):
                raise
            return False

    def thrown_before(self, look: EndpointLook, *, target: str | None) -> RolloutState | None:
        """
        Return the watch over the last update, if its switch has been thrown; None if not, or nobody can tell.

        :param target: the configuration whose update is meant; default: whichever was last.
        """
        if not isinstance(look, Endpoint):
            return None
        for switch in switches_among(look.rollback_alarms, endpoint_name=self._endpoint_name):
            name = target or self._hook.get_abort_switch_target(switch)
            if name is None or not switch.is_for(name):
                continue
            if (thrown_at := self._thrown_at(switch, look)) is not None:
                return self._after_throw(switch, look, target=name, thrown_at=thrown_at)
        return None

    def _thrown_at(self, switch: AbortSwitch, look: Endpoint) -> datetime | None:
        start = look.seen_at - HISTORY
        history = self._hook.describe_alarm_history([switch.alarm_name], start=start, end=look.seen_at)
        return max((entry.at for entry in history if entry.state is AlarmState.ALARM), default=None)

    def _after_throw(
        self, switch: AbortSwitch, look: Endpoint, *, target: str, thrown_at: datetime
    ) -> RolloutState:
        # It carried the switch, so it was accepted; it is over, so what serves instead is what was before.
        serving = look.endpoint_config_name
        rollout = Rollout(
            endpoint_name=self._endpoint_name,
            target=target,
            previous=serving if serving != target else None,
            guardrails=look.guardrails,
            switch=switch,
            adopted=Adopted.FOREIGN,
            started_at=thrown_at,
        )
        return RolloutState(rollout=rollout, stages_complete=False, seen_in_flight=True).after_abort(
            thrown_at
        )

    def _intents(self, target: str) -> dict[str, Intent]:
        """Return the intents to bring *target* into service, by owner; empty if they may not be read."""
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
