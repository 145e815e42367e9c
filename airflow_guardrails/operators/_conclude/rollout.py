"""How the rollout of an update's task stands, for another task of the same run that concludes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.domain.deployment.deadline import longest_watch
from airflow_guardrails.domain.deployment.guardrails import Guardrails, RetainedProperties
from airflow_guardrails.domain.rollout.launch import Intent, Move, UpdateOwner, next_move, owner_of_update
from airflow_guardrails.domain.rollout.outcome import Adopted
from airflow_guardrails.domain.rollout.report import reported_adoption, reported_start
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch, switches_among
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook
from airflow_guardrails.operators._conclude.update_task import UpdateTask
from airflow_guardrails.operators._launch.adoption import Adoption
from airflow_guardrails.operators._launch.intent_store import IntentStore
from airflow_guardrails.operators._launch.request import LaunchRequest

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# What an earlier try of the update would do, but for asking for one.
_OF_OURS = frozenset({Move.ADOPT, Move.FINISH, Move.RESUME, Move.INQUIRE})
_UNKNOWN = Guardrails(strategy=None)


class _ReadIntents(IntentStore):
    """The intents of the update's task, which this task reads and does not change."""

    def mark_accepted(self, at: datetime) -> None:
        pass


class OwnRollout:
    """
    The rollout that one task instance has asked for, as another one finds it.

    It goes by the same proof as a retry of the update would, see ``operators.aftermath``, and asks for
    nothing. What only Airflow's task state knows of it cannot be read here.

    :param owner: the task instance that updates the endpoint, see ``intents.owner_in``.
    :param target: the configuration that it was to bring into service; ``None``: to be found out.
    :param has_switch: whether its updates carry an abort switch, as far as that is known.
    :param look_again: waits, and returns a new look.
    """

    def __init__(
        self,
        hook: GuardrailsHook,
        endpoint_name: str,
        *,
        owner: str,
        target: str | None,
        has_switch: bool,
        task: UpdateTask,
        log: Any,
        look_again: Callable[[], EndpointLook],
    ) -> None:
        self._hook = hook
        self._endpoint_name = endpoint_name
        self._owner = owner
        self._given_target = target
        self._may_have_switch = has_switch
        self._task = task
        self._log = log
        self._look_again = look_again

    def find(self, look: EndpointLook) -> RolloutState | None:
        """
        Return the watch over the rollout; None if nothing tells of any that this task instance has asked for.

        :raises LaunchUnknown: if it may have asked for one, and nothing tells how that ended.
        """
        target = self._target(look)
        if target is None:
            return None
        intents = _ReadIntents(
            hook=self._hook, owner=self._owner, target=target, task_state=None, log=self._log
        )
        own = intents.own() or self._reported_intent()
        switch = self._switch(look, target)
        move = self._move(look, target=target, own=own, switch=switch)
        settled_at = look.seen_at + DEFAULT_GRACE
        while move is Move.LAUNCH and own is not None and look.seen_at < settled_at:
            # It was about to ask, and reads may lag behind what it has asked for.
            look = self._look_again()
            move = self._move(look, target=target, own=own, switch=switch)
        if not isinstance(look, Endpoint):
            return self._missing(target, own)
        if move not in _OF_OURS:
            return None
        wishes = self._launch_request(look, target=target, switch=switch)
        config = parse_endpoint_config(intents.config) if intents.config else None
        aftermath = Adoption(
            wishes, hook=self._hook, intents=intents, target=config, warnings=tuple(intents.warnings)
        )
        return self._as_seen(aftermath.of(move, look, own), look, switch)

    def _move(
        self, look: EndpointLook, *, target: str, own: Intent | None, switch: AbortSwitch | None
    ) -> Move:
        named = switch is not None and switch.is_named_by(look)
        move = next_move(look, target=target, own=own, switch_named=named, has_switch=switch is not None)
        if move is not Move.ADOPT or not isinstance(look, Endpoint):
            return move
        if owner_of_update(look, own=own, switch_named=named) is not UpdateOwner.FOREIGN:
            return move
        if own is not None and own.accepted_at is not None:
            return Move.RESUME
        # The task may have adopted an update of somebody else, and then watched that.
        adopted = own is None and (switch is not None or self._task.has_waited or self._task.report)
        return move if adopted else Move.WAIT

    def _as_seen(self, watch: RolloutState, look: Endpoint, switch: AbortSwitch | None) -> RolloutState:
        """Take strategy and alarms from what SageMaker says of this update, and of no other."""
        rollout = watch.rollout
        shown = rollout.is_pending_in(look) or (switch is not None and switch.is_named_by(look))
        rollout = replace(rollout, guardrails=look.guardrails if shown else None)
        if watch.outcome is None and rollout.switch is None and switch and self._may_carry(look, switch):
            # Throwing it stops nothing else: the switch is this task's alone.
            rollout = replace(rollout, switch=switch)
        watch = replace(watch, rollout=rollout)
        return watch if watch.outcome else watch.after(look)

    def _may_carry(self, look: Endpoint, switch: AbortSwitch) -> bool:
        """Whether nothing contradicts that the update in flight carries *switch*."""
        if look.pending_config_name is None or not switch.is_for(look.pending_config_name):
            return False
        named = switches_among(look.rollback_alarms, endpoint_name=self._endpoint_name)
        return switch in named or not any(other.is_for(look.pending_config_name) for other in named)

    def _missing(self, target: str, own: Intent | None) -> RolloutState | None:
        if (own is None or own.accepted_at is None) and not self._task.has_waited:
            return None
        rollout = Rollout(
            endpoint_name=self._endpoint_name,
            target=target,
            previous=own.previous if own else None,
            launched_at=own.accepted_at if own else None,
            started_at=own.started_at if own else None,
            max_wait=longest_watch(_UNKNOWN),
            adopted=Adopted.OWN,
        )
        return RolloutState(rollout=rollout, stages_complete=False)

    def _launch_request(self, look: Endpoint, *, target: str, switch: AbortSwitch | None) -> LaunchRequest:
        guardrails = look.guardrails or _UNKNOWN
        return LaunchRequest(
            endpoint_name=self._endpoint_name,
            target=target,
            guardrails=guardrails,
            retained=RetainedProperties(),
            switch=switch or AbortSwitch.of(self._endpoint_name, owner=self._owner, target=target),
            abort_switch=switch is not None,
            busy_timeout=timedelta(0),
            # However long the update's task was to wait, SageMaker may take this long.
            max_wait=longest_watch(guardrails),
        )

    def _target(self, look: EndpointLook) -> str | None:
        if self._given_target is not None:
            return self._given_target
        if self._task.report and self._task.report["endpoint_config_name"]:
            return self._task.report["endpoint_config_name"]
        if not isinstance(look, Endpoint):
            return None
        for switch in switches_among(look.rollback_alarms, endpoint_name=self._endpoint_name):
            if switch.owner == self._owner:
                return self._hook.get_abort_switch_target(switch)
        pending = look.pending_config_name
        return pending if pending and self._switch(look, pending) else None

    def _switch(self, look: EndpointLook, target: str) -> AbortSwitch | None:
        """Return the rollout's abort switch, if it is there: its alarm is made right before the launch."""
        if not self._may_have_switch:
            return None
        switch = AbortSwitch.of(self._endpoint_name, owner=self._owner, target=target)
        if switch.is_named_by(look) or self._hook.get_abort_switch_target(switch) is not None:
            return switch
        return None

    def _reported_intent(self) -> Intent | None:
        """Return what the task's last report tells of its launch, where no tag does."""
        report = self._task.report
        began = reported_start(report) if report else None
        if report is None or began is None or reported_adoption(report) is Adopted.FOREIGN:
            return None
        return Intent(
            previous=report["previous_endpoint_config_name"],
            modified_at=None,
            written_at=began,
            accepted_at=began,
            # Before it was seen in a stage, the report has the time of SageMaker's answer there.
            started_at=began if report["stages"] else None,
        )
