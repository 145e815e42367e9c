"""The base class of the triggers: it waits for an end, fires once with a report, and serializes as JSON."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar
from weakref import WeakSet

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
from airflow_guardrails.domain.effects import LogMessage, PublishReport
from airflow_guardrails.domain.errors import Unwatchable
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.hooks._cancellation import LEFT_ALONE, NOT_STOPPED
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.triggers._bounds import without_cancelling
from airflow_guardrails.triggers._stopping import finish, stop_refusal

# Seconds. In Airflow 3.3, up to a third of the tasks fail whose trigger fires within about 6 s of the
# deferral: the worker that deferred may still be waiting for its next heartbeat.
FIRE_FLOOR = 8.0

_logger = logging.getLogger(__name__)


async def push_report(task_instance: Any, key: str, report: Mapping[str, Any]) -> None:
    """
    Push *report* as XCom *key* of the deferred task, to show progress in the UI.

    Does nothing outside a triggerer. It uses private parts of Airflow, so an error is only logged for
    debugging: nothing else depends on this XCom.
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
    except Exception:  # the wait must go on, whatever these internals raise
        _logger.debug("XCom %s could not be pushed", key, exc_info=True)


# The triggers of this process that wait now.
_RUNNING: WeakSet[WaitingTrigger] = WeakSet()

# Seconds for each of them between two reports of one trigger. Airflow takes an XCom of a trigger in about 30
# ms, one after the other, so 2,000 triggers may publish one each in 200 s, and a change at any time.
_SECONDS_A_PUSH = 0.1

# Seconds that a cancelled trigger may take to stop what its task has started, and between two attempts.
LONGEST_STOP = 60.0
# Seconds that it may then look how that ends, to report it. A rollback usually takes some minutes.
LONGEST_FOLLOW = 900.0
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


class WaitingTrigger(BaseTrigger):
    """
    Fires once, with a report, when the wait has ended.

    The event is a dict with ``report`` and ``error``. ``error`` is None, or the reason why the wait could not
    continue; then ``report`` shows the last known state, or is None. Outside a triggerer:
    ``event = await anext(trigger.run())``.

    :raises InvalidValue: if an argument breaks a rule; the text gives its name, the rule and the value.
    """

    # Tests replace these three. With a simulated clock, a trigger cannot share the poller of others.
    shares_poller = True
    sleep: Callable[[float], Awaitable[object]] = staticmethod(asyncio.sleep)
    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    # The subclass's arguments, which are serialized.
    own_fields: ClassVar[tuple[str, ...]]
    # The longest wait, if there is no deadline.
    longest_wait: ClassVar[timedelta]
    # The XCom that shows progress.
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
        self.kill_action = on_kill  # BaseTrigger has a method on_kill
        self.max_describe_gap = max_describe_gap
        # The last report, for the event if the wait cannot continue.
        self._progress: dict[str, Any] | None = None
        self._published_at: float | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, all of them JSON."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        arguments = {field: getattr(self, field) for field in (*self.own_fields, *_COMMON)}
        return path, {**arguments, "on_kill": self.kill_action}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait and yield one event. A cancelled run stops AWS if its task was marked failed."""
        started = self.monotonic()
        _RUNNING.add(self)
        try:
            event = await self._wait_for_event()
            if self.trigger_id is not None:  # in a triggerer
                await self.sleep(max(0.0, self.fire_floor - (self.monotonic() - started)))
        except asyncio.CancelledError:
            if self.trigger_id is not None and self.task_instance is not None:
                await finish(self._end_if_marked_failed())
            raise
        finally:
            _RUNNING.discard(self)
        # Outside the try: after the end there is nothing left to stop.
        # Nothing follows it: Airflow cancels a trigger that still runs code after its event.
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    @abstractmethod
    async def wait_for_report(self) -> Mapping[str, Any]:
        """Wait for the end and return the report."""

    @abstractmethod
    async def stop(self, still_requested: Callable[[], Awaitable[bool]]) -> None:
        """
        Stop what the task has started, if it still runs.

        :param still_requested: call it right before each change in AWS; False: make no change.
        """

    async def follow_to_end(self, still_requested: Callable[[], Awaitable[bool]]) -> None:
        """
        Publish how what the task has started ends, after the task was marked failed; default: nothing.

        :param still_requested: call it right before each publication; False: a new try has begun.
        """

    async def log_progress(self, message: LogMessage) -> None:
        """Log the message, and push its report as XCom."""
        self._progress = dict(message.report)
        self.log.info(message.sentence)
        self._published_at = self.monotonic()
        await push_report(self.task_instance, self.report_key, message.report)

    async def publish_progress(self, effect: PublishReport) -> None:
        """Push the report as XCom, unless the triggerer has too many of them to push."""
        self._progress = dict(effect.report)
        pause = len(_RUNNING) * _SECONDS_A_PUSH
        if self._published_at is None or self.monotonic() - self._published_at >= pause:
            self._published_at = self.monotonic()
            await push_report(self.task_instance, self.report_key, effect.report)

    @property
    def absolute_deadline(self) -> datetime:
        """When the wait ends in any case, on AWS's clock."""
        if self.deadline is None:
            return self.began_at + self.longest_wait
        return datetime.fromtimestamp(self.deadline, timezone.utc)

    @property
    def began_at(self) -> datetime:
        """The time by this machine's clock; used until the first response shows AWS's time."""
        return datetime.now(timezone.utc)

    @property
    def make_hook(self) -> Callable[[], GuardrailsHook]:
        """A function that makes a hook. It holds no reference to this trigger, which it may outlive."""
        return partial(
            GuardrailsHook,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    async def _end_if_marked_failed(self) -> None:
        """Log errors instead of raising them: the trigger is ending."""
        if not await self._still_requested():
            return
        try:
            if self.kill_action != "leave":
                await asyncio.wait_for(self._stop_while_requested(), LONGEST_STOP)
        except asyncio.TimeoutError:
            self.log.warning(NOT_STOPPED, f"it took longer than {LONGEST_STOP:g} s")
        except Exception as error:  # noqa: BLE001 - logged
            self.log.warning(NOT_STOPPED, f"{type(error).__name__}: {error}")
        try:
            await asyncio.wait_for(self.follow_to_end(self._is_marked_failed), LONGEST_FOLLOW)
        except Exception as error:  # noqa: BLE001 - the report is only shown
            self.log.info("The end is not reported: %s: %s", type(error).__name__, error)

    async def _stop_while_requested(self) -> None:
        while True:
            try:
                return await self.stop(self._still_requested)
            except (ClientError, BotoCoreError) as error:
                if not is_passing(error):
                    raise
                self.log.warning(NOT_STOPPED, f"{error}; trying again")
            await self.sleep(STOP_AGAIN_AFTER)
            if not await self._still_requested():
                return None

    async def _is_marked_failed(self) -> bool:
        return await stop_refusal(self.task_instance) is None

    async def _still_requested(self) -> bool:
        refusal = await stop_refusal(self.task_instance)
        if refusal is not None:
            self.log.info(LEFT_ALONE, f"Cancelled, and {refusal}")
        return refusal is None

    async def _wait_for_event(self) -> dict[str, Any]:
        try:
            return {"report": await self.wait_for_report(), "error": None}
        except Unwatchable as error:
            return {"report": error.report, "error": error.reason, "denied": error.denied}
        except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
            denied = denied_action(error)
            return {"report": self._progress, "error": named_text(error), "denied": denied}
        except Exception as error:  # the task gets the error in the event
            self.log.exception("Wait could not continue")
            return {"report": self._progress, "error": named_text(error), "denied": None}
