"""How a shadow test is followed: as ``domain.follow`` does it for rollouts, by generators that yield asks."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.effects import Effect, LogMessage, NoResponse, WaitForChange
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.rollout.process import WaitPolicy
from airflow_guardrails.domain.shadow.report import shadow_test_report
from airflow_guardrails.domain.shadow.state import ShadowTestState
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.domain.times import format_time


@dataclass(frozen=True, slots=True)
class DescribeExperiment:
    """Wants an ``Experiment`` or a ``MissingExperiment``, or ``NoResponse``."""

    name: str


@dataclass(frozen=True, slots=True)
class CountRequests:
    """Wants the requests that variants of an endpoint had from *start* to *end*, or ``NoResponse``."""

    endpoint_name: str
    variant_names: tuple[str, ...]
    start: datetime
    end: datetime


ShadowEffect = Effect | DescribeExperiment | CountRequests
ShadowSteps = Generator[ShadowEffect, Any, ShadowTestState]


def follow_test(watch: ShadowTestState, following: WaitPolicy) -> ShadowSteps:
    """
    Look until there is an outcome; return the watch.

    :raises Unwatchable: if SageMaker will not say how the test is.
    """
    pause, clock = 0.0, following.clock(watch.as_of)
    while True:
        yield WaitForChange(
            name=watch.name,
            seconds=pause,
            within=clock.seconds_until(watch.deadline),
            expected=watch.expected,
            modified_at=watch.look.last_modified_at if watch.look else None,
        )
        watch = yield from observe_test(watch)
        if not watch.unanswered and watch.as_of is not None:
            clock.answered(watch.as_of)
        if watch.outcome is None and not clock.seconds_until(watch.deadline):
            watch = watch.give_up()
        if watch.outcome is not None:
            return watch
        pause = max(0.0, min(following.every, clock.seconds_until(watch.deadline)))


def observe_test(watch: ShadowTestState) -> ShadowSteps:
    """Take one look; say so where the test has moved on, and where nobody can say."""
    look = yield DescribeExperiment(watch.name)
    if isinstance(look, NoResponse):
        if look.final:
            raise Unwatchable(look.reason, shadow_test_report(watch), denied=look.denied)
        return (yield from _unanswered(watch, look))
    seen = watch.after(look)
    if seen.look and (watch.look is None or watch.look.status is not seen.look.status):
        yield LogMessage(_standing(seen.look), shadow_test_report(seen))
    if seen.is_to_count and seen.look:
        return (yield from _count(seen, seen.look))
    return replace(seen, unanswered=False) if seen.unanswered else seen


def _count(watch: ShadowTestState, look: Experiment) -> ShadowSteps:
    names = (look.production_name, look.shadow_name)
    start, end = look.starts_at or look.created_at, look.completed_at or look.seen_at
    if start is None:
        counted: Any = NoResponse("SageMaker does not say when the test has begun")
    elif start >= end:
        # Before its start a test has had none, and CloudWatch takes no such span.
        counted = dict.fromkeys(names, 0.0)
    else:
        counted = yield CountRequests(look.endpoint_name, names, start, end)
    if isinstance(counted, NoResponse):
        if counted.final:
            raise Unwatchable(counted.reason, shadow_test_report(watch), denied=counted.denied)
        return (yield from _unanswered(watch, counted))
    return replace(watch.having(counted), unanswered=False)


def _unanswered(watch: ShadowTestState, answer: NoResponse) -> ShadowSteps:
    if not watch.unanswered:
        yield LogMessage(f"AWS gives no answer ({answer.reason}); looking on", shadow_test_report(watch))
    return replace(watch, unanswered=True)


def _standing(look: Experiment) -> str:
    until = f", until {format_time(look.ends_at)}" if look.ends_at and not look.phase.over else ""
    why = f" ({look.reason})" if look.reason else ""
    return f"Shadow test {look.name} is {look.status.value}{until}{why}"
