"""
Drive what ``domain.follow`` and ``domain.shadow_follow`` want: make their calls and send them the answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import (
    UnexpectedAnswer,
    denied_action,
    is_access_denied,
    is_passing,
    named_text,
)
from airflow_guardrails.domain.effects import (
    DeleteAbortSwitches,
    DescribeAlarmHistory,
    DescribeAlarms,
    DescribeEndpoint,
    GetMetricData,
    LogMessage,
    NoResponse,
    SetAbortSwitch,
    Sleep,
    WaitForChange,
)
from airflow_guardrails.domain.shadow.process import CountRequests, DescribeExperiment, ShadowEffect
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmTransition
from airflow_guardrails.domain.snapshots.endpoint import EndpointLook
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentLook
from airflow_guardrails.domain.snapshots.metrics import MetricQuery

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


class RolloutCalls(Protocol):
    """The calls that following a rollout takes, on an event loop."""

    async def look(self, endpoint_name: str) -> EndpointLook: ...

    async def set_switch(self, switch: AbortSwitch, value: float) -> None: ...

    async def delete_switches(self, endpoint_name: str, *, keep: Sequence[str], before: datetime) -> None: ...

    async def alarms(self, names: Iterable[str]) -> tuple[Alarm, ...]: ...

    async def alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> tuple[AlarmTransition, ...]: ...

    async def metric_series(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
    ) -> dict[MetricQuery, dict[datetime, float]]: ...


class ShadowCalls(Protocol):
    """The calls that following a shadow test takes, on an event loop."""

    async def look_at_experiment(self, name: str) -> ExperimentLook: ...

    async def requests_had(
        self, endpoint_name: str, variant_names: Iterable[str], *, start: datetime, end: datetime
    ) -> dict[str, float]: ...

    async def stop_experiment(
        self, experiment: Experiment, action: Action, *, state: str, reason: str
    ) -> None: ...


Result = TypeVar("Result")
# A rollout's steps are some of these, too: they ask for less.
Steps = Generator[ShadowEffect, Any, Result]


def run_effects(
    steps: Steps[Result],
    hook: GuardrailsHook,
    *,
    sleep: Callable[[float], object],
    say: Callable[[LogMessage], object],
) -> Result:
    """Follow *steps* to their end, blocking."""
    answer: Any = None
    while True:
        try:
            ask = steps.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result
        answer = _answer(ask, hook, sleep=sleep, say=say)


async def run_effects_async(
    steps: Steps[Result],
    calls: RolloutCalls | ShadowCalls,
    *,
    sleep: Callable[[float], Awaitable[object]],
    say: Callable[[LogMessage], Awaitable[object]],
    rest: Callable[[WaitForChange], Awaitable[object]] | None = None,
) -> Result:
    """
    Follow *steps* to their end, on an event loop.

    :param calls: those that *steps* ask for.
    :param rest: goes on when the next look is worth it; default: after the seconds that it is to take.
    """
    answer: Any = None
    while True:
        try:
            ask = steps.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result
        answer = await _answer_async(ask, calls, sleep=sleep, say=say, rest=rest)


def _answer(
    ask: ShadowEffect,
    hook: GuardrailsHook,
    *,
    sleep: Callable[[float], object],
    say: Callable[[LogMessage], object],
) -> Any:
    try:
        match ask:
            case Sleep(seconds) | WaitForChange(seconds=seconds):
                return sleep(seconds) if seconds else None
            case LogMessage():
                return say(ask)
            case _:
                return _call(ask, hook)
    except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
        return no_answer(ask, error)


async def _answer_async(
    ask: ShadowEffect,
    calls: RolloutCalls | ShadowCalls,
    *,
    sleep: Callable[[float], Awaitable[object]],
    say: Callable[[LogMessage], Awaitable[object]],
    rest: Callable[[WaitForChange], Awaitable[object]] | None,
) -> Any:
    try:
        match ask:
            case WaitForChange() if rest is not None:
                return await rest(ask)
            case Sleep(seconds) | WaitForChange(seconds=seconds):
                return await sleep(seconds) if seconds else None
            case LogMessage():
                return await say(ask)
            case _:
                return await _call(ask, calls)
    except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
        return no_answer(ask, error)


_MINUTE = 60

_Question = (
    DescribeEndpoint
    | DescribeAlarms
    | DescribeAlarmHistory
    | GetMetricData
    | SetAbortSwitch
    | DeleteAbortSwitches
    | DescribeExperiment
    | CountRequests
)


def _call(ask: _Question, calls: Any) -> Any:
    """Make the call; what it returns is the answer, or to be awaited, as the *calls* are."""
    made: Any
    match ask:
        case DescribeEndpoint(endpoint_name):
            made = calls.look(endpoint_name)
        case DescribeExperiment(name):
            made = calls.look_at_experiment(name)
        case DescribeAlarms(names):
            made = calls.alarms(names)
        case DescribeAlarmHistory(names, start, end):
            made = calls.alarm_history(names, start=start, end=end)
        case GetMetricData(queries, start, end):
            made = calls.metric_series(queries, start=start, end=end, period=_MINUTE)
        case SetAbortSwitch(switch, value):
            made = calls.set_switch(switch, value)
        case DeleteAbortSwitches(endpoint_name, keep, before):
            made = calls.delete_switches(endpoint_name, keep=keep, before=before)
        case CountRequests(endpoint_name, names, start, end):
            made = calls.requests_had(endpoint_name, names, start=start, end=end)
    return made


def no_answer(ask: ShadowEffect, error: Exception) -> NoResponse:
    """
    Say why there is no answer, and whether it is worth asking again.

    A look that will never be answered ends the watch. Alarms and metrics only explain, so whatever fails
    there ends nothing. Requests are counted only where their number decides: whoever may not count them would
    wait for nothing.
    """
    final = isinstance(ask, DescribeEndpoint | DescribeExperiment) and not is_passing(error)
    if isinstance(ask, CountRequests):
        final = isinstance(error, ClientError) and is_access_denied(error)
    return NoResponse(named_text(error), final=final, denied=denied_action(error))
