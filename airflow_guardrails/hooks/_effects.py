"""
Run the generators of ``domain/rollout/process.py`` and ``domain/shadow/process.py``.

They yield effects ("describe the endpoint", "sleep"). This module carries each one out, in a worker or on an
event loop, and sends the result back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import (
    UnexpectedAnswer,
    denied_action,
    is_access_denied,
    is_passing,
    named_text,
)
from airflow_guardrails.domain.effects import (
    Compute,
    DeleteRolloutAlarms,
    DescribeAlarmHistory,
    DescribeAlarms,
    DescribeEndpoint,
    GetMetricData,
    LogMessage,
    NoResponse,
    PublishReport,
    PutMetricData,
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
from airflow_guardrails.domain.snapshots.metrics import MetricDatum, MetricQuery
from airflow_guardrails.hooks._threads import in_computing_thread

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file can do without.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


class RolloutCalls(Protocol):
    """The async calls that waiting for a rollout needs; ``hooks/_calls.py`` describes them."""

    async def describe_endpoint(self, endpoint_name: str) -> EndpointLook: ...

    async def set_abort_switch(self, switch: AbortSwitch, value: float) -> None: ...

    async def delete_rollout_alarms(
        self, endpoint_name: str, *, keep: Sequence[str], before: datetime
    ) -> None: ...

    async def describe_alarms(self, names: Iterable[str]) -> tuple[Alarm, ...]: ...

    async def describe_alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> tuple[AlarmTransition, ...]: ...

    async def get_metric_data(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
    ) -> dict[MetricQuery, dict[datetime, float]]: ...

    async def put_metric_data(self, namespace: str, data: Sequence[MetricDatum]) -> None: ...


class ShadowCalls(Protocol):
    """The async calls that waiting for a shadow test needs; ``hooks/_calls.py`` describes them."""

    async def describe_inference_experiment(self, name: str) -> ExperimentLook: ...

    async def count_variant_requests(
        self, endpoint_name: str, variant_names: Iterable[str], *, start: datetime, end: datetime
    ) -> dict[str, float]: ...

    async def stop_inference_experiment(
        self, experiment: Experiment, action: Action, *, state: str, reason: str
    ) -> None: ...


Result = TypeVar("Result")
# Includes the generators of a rollout: their effects are a subset.
Process = Generator[ShadowEffect, Any, Result]


def run_effects(
    process: Process[Result],
    hook: GuardrailsHook,
    *,
    sleep: Callable[[float], object],
    log: Callable[[LogMessage], object],
    publish: Callable[[PublishReport], object],
) -> Result:
    """Run *process* to its end, blocking, and return its result."""
    result: Any = None
    while True:
        try:
            effect = process.send(result)
        except StopIteration as end:
            return cast("Result", end.value)
        try:
            result = _call_for(effect, hook, sleep=sleep, log=log, publish=publish, compute=Compute.run)()
        except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
            # The error is sent into the process as a value: the process decides whether the wait continues.
            result = _no_answer(effect, error)


async def run_effects_async(
    process: Process[Result],
    calls: RolloutCalls | ShadowCalls,
    *,
    sleep: Callable[[float], Awaitable[object]],
    log: Callable[[LogMessage], Awaitable[object]],
    publish: Callable[[PublishReport], Awaitable[object]],
    wait_for_change: Callable[[WaitForChange], Awaitable[object]] | None = None,
) -> Result:
    """
    Run *process* to its end on an event loop, and return its result.

    :param calls: the calls for the effects that *process* yields.
    :param wait_for_change: returns when the next look is due; default: after the seconds of the effect.
    """
    result: Any = None
    while True:
        try:
            effect = process.send(result)
        except StopIteration as end:
            return cast("Result", end.value)
        try:
            if wait_for_change is not None and isinstance(effect, WaitForChange):
                result = await wait_for_change(effect)
            else:
                pending = _call_for(
                    effect, calls, sleep=sleep, log=log, publish=publish, compute=_compute_in_thread
                )()
                # A wait of 0 seconds is no coroutine, so there is nothing to await.
                result = None if pending is None else await pending
        except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
            result = _no_answer(effect, error)


# SageMaker publishes its metrics by the minute, unless the configuration has enhanced metrics.
_MINUTE = 60  # seconds


def _call_for(  # noqa: C901, PLR0911, PLR0912 - one flat case for each effect, run at every look of every wait
    effect: ShadowEffect,
    calls: Any,
    *,
    sleep: Callable[..., Any],
    log: Callable[..., Any],
    publish: Callable[..., Any],
    compute: Callable[[Compute], Any],
) -> Callable[[], Any]:
    """Return the call that carries out *effect*. It is async if *calls* and all the functions are."""
    match effect:
        case Sleep(seconds) | WaitForChange(seconds=seconds):
            return partial(sleep, seconds) if seconds else _nothing
        case LogMessage():
            return partial(log, effect)
        case PublishReport():
            return partial(publish, effect)
        case Compute():
            return partial(compute, effect)
        case DescribeEndpoint(endpoint_name):
            return partial(calls.describe_endpoint, endpoint_name)
        case DescribeExperiment(name):
            return partial(calls.describe_inference_experiment, name)
        case DescribeAlarms(names):
            return partial(calls.describe_alarms, names)
        case DescribeAlarmHistory(names, start, end):
            return partial(calls.describe_alarm_history, names, start=start, end=end)
        case GetMetricData(queries, start, end):
            return partial(calls.get_metric_data, queries, start=start, end=end, period=_MINUTE)
        case PutMetricData(namespace, data):
            return partial(calls.put_metric_data, namespace, data)
        case SetAbortSwitch(switch, value):
            return partial(calls.set_abort_switch, switch, value)
        case DeleteRolloutAlarms(endpoint_name, keep, before):
            return partial(calls.delete_rollout_alarms, endpoint_name, keep=keep, before=before)
        case CountRequests(endpoint_name, names, start, end):
            return partial(calls.count_variant_requests, endpoint_name, names, start=start, end=end)


async def _compute_in_thread(effect: Compute) -> Any:
    return await in_computing_thread(effect.run)


def _nothing() -> None:
    """Do nothing: a wait of 0 seconds."""


def _no_answer(effect: ShadowEffect, error: Exception) -> NoResponse:
    """
    Return the error as a value, with whether it is final: whether the wait has to end because of it.

    A failed look is final if the error will not go away, for example AccessDenied. Alarms and metrics only
    explain an outcome, so an error there is never final. Counts of requests are only read where they decide
    the end of the wait, so not being allowed to read them is final.
    """
    final = isinstance(effect, DescribeEndpoint | DescribeExperiment) and not is_passing(error)
    if isinstance(effect, CountRequests):
        final = isinstance(error, ClientError) and is_access_denied(error)
    return NoResponse(named_text(error), final=final, denied=denied_action(error))
