"""
How a rollout is followed, without touching the network or a clock.

The functions here are generators: they yield what they want (a look, the alarms' states, a pause), are sent
the answer, and return a value. Whoever drives them makes the calls, so that operator, sensor and trigger,
sync and async, follow a rollout by the same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_guardrails.domain.abort_switch import PERIOD_SECONDS, RESET, THROWN
from airflow_guardrails.domain.alarms import Alarm, AlarmTransition, tripped_between
from airflow_guardrails.domain.analysis_follow import analyse, judged_at, longest_pause
from airflow_guardrails.domain.asks import (
    AlarmHistory,
    AlarmStates,
    Ask,
    Look,
    MetricSeries,
    NoAnswer,
    Pause,
    Rest,
    Say,
    SetSwitch,
)
from airflow_guardrails.domain.cause import Cause, CauseKind, find_cause
from airflow_guardrails.domain.deadline import ABORTING
from airflow_guardrails.domain.endpoint import Endpoint
from airflow_guardrails.domain.narration import narrate_stage
from airflow_guardrails.domain.report import Report, rollout_report
from airflow_guardrails.domain.rollout import Outcome, StageChange, Watch

__all__ = [
    "AlarmHistory",
    "AlarmStates",
    "Ask",
    "Following",
    "Look",
    "MetricSeries",
    "NoAnswer",
    "Pause",
    "Rest",
    "Say",
    "SetSwitch",
    "conclude",
    "follow",
    "observe",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """
    What whoever follows a rollout was told.

    :param every: seconds of the wall clock between two looks.
    :param deadline: seconds since the epoch on the wall clock; the watch ends then, also if AWS stops
        answering.
    :param now: the wall clock.
    :param on_timeout: ``"abort"`` throws the abort switch when the time is up, if it may, and waits for the
        rollback; ``"fail"`` leaves the rollout alone.
    """

    every: float
    deadline: float
    now: Callable[[], float]
    on_timeout: str = "fail"


def follow(watch: Watch, following: Following) -> Generator[Ask, Any, tuple[Watch, Report]]:
    """Look until there is an outcome; return the watch and its report."""
    pause = 0.0
    while True:
        yield _rest(watch, pause, following)
        watch = yield from observe(watch)
        if watch.is_analysed:
            watch, following = yield from _analysed(watch, following)
        if watch.outcome is None and following.now() >= following.deadline:
            watch = watch.give_up()
        if watch.outcome is Outcome.TIMED_OUT and following.on_timeout == "abort" and not watch.timed_out:
            watch, following = yield from _abort(watch, following)
        if watch.outcome is not None:
            return watch, (yield from conclude(watch))
        pause = max(0.0, min(following.every, longest_pause(watch), following.deadline - following.now()))


def _analysed(watch: Watch, following: Following) -> Generator[Ask, Any, tuple[Watch, Following]]:
    watch = yield from analyse(watch)
    if watch.analysis is None or watch.analysis.acted_at is None:
        return watch, following
    # Its rollback is waited for, however little time was left.
    deadline = max(following.deadline, following.now() + ABORTING.total_seconds())
    return watch, replace(following, deadline=deadline)


def _rest(watch: Watch, pause: float, following: Following) -> Rest:
    until, settles_in = following.deadline, watch.settles_in
    if settles_in is not None:
        until = min(until, following.now() + settles_in.total_seconds())
    look = watch.last_look
    return Rest(
        name=watch.rollout.endpoint_name,
        seconds=pause,
        until=until,
        expected=watch.expected,
        modified_at=look.last_modified_at if isinstance(look, Endpoint) else None,
    )


def observe(watch: Watch) -> Generator[Ask, Any, Watch]:
    """Take one look; say so where the rollout has moved on."""
    look = yield Look(watch.rollout.endpoint_name)
    if isinstance(look, NoAnswer):
        if not watch.unanswered:
            yield Say(f"SageMaker gives no answer ({look.reason}); looking on", rollout_report(watch))
        return replace(watch, unanswered=True)
    seen = watch.after(look)
    for change in seen.stages[len(watch.stages) :]:
        yield from _tell(change, seen)
    return seen


def conclude(watch: Watch) -> Generator[Ask, Any, Report]:
    """Find out why, while the alarms' history is fresh, and write the report."""
    cause, warnings = (yield from _investigate(watch)) if watch.outcome in _UNDONE else (None, ())
    if cause is not None and cause.kind is CauseKind.ABORT:
        watch, cause = yield from _thrown(watch, cause)
    if watch.switch.alarm_name in watch.alarms and watch.at_rest:
        # Whoever sees the end resets the switch, so that no later update trips over it.
        reset = yield SetSwitch(watch.switch, RESET)
        if isinstance(reset, NoAnswer):
            warnings = (*warnings, f"The abort switch could not be reset ({reset.reason})")
    return rollout_report(watch, cause=cause, warnings=warnings)


