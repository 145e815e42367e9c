"""
How a rollout is followed, without touching the network or a clock.

The functions here are generators: they yield what they want (a look, the alarms' states, a pause), are sent
the answer, and return a value. Whoever drives them makes the calls, so that operator, sensor and trigger,
sync and async, follow a rollout by the same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.effects import (
    DeleteAbortSwitches,
    DescribeAlarmHistory,
    DescribeAlarms,
    DescribeEndpoint,
    Effect,
    GetMetricData,
    LogMessage,
    NoAnswer,
    SetAbortSwitch,
    Sleep,
    WaitForChange,
)
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.rollout.abort import throw_switch
from airflow_guardrails.domain.rollout.canary_process import analyse, judged_at, longest_pause
from airflow_guardrails.domain.rollout.messages import stage_message, when_an_abort_acts
from airflow_guardrails.domain.rollout.report import Cause, CauseKind, Report, find_cause, rollout_report
from airflow_guardrails.domain.rollout.state import Outcome, RolloutState, StageChange
from airflow_guardrails.domain.snapshots.abort_switch import RESET, AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import (
    Alarm,
    AlarmDefinition,
    AlarmTransition,
    tripped_between,
)
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.times import AwsClock

__all__ = [
    "DeleteAbortSwitches",
    "DescribeAlarmHistory",
    "DescribeAlarms",
    "DescribeEndpoint",
    "Effect",
    "GetMetricData",
    "LogMessage",
    "NoAnswer",
    "SetAbortSwitch",
    "Sleep",
    "WaitForChange",
    "WaitPolicy",
    "conclude",
    "follow",
    "observe",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPolicy:
    """
    How to wait.

    :param every: seconds between two looks.
    :param monotonic: seconds on this machine, from any origin; they count only while AWS does not answer.
    :param began_at: what this machine takes for the time; it counts only until AWS has answered once.
    :param on_timeout: ``"abort"`` throws the abort switch when the time is up, if it may, and waits for the
        rollback; ``"fail"`` leaves the rollout alone.
    """

    every: float
    monotonic: Callable[[], float]
    began_at: datetime
    on_timeout: str = "fail"

    def clock(self, as_of: datetime | None) -> AwsClock:
        return AwsClock(self.monotonic, as_of=as_of or self.began_at)


def follow(watch: RolloutState, following: WaitPolicy) -> Generator[Effect, Any, tuple[RolloutState, Report]]:
    """
    Look until there is an outcome; return the watch and its report.

    :raises Unwatchable: if SageMaker will not say how the endpoint is.
    """
    pause, clock = 0.0, following.clock(watch.as_of)
    while True:
        yield _rest(watch, pause, clock)
        watch = _after_an_interruption(watch, (yield from observe(watch)), following.every)
        if not watch.unanswered and watch.as_of is not None:
            clock.answered(watch.as_of)
        if watch.is_analysed:
            watch = yield from analyse(watch)
        if watch.outcome is None and not clock.seconds_until(watch.deadline):
            watch = watch.give_up()
        if watch.outcome is Outcome.TIMED_OUT and following.on_timeout == "abort" and not watch.timed_out:
            watch = yield from _abort(watch, clock)
        if watch.outcome is not None:
            return watch, (yield from conclude(watch))
        pause = max(0.0, min(following.every, longest_pause(watch), clock.seconds_until(watch.deadline)))


# Seconds that a trigger may take to begin, beyond the pause between two looks.
_SLOW_START = 60.0


def _after_an_interruption(before: RolloutState, seen: RolloutState, every: float) -> RolloutState:
    """Note that stages may be missing where the triggerer was away between the last look and this one."""
    recalled = before.last_look is None and before.as_of is not None
    if not recalled or seen.as_of is None or before.as_of is None:
        return seen
    away = (seen.as_of - before.as_of).total_seconds()
    return replace(seen, stages_complete=seen.stages_complete and away <= every + _SLOW_START)


def _rest(watch: RolloutState, pause: float, clock: AwsClock) -> WaitForChange:
    within, settles_in = clock.seconds_until(watch.deadline), watch.settles_in
    if settles_in is not None:
        within = min(within, settles_in.total_seconds())
    look = watch.last_look
    return WaitForChange(
        name=watch.rollout.endpoint_name,
        seconds=pause,
        within=within,
        expected=watch.expected,
        modified_at=look.last_modified_at if isinstance(look, Endpoint) else None,
    )


def observe(watch: RolloutState) -> Generator[Effect, Any, RolloutState]:
    """
    Take one look; say so where the rollout has moved on.

    :raises Unwatchable: if SageMaker will not say how the endpoint is.
    """
    look = yield DescribeEndpoint(watch.rollout.endpoint_name)
    if isinstance(look, NoAnswer):
        if look.final:
            raise Unwatchable(look.reason, rollout_report(watch), denied=look.denied)
        if not watch.unanswered:
            yield LogMessage(
                f"SageMaker does not answer ({look.reason}); looking again", rollout_report(watch)
            )
        return replace(watch, unanswered=True)
    seen = watch.after(look)
    for change in seen.stages[len(watch.stages) :]:
        seen = yield from _tell(change, seen)
    return seen


def conclude(watch: RolloutState) -> Generator[Effect, Any, Report]:
    """Find out why, while the alarms' history is fresh, clean up, and write the report."""
    cause, warnings = (yield from _investigate(watch)) if watch.outcome in _UNDONE else (None, ())
    if cause is not None and cause.kind is CauseKind.ABORT:
        watch, cause = yield from _thrown(watch, cause)
    if watch.at_rest and watch.switch is not None:
        warnings = (*warnings, *(yield from _clean_up(watch, watch.switch)))
    return rollout_report(watch, cause=cause, warnings=warnings)


