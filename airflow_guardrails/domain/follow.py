"""
How a rollout is followed, without touching the network or a clock.

The functions here are generators: they yield what they want (a look, the alarms' states, a pause), are sent
the answer, and return a value. Whoever drives them makes the calls, so that operator, sensor and trigger,
sync and async, follow a rollout by the same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.alarms import tripped_between
from airflow_guardrails.domain.cause import Cause, find_cause
from airflow_guardrails.domain.endpoint import Endpoint
from airflow_guardrails.domain.narration import narrate_stage
from airflow_guardrails.domain.report import Report, rollout_report
from airflow_guardrails.domain.rollout import Outcome, StageChange, Watch


@dataclass(frozen=True, slots=True)
class Look:
    """Wants an ``Endpoint`` or a ``MissingEndpoint``, or ``NoAnswer``."""

    endpoint_name: str


@dataclass(frozen=True, slots=True)
class AlarmStates:
    """Wants a tuple of ``Alarm``, of those that exist, or ``NoAnswer``."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlarmHistory:
    """Wants a tuple of ``AlarmTransition``, or ``NoAnswer``."""

    names: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """Wants to go on after that many seconds of the wall clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Say:
    """Wants a sentence to be logged; *report* is how far the rollout is."""

    sentence: str
    report: Report = field(compare=False)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """AWS was asked and could not say: throttled, unreachable, not permitted."""

    reason: str


Ask = Look | AlarmStates | AlarmHistory | Pause | Say


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """
    What whoever follows a rollout was told.

    :param every: seconds of the wall clock between two looks.
    :param deadline: seconds since the epoch on the wall clock; the watch ends then, also if AWS stops
        answering.
    :param now: the wall clock.
    """

    every: float
    deadline: float
    now: Callable[[], float]


def follow(watch: Watch, following: Following) -> Generator[Ask, Any, tuple[Watch, Report]]:
    """Look until there is an outcome; return the watch and its report."""
    while True:
        watch = yield from observe(watch)
        if watch.outcome is None and following.now() >= following.deadline:
            watch = watch.give_up()
        if watch.outcome is not None:
            return watch, (yield from conclude(watch))
        yield Pause(max(0.0, min(following.every, following.deadline - following.now())))


def observe(watch: Watch) -> Generator[Ask, Any, Watch]:
    """Take one look; say so where the rollout has moved on."""
    look = yield Look(watch.rollout.endpoint_name)
    if isinstance(look, NoAnswer):
        return watch
    seen = watch.after(look)
    for change in seen.stages[len(watch.stages) :]:
        yield from _tell(change, seen)
    return seen


def conclude(watch: Watch) -> Generator[Ask, Any, Report]:
    """Find out why, while the alarms' history is fresh, and write the report."""
    if watch.outcome not in _UNDONE:
        return rollout_report(watch)
    cause, warnings = yield from _investigate(watch)
    return rollout_report(watch, cause=cause, warnings=warnings)


_UNDONE = frozenset({Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED, Outcome.FAILED})


def _tell(change: StageChange, watch: Watch) -> Generator[Ask, Any, None]:
    states = (yield AlarmStates(watch.alarms)) if watch.alarms else ()
    guardrails = watch.rollout.guardrails
    strategy = guardrails.strategy if guardrails else None
    yield Say(narrate_stage(change, strategy=strategy, alarms=_known(states)), rollout_report(watch))


def _investigate(watch: Watch) -> Generator[Ask, Any, tuple[Cause, Sequence[str]]]:
    names, start, end = watch.alarms, watch.origin, watch.ended_at
    reason = watch.last_look.failure_reason if isinstance(watch.last_look, Endpoint) else None
    if not names or start is None or end is None:
        return find_cause((), reason), ()
    history = yield AlarmHistory(names, start, end)
    states = yield AlarmStates(names)
    warnings = [
        f"The cause may be incomplete: CloudWatch could not be asked ({answer.reason})"
        for answer in (history, states)
        if isinstance(answer, NoAnswer)
    ]
    tripped = tripped_between(_known(history), _known(states), start=start, end=end)
    return find_cause(tripped, reason), warnings


def _known(answer: Any) -> tuple[Any, ...]:
    return () if isinstance(answer, NoAnswer) else tuple(answer)