def _thrown(watch: Watch, cause: Cause) -> Generator[Ask, Any, tuple[Watch, Cause]]:
    """Tell an abort by the analysis of this task, before it was restarted, from one by somebody else."""
    watch = yield from judged_at(watch, cause.alarms[0].at)
    if watch.analysis is None or watch.analysis.acted_at is None:
        return watch, cause
    return watch, replace(cause, kind=CauseKind.JUDGE, reasons=watch.analysis.because)


_UNDONE = frozenset({Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED, Outcome.FAILED})


_NOT_ABORTED = "The rollout could not be aborted at its time-out ({})"


def _abort(watch: Watch, following: Following) -> Generator[Ask, Any, tuple[Watch, Following]]:
    if watch.why_not_abort is not None:
        return watch.noting(_NOT_ABORTED.format(watch.why_not_abort)), following
    thrown = yield SetSwitch(watch.switch, THROWN)
    if isinstance(thrown, NoAnswer):
        return watch.noting(_NOT_ABORTED.format(thrown.reason)), following
    deadline = following.now() + ABORTING.total_seconds()
    # The alarm takes the highest value of a period, so a reset within the same one would go under.
    yield Pause(PERIOD_SECONDS)
    yield Say("The time is up: the abort switch is thrown, and acts at the next bake", rollout_report(watch))
    return watch.aborting(), replace(following, deadline=deadline)


def _tell(change: StageChange, watch: Watch) -> Generator[Ask, Any, None]:
    alarms = yield from _alarms(watch)
    guardrails = watch.rollout.guardrails
    strategy = guardrails.strategy if guardrails else None
    yield Say(narrate_stage(change, strategy=strategy, alarms=alarms), rollout_report(watch))


def _alarms(watch: Watch) -> Generator[Ask, Any, tuple[Alarm, ...] | None]:
    """How the alarms stand; None if nobody can say, which is not the same as that there are none."""
    if not watch.alarms:
        return () if watch.rollout.guardrails else None
    states = yield AlarmStates(watch.alarms)
    return None if isinstance(states, NoAnswer) else tuple(states)


def _investigate(watch: Watch) -> Generator[Ask, Any, tuple[Cause, Sequence[str]]]:
    names, start, end = watch.alarms, watch.origin, watch.ended_at
    reason = watch.last_look.failure_reason if isinstance(watch.last_look, Endpoint) else None
    if not names or start is None or end is None:
        return _cause(watch, (), reason), ()
    history = yield AlarmHistory(names, start, end)
    states = yield AlarmStates(names)
    warnings = [
        f"The cause may be incomplete: CloudWatch could not be asked ({answer.reason})"
        for answer in (history, states)
        if isinstance(answer, NoAnswer)
    ]
    tripped = tripped_between(_known(history), _known(states), start=start, end=end)
    return _cause(watch, tripped, reason), warnings


def _cause(watch: Watch, tripped: tuple[AlarmTransition, ...], reason: str | None) -> Cause:
    thrown_for = CauseKind.TIMEOUT if watch.timed_out else CauseKind.ABORT
    if analysis := (watch.analysis if watch.analysis and watch.analysis.acted_at else None):
        thrown_for = CauseKind.JUDGE
    cause = find_cause(tripped, reason, switch=watch.switch.alarm_name, thrown_for=thrown_for)
    return replace(cause, reasons=analysis.because) if analysis and cause.kind is thrown_for else cause


def _known(answer: Any) -> tuple[Any, ...]:
    return () if isinstance(answer, NoAnswer) else tuple(answer)
