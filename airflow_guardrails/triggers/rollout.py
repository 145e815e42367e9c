"""Waits for a rollout to end, in the triggerer or on any event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.domain.follow import Following, Say, follow
from airflow_guardrails.domain.report import Report
from airflow_guardrails.domain.rollout import DEFAULT_GRACE, Rollout, Watch
from airflow_guardrails.domain.rounds import MAX_DESCRIBE_GAP
from airflow_guardrails.hooks.driving import RolloutCalls, drive_async
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.killing import abort_if_failed
from airflow_guardrails.triggers.firing import FIRE_FLOOR
from airflow_guardrails.triggers.live import publish_report
from airflow_guardrails.triggers.memory import Memory, recall
from airflow_guardrails.triggers.sharing import waiting
from airflow_guardrails.triggers.waits import EndpointWait

# SageMaker ends an update after at most 8 hours; nothing is waited for much longer than that.
LONGEST_WAIT = timedelta(hours=9)


class SageMakerRolloutTrigger(BaseTrigger):
    """
    Fire once, when the update of an endpoint to a configuration has ended, with the report of how.

    The event is a dict: ``report`` (see ``rollout_report``), and ``error`` with the reason in words where the
    watch itself could not go on; exactly one of them is set. All it changes in AWS is the abort switch, which
    takes the same change twice, so two copies of the trigger do no harm.

    Outside a triggerer: ``event = await anext(trigger.run())``.

    :param endpoint_name: name of the endpoint.
    :param endpoint_config_name: name of the endpoint configuration that the update is to bring into service.
    :param previous_endpoint_config_name: name of the configuration served before; learned from the endpoint
        if the update is seen in flight.
    :param waiter_delay: seconds between two looks, or two lists that spare them: all triggers of a process
        that use the same connection look together.
    :param start_timeout: seconds within which the update must be seen to run.
    :param deadline: seconds since the epoch at which to give up, default 9 hours from now. A restarted
        triggerer keeps it.
    :param memory: what is known of the rollout already, from
        :func:`~airflow_guardrails.triggers.memory.remember`; it goes before the names above.
    :param fire_floor: seconds after its start before which the trigger does not fire in a triggerer.
    :param deferred_at: seconds since the epoch when the task was deferred; tells a restart from the first
        run.
    :param on_timeout: ``"fail"`` leaves a rollout alone at the deadline, ``"abort"`` throws its abort switch.
    :param on_kill: ``"leave"`` it alone when the task is killed, or ``"abort"`` it if Airflow says the task
        is failed.
    :param max_describe_gap: the most seconds that lists may spare the endpoint its own look; so late, at
        most, a change is seen that a list has missed, and stages are.
    :param events_queue_url: URL of an SQS queue that an EventBridge rule fills with SageMaker's events of
        endpoints; then they make the trigger look, and lists are read once in *max_describe_gap* only.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's own ways.
    :param region_name: AWS region; default: the connection's.
    :param verify: whether, or with which certificates, TLS is verified.
    :param botocore_config: arguments of ``botocore.config.Config``. Airflow stores them in plain text.
    """

    # Time comes in here, so that a rehearsal can bring its own; such a one looks for itself.
    shares = True
    sleep: Callable[[float], Awaitable[object]] = staticmethod(asyncio.sleep)
    now: Callable[[], float] = staticmethod(time.time)

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str,
        previous_endpoint_config_name: str | None = None,
        waiter_delay: float = 30,
        start_timeout: float = DEFAULT_GRACE.total_seconds(),
        deadline: float | None = None,
        memory: Memory | None = None,
        fire_floor: float = FIRE_FLOOR,
        deferred_at: float | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        on_timeout: str = "fail",
        on_kill: str = "leave",
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        events_queue_url: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.previous_endpoint_config_name = previous_endpoint_config_name
        self.waiter_delay = waiter_delay
        self.start_timeout = start_timeout
        self.deadline = deadline
        self.memory = memory
        self.fire_floor = fire_floor
        self.deferred_at = deferred_at
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.on_timeout = on_timeout
        self.kill_action = on_kill  # on_kill is a method of every trigger
        self.max_describe_gap = max_describe_gap
        self.events_queue_url = events_queue_url
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        fields = (
            "endpoint_name",
            "endpoint_config_name",
            "previous_endpoint_config_name",
            "waiter_delay",
            "start_timeout",
            "deadline",
            "memory",
            "fire_floor",
            "deferred_at",
            "aws_conn_id",
            "region_name",
            "verify",
            "botocore_config",
            "on_timeout",
            "max_describe_gap",
            "events_queue_url",
        )
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        arguments = {field: getattr(self, field) for field in fields}
        return path, {**arguments, "on_kill": self.kill_action}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        started = time.monotonic()
        event = await self._watch_to_the_end()
        if self.trigger_id is not None:  # in a triggerer
            await self.sleep(max(0.0, self.fire_floor - (time.monotonic() - started)))
        self._fired = True
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Abort the rollout if the task was marked failed; Airflow calls this in other cases too."""
        if self.kill_action != "abort" or self._fired:
            return
        async with self._calls() as calls:
            await abort_if_failed(self._watch().rollout, calls, self.task_instance, self.log)

    async def _watch_to_the_end(self) -> dict[str, Any]:
        try:
            return {"report": await self._report(), "error": None}
        except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
            return {"report": None, "error": f"{type(error).__name__}: {error}"}

    async def _report(self) -> Report:
        following = Following(
            every=self.waiter_delay, deadline=self._deadline(), now=self.now, on_timeout=self.on_timeout
        )
        async with self._calls() as calls:
            rest = calls.rest if isinstance(calls, EndpointWait) else None
            _, report = await drive_async(
                follow(self._watch(), following), calls, sleep=self.sleep, say=self._say, rest=rest
            )
        return report

    @asynccontextmanager
    async def _calls(self) -> AsyncIterator[RolloutCalls]:
        if not self.shares:
            async with self._hook().asynchronous() as calls:
                yield calls
            return
        together = waiting(
            EndpointWait,
            self.endpoint_name,
            partial(GuardrailsHook, **self._connection),
            every=self.waiter_delay,
            gap=self.max_describe_gap,
            events_queue_url=self.events_queue_url,
            now=self.now,
        )
        async with together as wait:
            yield wait

    def _watch(self) -> Watch:
        if self.memory is None:
            rollout = Rollout(
                endpoint_name=self.endpoint_name,
                target=self.endpoint_config_name,
                previous=self.previous_endpoint_config_name,
                grace=timedelta(seconds=self.start_timeout),
            )
            return Watch(rollout=rollout)
        watch = recall(self.memory)
        return replace(watch, stages_complete=watch.stages_complete and not self._was_away())

    def _was_away(self) -> bool:
        """Whether this run begins so late after the deferral that stages may have passed unseen."""
        return self.deferred_at is not None and self.now() - self.deferred_at > self.waiter_delay + 60

    def _deadline(self) -> float:
        return self.now() + LONGEST_WAIT.total_seconds() if self.deadline is None else self.deadline

    def _hook(self) -> GuardrailsHook:
        return GuardrailsHook(**self._connection)

    @property
    def _connection(self) -> dict[str, Any]:
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "config": self.botocore_config,
        }

    async def _say(self, news: Say) -> None:
        self.log.info(news.sentence)
        await publish_report(self.task_instance, news.report)
