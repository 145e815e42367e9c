"""What the triggers have in common: each watches to an end, speaks once, and is carried as plain JSON."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import UnexpectedAnswer, named_text
from airflow_guardrails.aws.permissions import denial
from airflow_guardrails.domain.follow import Say
from airflow_guardrails.domain.rounds import MAX_DESCRIBE_GAP
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.triggers.firing import FIRE_FLOOR
from airflow_guardrails.triggers.live import publish_report

_COMMON = (
    "waiter_delay",
    "deadline",
    "fire_floor",
    "aws_conn_id",
    "region_name",
    "verify",
    "botocore_config",
    "max_describe_gap",
)


class WatchingTrigger(BaseTrigger):
    """
    Fire once, when what is watched has ended, with the report of how.

    The event is a dict: ``report``, and ``error`` with the reason in words where the watch itself could not
    go on; exactly one of them is set. Outside a triggerer: ``event = await anext(trigger.run())``.
    """

    # Time comes in here, so that a rehearsal can bring its own; such a one looks for itself.
    shares = True
    sleep: Callable[[float], Awaitable[object]] = staticmethod(asyncio.sleep)
    now: Callable[[], float] = staticmethod(time.time)
    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    # Arguments of its own that a trigger is made of again.
    own_fields: ClassVar[tuple[str, ...]]
    # Nothing is waited for longer than that.
    longest_wait: ClassVar[timedelta]
    # The XCom that shows how far it is.
    report_key: ClassVar[str]

    def __init__(
        self,
        *,
        waiter_delay: float,
        deadline: float | None = None,
        fire_floor: float = FIRE_FLOOR,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        on_kill: str = "leave",
        max_describe_gap: float = MAX_DESCRIBE_GAP,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waiter_delay = waiter_delay
        self.deadline = deadline
        self.fire_floor = fire_floor
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.kill_action = on_kill  # on_kill is a method of every trigger
        self.max_describe_gap = max_describe_gap
        self.fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        arguments = {field: getattr(self, field) for field in (*self.own_fields, *_COMMON)}
        return path, {**arguments, "on_kill": self.kill_action}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        started = self.monotonic()
        event = await self._watch_to_the_end()
        if self.trigger_id is not None:  # in a triggerer
            await self.sleep(max(0.0, self.fire_floor - (self.monotonic() - started)))
        self.fired = True
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    @abstractmethod
    async def watch_to_its_report(self) -> dict[str, Any]:
        """Wait for the end, and tell of it."""

    async def say(self, news: Say) -> None:
        self.log.info(news.sentence)
        await publish_report(self.task_instance, self.report_key, news.report)

    @property
    def absolute_deadline(self) -> float:
        return self.now() + self.longest_wait.total_seconds() if self.deadline is None else self.deadline

    def _hook(self) -> GuardrailsHook:
        return self.make_hook()

    @property
    def make_hook(self) -> Callable[[], GuardrailsHook]:
        """Makes a hook of the connection, and knows nothing of this trigger: it may outlive it."""
        return partial(
            GuardrailsHook,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    async def _watch_to_the_end(self) -> dict[str, Any]:
        try:
            return {"report": await self.watch_to_its_report(), "error": None}
        except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
            return {"report": None, "error": named_text(error), **denial(error)}
