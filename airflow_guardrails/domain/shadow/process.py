"""
How to wait for a shadow test.

The functions are generators that yield effects and are sent the results, as in ``domain.rollout.process``.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_guardrails.domain.effects import (
    Effect,
    LogMessage,
    NoResponse,
    PublishReport,
    WaitForChange,
)
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.rollout.process import PUBLISH_EVERY, WaitPolicy
from airflow_guardrails.domain.shadow.report import shadow_test_report
from airflow_guardrails.domain.shadow.state import ShadowTestState
from airflow_guardrails.domain.snapshots.experiment import Experiment


@dataclass(frozen=True, slots=True)
class DescribeExperiment:
    """Describe an experiment; the result is an ``Experiment``, a ``MissingExperiment`` or ``NoResponse``."""

    name: str


@dataclass(frozen=True, slots=True)
class CountRequests:
    """
    Count the requests to variants of an endpoint from *start* to *end*.

    The result is a dict, variant name -> requests, or ``NoResponse``.
    """

    endpoint_name: str
    variant_names: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class FindFirstRequest:
    """
    Find the first request to a variant of an endpoint from *start* to *end*.

    The result is the minute, None without a request, or ``NoResponse``.
    """

    endpoint_name: str
    variant_name: str
    start: datetime
    end: datetime


ShadowEffect = Effect | DescribeExperiment | CountRequests | FindFirstRequest
_Steps = Generator[ShadowEffect, Any, ShadowTestState]


def follow_test(state: ShadowTestState, policy: WaitPolicy) -> _Steps:
    """
    Poll until there is an outcome; return the last state.

    :raises Unwatchable: if the test cannot be described, for example with AccessDenied.
    """
    pause, clock = 0.0, policy.clock(state.as_of)
    published_at: datetime | None = None
    while True:
        yield WaitForChange(
            name=state.name,
            seconds=pause,
            within=clock.seconds_until(state.deadline),
            expected=state.expected,
            modified_at=state.look.last_modified_at if state.look else None,
        )
        state = yield from observe_test(state)
        if not state.unanswered and state.as_of is not None:
            clock.answered(state.as_of)
        # Only AWS's clock ends the wait: the clocks of workers and triggerers may be wrong.
        if state.outcome is None and not clock.seconds_until(state.deadline):
            state = state.give_up()
        if state.outcome is not None:
            return state
        if published_at is None or (state.as_of and state.as_of - published_at >= PUBLISH_EVERY):
            published_at = state.as_of
            yield PublishReport(shadow_test_report(state))
        pause = max(0.0, min(policy.every, clock.seconds_until(state.deadline)))


def observe_test(state: ShadowTestState) -> _Steps:
    """
    Describe the test once; return the next state, and log a new status.

    :raises Unwatchable: if the test cannot be described, or its requests cannot be counted.
    """
    look = yield DescribeExperiment(state.name)
    if isinstance(look, NoResponse):
        if look.final:
            raise Unwatchable(look.reason, shadow_test_report(state), denied=look.denied)
        return (yield from _without_response(state, "SageMaker", look))
    new = state.after(look)
    if new.look and (state.look is None or state.look.status is not new.look.status):
        yield LogMessage(_status_message(new.look), shadow_test_report(new))
    if new.needs_count and new.look:
        return (yield from _count(new, new.look))
    return replace(new, unanswered=False) if new.unanswered else new


def _count(state: ShadowTestState, look: Experiment) -> _Steps:
    start, end = look.starts_at or look.created_at, look.completed_at or look.seen_at
    if start is None:
        missing = NoResponse("the start time of the test is missing")
        return (yield from _without_response(state, "SageMaker", missing))
    counted = yield from _counted(state, look, start, end)
    if isinstance(counted, NoResponse):
        if counted.final:
            raise Unwatchable(counted.reason, shadow_test_report(state), denied=counted.denied)
        return (yield from _without_response(state, "CloudWatch", counted))
    requests, counts_from = counted
    return replace(state.with_requests(requests), unanswered=False, counts_from=counts_from)


def _counted(
    state: ShadowTestState, look: Experiment, start: datetime, end: datetime
) -> Generator[ShadowEffect, Any, tuple[dict[str, float], datetime | None] | NoResponse]:
    """Return variant name -> requests after the warm-up, and when that is over if it is known."""
    names, counts_from = (look.production_name, look.shadow_name), state.counts_from
    # Before the test has begun, there is nothing to find: CloudWatch refuses a start that is not before the
    # end.
    if counts_from is None and state.warm_up and start < end:
        first = yield FindFirstRequest(look.endpoint_name, look.shadow_name, start, end)
        if isinstance(first, NoResponse):
            return first
        counts_from = first + state.warm_up if first else None
        start = counts_from or end
    start = counts_from or start
    if start >= end:
        return dict.fromkeys(names, 0.0), counts_from
    requests = yield CountRequests(look.endpoint_name, names, start, end)
    return requests if isinstance(requests, NoResponse) else (requests, counts_from)


def _without_response(state: ShadowTestState, service: str, answer: NoResponse) -> _Steps:
    if not state.unanswered:
        yield LogMessage(
            f"No response from {service} ({answer.reason}); trying again", shadow_test_report(state)
        )
    return replace(state, unanswered=True)


def _status_message(look: Experiment) -> str:
    until = f", until {look.ends_at.isoformat()}" if look.ends_at and not look.phase.over else ""
    why = f" ({look.reason})" if look.reason else ""
    return f"Shadow test {look.name} is {look.status.value}{until}{why}"