def _clean_up(watch: RolloutState, switch: AbortSwitch) -> Generator[Effect, Any, list[str]]:
    """
    Reset the switch, and delete those of earlier rollouts; return what to warn of.

    This rollout's own stays until the next one has ended: the endpoint's last deployment names it, and an
    update with RetainDeploymentConfig would, too.
    """
    warnings = []
    reset = yield SetAbortSwitch(switch, RESET)
    if isinstance(reset, NoAnswer):
        warnings.append(f"The abort switch could not be reset ({reset.reason})")
    began, look = watch.started_at or watch.rollout.launched_at, watch.last_look
    if watch.rollout.adopted == "foreign" or began is None:
        return warnings
    named = look.rollback_alarms if isinstance(look, Endpoint) else ()
    keep = (switch.alarm_name, *named)
    deleted = yield DeleteAbortSwitches(watch.rollout.endpoint_name, keep, began)
    if isinstance(deleted, NoAnswer):
        warnings.append(
            f"Abort switches of earlier rollouts could not be deleted, and stay ({deleted.reason}); allow "
            "cloudwatch:DescribeAlarms and DeleteAlarms, or delete the alarms by hand"
        )
    return warnings


def _thrown(watch: RolloutState, cause: Cause) -> Generator[Effect, Any, tuple[RolloutState, Cause]]:
    """Tell an abort by the analysis of this task, before it was restarted, from one by somebody else."""
    watch = yield from judged_at(watch, cause.alarms[0].at)
    if watch.analysis is None or watch.analysis.acted_at is None:
        return watch, cause
    return watch, replace(cause, kind=CauseKind.JUDGE, reasons=watch.analysis.because)


_UNDONE = frozenset({Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED, Outcome.FAILED})


_NOT_ABORTED = "The rollout could not be aborted at its time-out ({})"


def _abort(watch: RolloutState, clock: AwsClock) -> Generator[Effect, Any, RolloutState]:
    thrown = yield from throw_switch(watch, clock.now())
    if isinstance(thrown, NoAnswer):
        return watch.noting(_NOT_ABORTED.format(thrown.reason))
    aborting = thrown.aborting()
    yield LogMessage(f"The time is up: the abort switch is thrown; {_when(watch)}", rollout_report(aborting))
    return aborting


