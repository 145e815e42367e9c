"""What the triggers have in common: each watches to an end, speaks once, and is carried as plain JSON."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import UnexpectedAnswer, denied_action, is_passing, named_text
from airflow_guardrails.domain.arguments import (
    check_connection_id,
    check_epoch,
    check_options,
    check_region,
    check_seconds,
    check_verify,
    optional,
)
from airflow_guardrails.domain.effects import LogMessage
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.hooks._cancellation import LEFT_ALONE, NOT_STOPPED
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.triggers._bounds import without_cancelling
from airflow_guardrails.triggers._stopping import finish, why_not_stop

# Airflow 3.3 marks a task failed in up to a third of the runs in which its trigger fires within about 6 s of
# the deferral: the worker that deferred may still be waiting for its next heartbeat.
FIRE_FLOOR = 8.0  # seconds


log = logging.getLogger(__name__)

REPORT_KEY = "rollout_report"
SHADOW_TEST_REPORT_KEY = "shadow_test_report"


async def publish_report(task_instance: Any, key: str, report: Mapping[str, Any]) -> None:
    """
    Push *report* as XCom *key* of the deferred task.

    It is a convenience for people who look at the UI: where it cannot be done (no triggerer, an Airflow that
    has moved these internals), nothing else depends on it.
    """
    if task_instance is None:
        return
    try:
        from airflow.sdk.execution_time.comms import SetXCom  # noqa: PLC0415 - only in a triggerer
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: PLC0415

        request = SetXCom(
            key=key,
            value=dict(report),
            dag_id=task_instance.dag_id,
            run_id=task_instance.run_id,
            task_id=task_instance.task_id,
            map_index=task_instance.map_index,
        )
        await without_cancelling(SUPERVISOR_COMMS.asend(request))
    except Exception:  # internals of Airflow; whatever it is, the watch goes on
        log.debug("The report so far could not be published", exc_info=True)


# Seconds that a cancelled trigger may take to stop what its task has begun, and after which it tries again.
LONGEST_STOP = 60.0
STOP_AGAIN_AFTER = 2.0

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

    :raises InvalidValue: if an argument breaks a rule; the text gives its name, the rule and the value.
    """

    # Time comes in here, so that a rehearsal can bring its own; such a one looks for itself.
    shares = True
    sleep: Callable[[float], Awaitable[object]] = staticmethod(asyncio.sleep)
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
        check_seconds("waiter_delay", waiter_delay)
        check_seconds("max_describe_gap", max_describe_gap)
        check_seconds("fire_floor", fire_floor, may_be_zero=True)
        optional(check_epoch)("deadline", deadline)
        check_connection_id("aws_conn_id", aws_conn_id)
        check_region("region_name", region_name)
        check_verify("verify", verify)
        check_options("botocore_config", botocore_config)
        self.waiter_delay = waiter_delay
        self.deadline = deadline
        self.fire_floor = fire_floor
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.kill_action = on_kill  # on_kill is a method of every trigger
        self.max_describe_gap = max_describe_gap
        # What the event says if the watch cannot go on.
        self._progress: dict[str, Any] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        arguments = {field: getattr(self, field) for field in (*self.own_fields, *_COMMON)}
        return path, {**arguments, "on_kill": self.kill_action}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        started = self.monotonic()
        try:
            event = await self._watch_to_the_end()
            if self.trigger_id is not None:  # in a triggerer
                await self.sleep(max(0.0, self.fire_floor - (self.monotonic() - started)))
        except asyncio.CancelledError:
            if self._may_stop:
                await finish(self._stop_if_marked_failed())
            raise
        # What is cancelled from here on has told how it ended; there is nothing left to stop.
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    @abstractmethod
    async def watch_to_its_report(self) -> Mapping[str, Any]:
        """Wait for the end, and tell of it."""

    @abstractmethod
    async def stop(self, still_wanted: Callable[[], Awaitable[bool]]) -> None:
        """
        Stop what the task has begun, if it is still under way.

        :param still_wanted: to be asked right before each change of AWS.
        """

    async def say(self, news: LogMessage) -> None:
        self._progress = dict(news.report)
        self.log.info(news.sentence)
        await publish_report(self.task_instance, self.report_key, news.report)

    @property
    def absolute_deadline(self) -> datetime:
        """When to give up, on AWS's clock."""
        if self.deadline is None:
            return self.began_at + self.longest_wait
        return datetime.fromtimestamp(self.deadline, timezone.utc)

    @property
    def began_at(self) -> datetime:
        """What this machine takes for the time, which counts until AWS has said how late it is."""
        return datetime.now(timezone.utc)

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

    @property
    def _may_stop(self) -> bool:
        in_a_triggerer = self.trigger_id is not None and self.task_instance is not None
        return in_a_triggerer and self.kill_action != "leave"

    async def _stop_if_marked_failed(self) -> None:
        """Never raise: the trigger is ending, and there is nobody to tell but its task's log."""
        try:
            await asyncio.wait_for(self._stop_while_wanted(), LONGEST_STOP)
        except asyncio.TimeoutError:
            self.log.warning(NOT_STOPPED, f"it took longer than {LONGEST_STOP:g} s")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            self.log.warning(NOT_STOPPED, f"{type(error).__name__}: {error}")

    async def _stop_while_wanted(self) -> None:
        while await self._still_wanted():
            try:
                return await self.stop(self._still_wanted)
            except (ClientError, BotoCoreError) as error:
                if not is_passing(error):
                    raise
                self.log.warning(NOT_STOPPED, f"{error}; it is tried again")
            await self.sleep(STOP_AGAIN_AFTER)
        return None

    async def _still_wanted(self) -> bool:
        refusal = await why_not_stop(self.task_instance)
        if refusal is not None:
            self.log.info(LEFT_ALONE, f"Cancelled, and {refusal}")
        return refusal is None

    async def _watch_to_the_end(self) -> dict[str, Any]:
        try:
            return {"report": await self.watch_to_its_report(), "error": None}
        except Unwatchable as error:
            return {"report": error.report, "error": error.reason, "denied": error.denied}
        except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
            denied = denied_action(error)
            return {"report": self._progress, "error": named_text(error), "denied": denied}
        except Exception as error:  # whatever it is, whoever waits for the event is told
            self.log.exception("The watch could not go on")
            return {"report": self._progress, "error": named_text(error), "denied": None}
