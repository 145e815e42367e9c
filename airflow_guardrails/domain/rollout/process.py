"""
How to wait for the end of a rollout, without network and clock.

The functions here are generators: they yield effects of ``domain.effects``, are sent the results, and return
a value. ``hooks._effects`` runs the effects, blocking or on an event loop. So operator, sensor and trigger
share this code.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.effects import (
    DeleteRolloutAlarms,
    DescribeAlarmHistory,
    DescribeAlarms,
    DescribeEndpoint,
    Effect,
    LogMessage,
    NoResponse,
    PublishReport,
    SetAbortSwitch,
    WaitForChange,
)
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.rollout.abort import throw_switch
from airflow_guardrails.domain.rollout.canary_process import analyse, judged_at, longest_pause
from airflow_guardrails.domain.rollout.messages import stage_message
from airflow_guardrails.domain.rollout.outcome import Adopted, CauseKind, Outcome, TimeoutAction
from airflow_guardrails.domain.rollout.report import Cause, RolloutReport, find_cause, rollout_report
from airflow_guardrails.domain.rollout.stages import bake_ends_at, shortest_bake
from airflow_guardrails.domain.rollout.state import RolloutState, StageChange
from airflow_guardrails.domain.rollout.stopping import when_an_abort_acts
from airflow_guardrails.domain.snapshots.abort_switch import RESET, guard_prefix
from airflow_guardrails.domain.snapshots.alarms import (
    Alarm,
    AlarmDefinition,
    AlarmTransition,
    tripped_between,
)
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.guard_alarms import rollout_prefix
from airflow_guardrails.domain.times import AwsClock

_Steps = Generator[Effect, Any, RolloutState]

_UNDONE = frozenset({Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED, Outcome.FAILED})

# Seconds that a trigger may need to start again, beyond the pause between two looks.
_RESTART_SECONDS = 60.0

# How old a published report may become. A little less than a minute, because looks come every half minute.
PUBLISH_EVERY = timedelta(seconds=55)

# Seconds after the end of a bake by the schedule at which to look: it may end a little later.
_AFTER_BAKE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPolicy:
    """
    How to wait.

    :param every: seconds between two looks.
    :param monotonic: seconds on this machine, from any origin; used between two responses of AWS.
    :param began_at: the time on this machine's clock; used only until AWS has answered once.
    :param on_timeout: what to do with an update that is still in flight at the deadline.
    """

    every: float
    monotonic: Callable[[], float]
    began_at: datetime
    on_timeout: TimeoutAction = TimeoutAction.FAIL

    def clock(self, as_of: datetime | None) -> AwsClock:
        """Return AWS's clock, starting at *as_of*, the time of its last response; None: no response yet."""
        return AwsClock(self.monotonic, as_of=as_of or self.began_at)


