"""Find the rollout that the update task has started, from another task of the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_guardrails.domain.deployment.deadline import longest_update_and_rollback
from airflow_guardrails.domain.deployment.guardrails import Guardrails, RetainedProperties
from airflow_guardrails.domain.rollout.launch import Intent, Move, UpdateOwner, next_move, owner_of_update
from airflow_guardrails.domain.rollout.outcome import Adopted
from airflow_guardrails.domain.rollout.report import FIRST_DEPLOYMENT, reported_adoption, reported_start
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch, switches_among
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook
from airflow_guardrails.operators._conclude.update_task import UpdateTask
from airflow_guardrails.operators._launch.adoption import Adoption
from airflow_guardrails.operators._launch.intent_store import IntentStore
from airflow_guardrails.operators._launch.request import LaunchRequest

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# The moves of a retry of the update task that start no update and concern its own rollout.
_OWN_MOVES = frozenset({Move.ADOPT, Move.FINISH, Move.RESUME, Move.INQUIRE})
_UNKNOWN = Guardrails(strategy=None)


class _ReadOnlyIntents(IntentStore):
    """The intents of the update task, which this task reads and does not change."""

    def mark_accepted(self, at: datetime) -> None:
        pass


class RolloutFinder:
    """
    Finds the rollout that one task instance has started, from another task.

    It uses the same proof as a retry of the update task, and starts no update. What is stored only in the
    task state of the update task cannot be read here.

    :param owner: the task instance that updates the endpoint, see ``intent_store.owner_in``.
    :param target: name of the endpoint configuration of the update; ``None``: find it out.
    :param has_switch: whether the update may have an abort switch.
    :param describe_later: waits some seconds, and describes the endpoint again.
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
        describe_later: Callable[[], EndpointLook],
    ) -> None:
        self._hook = hook
        self._endpoint_name = endpoint_name
        self._owner = owner
        self._given_target = target
        self._may_have_switch = has_switch
        self._task = task
        self._log = log
        self._describe_later = describe_later

    def find(self, endpoint: EndpointLook) -> RolloutState | None:
        """
        Return the state of the rollout; None if nothing shows that the task instance has started one.

        :raises LaunchUnknown: if it may have started one, and nothing shows how that ended.
        """
        target = self._target(endpoint)
        if target is None:
            return None
        intents = _ReadOnlyIntents(
            hook=self._hook, owner=self._owner, target=target, task_state=None, log=self._log
        )
        own = intents.own() or self._reported_intent()
        switch = self._switch(endpoint, target)
        move = self._move(endpoint, target=target, own=own, switch=switch)
        settled_at = endpoint.seen_at + DEFAULT_GRACE
        while move is Move.LAUNCH and own is not None and endpoint.seen_at < settled_at:
            # It was about to call UpdateEndpoint, and reads may lag behind that call.
            endpoint = self._describe_later()
            move = self._move(endpoint, target=target, own=own, switch=switch)
        if move is Move.ADOPT_CREATION and own is not None:
            return self._creation(target, own).after(endpoint)
        if not isinstance(endpoint, Endpoint):
            return self._deleted(target, own)
        if move not in _OWN_MOVES:
            return None
        request = self._launch_request(endpoint, target=target, switch=switch)
        adoption = Adoption(request, hook=self._hook, intents=intents, warnings=intents.warnings)
        return self._as_described(adoption.resolve(move, endpoint, own), endpoint, switch)

    def _move(
        self, endpoint: EndpointLook, *, target: str, own: Intent | None, switch: AbortSwitch | None
    ) -> Move:
        named = switch is not None and switch.is_named_by(endpoint)
        move = next_move(endpoint, target=target, own=own, switch_named=named, has_switch=switch is not None)
        if move is not Move.ADOPT or not isinstance(endpoint, Endpoint):
            return move
        if owner_of_update(endpoint, own=own, switch_named=named) is not UpdateOwner.FOREIGN:
            return move
        if own is not None and own.accepted_at is not None:
            return Move.RESUME
        # The task may have adopted an update of somebody else, and waited for that.
        adopted = own is None and (switch is not None or self._task.was_deferred or self._task.report)
        return move if adopted else Move.WAIT

    def _as_described(
        self, state: RolloutState, endpoint: Endpoint, switch: AbortSwitch | None
    ) -> RolloutState:
        """Use strategy and alarms only if SageMaker shows them for this very update."""
        rollout = state.rollout
        shown = rollout.is_pending_in(endpoint) or (switch is not None and switch.is_named_by(endpoint))
        rollout = replace(rollout, guardrails=endpoint.guardrails if shown else None)
        if state.outcome is None and rollout.switch is None and switch and self._may_have(endpoint, switch):
            # The switch belongs to this task only, so throwing it stops no other update.
            rollout = replace(rollout, switch=switch)
        state = replace(state, rollout=rollout)
        return state if state.outcome else state.after(endpoint)

    def _may_have(self, endpoint: Endpoint, switch: AbortSwitch) -> bool:
        """Whether the update in flight may have *switch*: nothing contradicts it."""
        if endpoint.pending_config_name is None or not switch.is_for(endpoint.pending_config_name):
            return False
        named = switches_among(endpoint.rollback_alarms, endpoint_name=self._endpoint_name)
        return switch in named or not any(other.is_for(endpoint.pending_config_name) for other in named)

    def _deleted(self, target: str, own: Intent | None) -> RolloutState | None:
        if (own is None or own.accepted_at is None) and not self._task.was_deferred:
            return None
        rollout = Rollout(
            endpoint_name=self._endpoint_name,
            target=target,
            previous=own.previous if own else None,
            launched_at=own.accepted_at if own else None,
            started_at=own.started_at if own else None,
            max_wait=longest_update_and_rollback(_UNKNOWN),
            adopted=Adopted.OWN,
        )
        return RolloutState(rollout=rollout, stages_complete=False)

    def _creation(self, target: str, own: Intent) -> RolloutState:
        rollout = Rollout(
            endpoint_name=self._endpoint_name,
            target=target,
            launched_at=own.accepted_at or own.written_at,
            max_wait=longest_update_and_rollback(_UNKNOWN),
            adopted=Adopted.OWN,
            creates=True,
        )
        return RolloutState(rollout=rollout, stages_complete=False)

    def _launch_request(
        self, endpoint: Endpoint, *, target: str, switch: AbortSwitch | None
    ) -> LaunchRequest:
        guardrails = endpoint.guardrails or _UNKNOWN
        return LaunchRequest(
            endpoint_name=self._endpoint_name,
            target=target,
            guardrails=guardrails,
            retained=RetainedProperties(),
            switch=switch or AbortSwitch.of(self._endpoint_name, owner=self._owner, target=target),
            abort_switch=switch is not None,
            busy_timeout=timedelta(0),
            # The limit of SageMaker, however long the update task was to wait.
            max_wait=longest_update_and_rollback(guardrails),
        )

    def _target(self, endpoint: EndpointLook) -> str | None:
        if self._given_target is not None:
            return self._given_target
        if self._task.report and self._task.report["endpoint_config_name"]:
            return self._task.report["endpoint_config_name"]
        if not isinstance(endpoint, Endpoint):
            return None
        for switch in switches_among(endpoint.rollback_alarms, endpoint_name=self._endpoint_name):
            if switch.owner == self._owner:
                return self._hook.get_abort_switch_target(switch)
        pending = endpoint.pending_config_name
        return pending if pending and self._switch(endpoint, pending) else None

    def _switch(self, endpoint: EndpointLook, target: str) -> AbortSwitch | None:
        """Return the rollout's abort switch, if its alarm exists: it is created right before the launch."""
        if not self._may_have_switch:
            return None
        switch = AbortSwitch.of(self._endpoint_name, owner=self._owner, target=target)
        if switch.is_named_by(endpoint) or self._hook.get_abort_switch_target(switch) is not None:
            return switch
        return None

    def _reported_intent(self) -> Intent | None:
        """Return what the task's last report says about its launch, for a launch without a tag."""
        report = self._task.report
        began = reported_start(report) if report else None
        if report is None or began is None or reported_adoption(report) is Adopted.FOREIGN:
            return None
        return Intent(
            previous=report["previous_endpoint_config_name"],
            modified_at=None,
            written_at=began,
            accepted_at=began,
            # Without stages, the report has the time of SageMaker's response instead of the StartTime.
            started_at=began if report["stages"] else None,
            creates=report["unguarded_because"] == FIRST_DEPLOYMENT,
        )