def _when(watch: RolloutState) -> str:
    return when_an_abort_acts(watch.last_look, watch.rollout.guardrails)


def _tell(change: StageChange, watch: RolloutState) -> Generator[Effect, Any, RolloutState]:
    alarms = yield from _alarms(watch)
    guardrails = watch.rollout.guardrails
    strategy = guardrails.strategy if guardrails else None
    yield LogMessage(stage_message(change, strategy=strategy, alarms=alarms), rollout_report(watch))
    return watch if alarms is None else (yield from _compare_definitions(watch, alarms))


def _compare_definitions(
    watch: RolloutState, alarms: tuple[Alarm, ...]
) -> Generator[Effect, Any, RolloutState]:
    """Notice that somebody has changed an alarm while it guards the rollout: it may not go off any more."""
    if not watch.definitions:
        known = (AlarmDefinition(name=alarm.name, settings=alarm.definition) for alarm in alarms)
        return replace(watch, definitions=tuple(known))
    changes = [change for each in watch.definitions if (change := each.changes(alarms))]
    new = [change for change in map(_guard_changed, changes) if change not in watch.warnings]
    for warning in new:
        watch = watch.noting(warning)
        yield LogMessage(warning, rollout_report(watch))
    if new and watch.rollout.require_alarms_ok and watch.outcome is None:
        return (yield from _abort_for(watch, "; ".join(changes)))
    return watch


def _guard_changed(change: str) -> str:
    return f"{change[0].upper()}{change[1:]} while the update ran, and may guard it no more"


def _abort_for(watch: RolloutState, reason: str) -> Generator[Effect, Any, RolloutState]:
    if watch.thrown_at is not None:
        return watch
    thrown = yield from throw_switch(watch)
    if isinstance(thrown, NoAnswer):
        return watch.noting(f"The rollout could not be aborted ({thrown.reason})")
    yield LogMessage(f"The abort switch is thrown, because {reason}; {_when(watch)}", rollout_report(thrown))
    return thrown


def _alarms(watch: RolloutState) -> Generator[Effect, Any, tuple[Alarm, ...] | None]:
    """Return how the alarms stand; None if nobody can say, which is not the same as that there are none."""
    if not watch.alarms:
        return () if watch.rollout.guardrails else None
    states = yield DescribeAlarms(watch.alarms)
    return None if isinstance(states, NoAnswer) else tuple(states)


def _investigate(watch: RolloutState) -> Generator[Effect, Any, tuple[Cause, Sequence[str]]]:
    names, start, end = watch.alarms, watch.origin, watch.ended_at
    reason = watch.last_look.failure_reason if isinstance(watch.last_look, Endpoint) else None
    if not names or start is None or end is None:
        return _cause(watch, (), reason), ()
    history = yield DescribeAlarmHistory(names, start, end)
    states = yield DescribeAlarms(names)
    warnings = [
        f"The cause may be incomplete: CloudWatch could not be asked ({answer.reason})"
        for answer in (history, states)
        if isinstance(answer, NoAnswer)
    ]
    tripped = tripped_between(_known(history), _known(states), start=start, end=end)
    return _cause(watch, tripped, reason), warnings


def _cause(watch: RolloutState, tripped: tuple[AlarmTransition, ...], reason: str | None) -> Cause:
    thrown_for = CauseKind.TIMEOUT if watch.timed_out else CauseKind.ABORT
    if analysis := (watch.analysis if watch.analysis and watch.analysis.acted_at else None):
        thrown_for = CauseKind.JUDGE
    switch = watch.switch.alarm_name if watch.switch else None
    cause = find_cause(tripped, reason, switch=switch, thrown_for=thrown_for)
    return replace(cause, reasons=analysis.because) if analysis and cause.kind is thrown_for else cause


def _known(answer: Any) -> tuple[Any, ...]:
    return () if isinstance(answer, NoAnswer) else tuple(answer)