def wait_until_finished(
    state: RolloutState, policy: WaitPolicy
) -> Generator[Effect, Any, tuple[RolloutState, RolloutReport]]:
    """
    Poll until there is an outcome; return the last state and the report.

    :raises Unwatchable: if DescribeEndpoint fails for good, for example with AccessDenied.
    """
    pause, clock, published = 0.0, policy.clock(state.as_of), _Published()
    while True:
        # The first wait is 0 s: there is always one look, even after the deadline.
        yield _wait_for_change(state, pause, clock, every=policy.every)
        state = _with_missed_stages(state, (yield from poll_once(state)), policy.every)
        if not state.unanswered and state.as_of is not None:
            # A correction by each response, because this machine may have slept.
            clock.answered(state.as_of)
        if state.is_analysed:
            state = yield from analyse(state)
        if published.is_due(state):
            state = yield from _publish(state)
            published = _Published.of(state)
        if state.outcome is None and not clock.seconds_until(state.deadline):
            state = state.give_up()
        aborts = policy.on_timeout is TimeoutAction.ABORT and not state.timed_out
        if state.outcome is Outcome.TIMED_OUT and aborts:
            state = yield from _abort_at_timeout(state, clock)
        if state.outcome is not None:
            return state, (yield from finish(state))
        pause = max(0.0, min(policy.every, longest_pause(state), clock.seconds_until(state.deadline)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    """What the last published report knew."""

    at: datetime | None = None
    looks: int = 0

    @classmethod
    def of(cls, state: RolloutState) -> _Published:
        """Note that the report of *state* was published."""
        return cls(at=state.as_of, looks=state.analysis.looks if state.analysis else 0)

    def is_due(self, state: RolloutState) -> bool:
        """Whether a rollout in flight has a new verdict, or its report is about a minute old."""
        if state.outcome is not None or state.as_of is None or state.unanswered:
            return False
        verdicts = state.analysis.looks if state.analysis else 0
        return self.at is None or verdicts > self.looks or state.as_of - self.at >= PUBLISH_EVERY


def _publish(state: RolloutState) -> _Steps:
    """Read the alarms again, and publish the report."""
    if state.seen_in_flight and state.alarms_as_of != state.as_of:
        alarms, state = yield from _read_alarms(state)
        state = state if alarms is None else (yield from _check_definitions(state, alarms))
    yield PublishReport(rollout_report(state), state)
    return state


def _with_missed_stages(before: RolloutState, after: RolloutState, every: float) -> RolloutState:
    """Record that stages may be missing if the triggerer was down between the last two looks."""
    # A state that was loaded from JSON has the time of its last look, but not the look.
    resumed = before.last_look is None and before.as_of is not None
    if not resumed or after.as_of is None or before.as_of is None:
        return after
    gap = (after.as_of - before.as_of).total_seconds()
    return replace(after, stages_complete=after.stages_complete and gap <= every + _RESTART_SECONDS)


def _wait_for_change(state: RolloutState, pause: float, clock: AwsClock, *, every: float) -> WaitForChange:
    within, grace_left = clock.seconds_until(state.deadline), state.grace_left
    if grace_left is not None:
        within = min(within, grace_left.total_seconds())
    within = min(within, _seconds_to_next_stage(state, clock, every))
    look = state.last_look
    return WaitForChange(
        name=state.rollout.endpoint_name,
        seconds=pause,
        within=within,
        expected=state.expected,
        modified_at=look.last_modified_at if isinstance(look, Endpoint) else None,
    )


def _seconds_to_next_stage(state: RolloutState, clock: AwsClock, every: float) -> float:
    """
    Return the seconds to a look that no list may replace, because lists show no stages.

    It comes when the bake under way ends by the schedule, and often enough to see the shortest bake.
    """
    if not state.seen_in_flight or state.outcome is not None:
        return float("inf")
    shortest, ends_at = shortest_bake(state), bake_ends_at(state)
    seconds = max(every, shortest.total_seconds() / 2) if shortest else float("inf")
    left = clock.seconds_until(ends_at)
    return min(seconds, left + _AFTER_BAKE) if left else seconds


def poll_once(state: RolloutState) -> _Steps:
    """
    Describe the endpoint once; return the next state, and log each new stage.

    :raises Unwatchable: if DescribeEndpoint fails for good, for example with AccessDenied.
    """
    look = yield DescribeEndpoint(state.rollout.endpoint_name)
    if isinstance(look, NoResponse):
        if look.final:
            raise Unwatchable(look.reason, rollout_report(state), denied=look.denied)
        if not state.unanswered:
            yield LogMessage(
                f"No response from SageMaker ({look.reason}); trying again", rollout_report(state)
            )
        return replace(state, unanswered=True)
    new = state.after(look)
    for change in new.stages[len(state.stages) :]:
        new = yield from _log_stage(change, new)
    return new


def _log_stage(change: StageChange, state: RolloutState) -> _Steps:
    alarms, state = yield from _read_alarms(state)
    guardrails = state.rollout.guardrails
    strategy = guardrails.strategy if guardrails else None
    yield LogMessage(stage_message(change, strategy=strategy, alarms=alarms), rollout_report(state))
    return state if alarms is None else (yield from _check_definitions(state, alarms))


def _read_alarms(
    state: RolloutState,
) -> Generator[Effect, Any, tuple[tuple[Alarm, ...] | None, RolloutState]]:
    """Return the update's alarms (none if it has none, None if they are unknown) and the next state."""
    if not state.alarms:
        return (() if state.rollout.guardrails else None), state
    alarms = yield DescribeAlarms(state.alarms)
    if isinstance(alarms, NoResponse):
        return None, state
    return tuple(alarms), replace(state, alarms_seen=tuple(alarms), alarms_as_of=state.as_of)


def _check_definitions(state: RolloutState, alarms: tuple[Alarm, ...]) -> _Steps:
    """Warn, and abort if so required, when somebody changes an alarm during the update."""
    if not state.definitions:
        # The first read is what later reads are compared with.
        known = (AlarmDefinition(name=alarm.name, settings=alarm.definition) for alarm in alarms)
        return replace(state, definitions=tuple(known))
    changes = [change for each in state.definitions if (change := each.changes(alarms))]
    new = [warning for warning in map(_changed_warning, changes) if warning not in state.warnings]
    for warning in new:
        state = state.with_warning(warning)
        yield LogMessage(warning, rollout_report(state))
    if new and state.rollout.require_alarms_ok and state.outcome is None:
        return (yield from _abort_for(state, "; ".join(changes)))
    return state


def _changed_warning(change: str) -> str:
    return f"{change[0].upper()}{change[1:]} during the update, so it may no longer guard it"


def _abort_for(state: RolloutState, reason: str) -> _Steps:
    if state.thrown_at is not None:
        return state
    aborted = yield from throw_switch(state)
    if isinstance(aborted, NoResponse):
        return state.with_warning(f"The update was not aborted: {aborted.reason}")
    yield LogMessage(f"Abort switch thrown: {reason}; {_when(state)}", rollout_report(aborted))
    return aborted


def _abort_at_timeout(state: RolloutState, clock: AwsClock) -> _Steps:
    aborted = yield from throw_switch(state, clock.now())
    if isinstance(aborted, NoResponse):
        return state.with_warning(f"The update timed out and was not aborted: {aborted.reason}")
    aborted = aborted.after_timeout_abort()
    yield LogMessage(
        f"max_wait is over: the abort switch was thrown; {_when(state)}", rollout_report(aborted)
    )
    return aborted


def _when(state: RolloutState) -> str:
    return when_an_abort_acts(state.last_look, state.rollout.guardrails)


def finish(state: RolloutState) -> Generator[Effect, Any, RolloutReport]:
    """Find the cause, clean up alarms, and return the report of a rollout that has an outcome."""
    cause: Cause | None = None
    warnings: Sequence[str] = ()
    if state.outcome in _UNDONE:
        state, cause, warnings = yield from _find_cause(state)
    if cause is not None and cause.kind is CauseKind.ABORT:
        state, cause = yield from _judge_or_person(state, cause)
    if state.is_settled and _has_own_alarms(state):
        warnings = (*warnings, *(yield from _clean_up(state)))
    return rollout_report(state, cause=cause, warnings=warnings)


def _has_own_alarms(state: RolloutState) -> bool:
    return state.switch is not None or bool(_guards(state))


def _guards(state: RolloutState) -> list[str]:
    prefix = guard_prefix(state.rollout.endpoint_name)
    return [name for name in state.alarms if name.startswith(prefix)]


def _clean_up(state: RolloutState) -> Generator[Effect, Any, list[str]]:
    """
    Reset the switch, and delete the switches and guards of earlier rollouts; return warnings.

    This rollout's own alarms stay until the next rollout ends: the endpoint's last deployment names them, and
    so would an update with RetainDeploymentConfig.
    """
    warnings = []
    switch = state.switch
    reset = None if switch is None else (yield SetAbortSwitch(switch, RESET))
    if isinstance(reset, NoResponse):
        warnings.append(f"The abort switch could not be reset ({reset.reason})")
    began, look = state.started_at or state.rollout.launched_at, state.last_look
    if state.rollout.adopted is Adopted.FOREIGN or began is None:
        return warnings
    named = look.rollback_alarms if isinstance(look, Endpoint) else ()
    # By the prefix, because what SageMaker shows of this rollout may not name all of its guards.
    own = tuple(_guards(state)) if switch is None else (switch.alarm_name, rollout_prefix(switch))
    deleted = yield DeleteRolloutAlarms(state.rollout.endpoint_name, (*own, *named), began)
    if isinstance(deleted, NoResponse):
        warnings.append(
            f"Alarms of earlier rollouts could not be deleted ({deleted.reason}): allow "
            "cloudwatch:DescribeAlarms and DeleteAlarms, or delete the alarms by hand"
        )
    return warnings


def _judge_or_person(state: RolloutState, cause: Cause) -> Generator[Effect, Any, tuple[RolloutState, Cause]]:
    """Find out whether this task's analysis threw the switch before a restart, or somebody else did."""
    state = yield from judged_at(state, cause.alarms[0].at)
    if state.analysis is None or state.analysis.acted_at is None:
        return state, cause
    return state, replace(cause, kind=CauseKind.JUDGE, reasons=state.analysis.because)


def _find_cause(
    state: RolloutState,
) -> Generator[Effect, Any, tuple[RolloutState, Cause, Sequence[str]]]:
    """
    Return the next state, which has the alarms as they were read, the cause, and warnings.

    The alarms' history counts from the start of the rollout to its end.
    """
    # SageMaker does not say which alarm caused a rollback, so the alarms themselves are read.
    names, start, end = state.alarms, state.origin, state.ended_at
    if not names or start is None or end is None:
        return state, _cause(state, ()), ()
    # Both calls are needed: an alarm in ALARM since before the start has no entry in the history.
    history = yield DescribeAlarmHistory(names, start, end)
    alarms = yield DescribeAlarms(names)
    warnings = [
        f"The cause may be incomplete: no response from CloudWatch ({response.reason})"
        for response in (history, alarms)
        if isinstance(response, NoResponse)
    ]
    tripped = tripped_between(_or_empty(history), _or_empty(alarms), start=start, end=end)
    if not isinstance(alarms, NoResponse):
        state = replace(state, alarms_seen=tuple(alarms), alarms_as_of=state.as_of)
    return state, _cause(state, tripped), warnings


def _cause(state: RolloutState, tripped: tuple[AlarmTransition, ...]) -> Cause:
    failure_reason = state.last_look.failure_reason if isinstance(state.last_look, Endpoint) else None
    thrown_for = CauseKind.TIMEOUT if state.timed_out else CauseKind.ABORT
    if analysis := (state.analysis if state.analysis and state.analysis.acted_at else None):
        thrown_for = CauseKind.JUDGE
    switch = state.switch.alarm_name if state.switch else None
    cause = find_cause(tripped, failure_reason, switch=switch, thrown_for=thrown_for)
    return replace(cause, reasons=analysis.because) if analysis and cause.kind is thrown_for else cause


def _or_empty(response: Any) -> tuple[Any, ...]:
    return () if isinstance(response, NoResponse) else tuple(response)
