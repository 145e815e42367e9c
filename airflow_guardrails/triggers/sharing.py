"""What the waits of one process share: found by connection, opened by the first and closed by the last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from weakref import WeakKeyDictionary

from airflow_guardrails.domain.abort_switch import AbortSwitch
from airflow_guardrails.domain.alarms import Alarm, AlarmTransition
from airflow_guardrails.domain.endpoint import EndpointLook
from airflow_guardrails.domain.follow import Rest
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.triggers.connection import SharedConnection
from airflow_guardrails.triggers.news import listen
from airflow_guardrails.triggers.poller import Poller


class Wait:
    """
    One wait's part of what is shared; answers what following a rollout asks.

    :param every: seconds between two looks.
    :param gap: the most seconds between two looks that lists may spare.
    :param now: the wall clock.
    """

    def __init__(
        self,
        connection: SharedConnection,
        poller: Poller,
        *,
        every: float,
        gap: float,
        now: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._poller = poller
        self._every = every
        self._gap = gap
        self._now = now
        self._fresh: EndpointLook | Exception | None = None

    async def rest(self, rest: Rest) -> None:
        """Return when the next look is there; :meth:`look` gives it, or fails as it has failed."""
        until = asyncio.get_running_loop().time() + max(0.0, rest.until - self._now())
        try:
            self._fresh = await self._poller.next_look(rest, every=self._every, gap=self._gap, until=until)
        except Exception as error:  # noqa: BLE001 - it belongs to the look
            self._fresh = error

    async def look(self, endpoint_name: str) -> EndpointLook:
        fresh, self._fresh = self._fresh, None
        if isinstance(fresh, Exception):
            raise fresh
        return fresh or await (await self._connection.calls()).look(endpoint_name)

    async def set_switch(self, switch: AbortSwitch, value: float) -> None:
        await (await self._connection.calls()).set_switch(switch, value)

    async def alarms(self, names: Iterable[str]) -> tuple[Alarm, ...]:
        return await (await self._connection.calls()).alarms(names)

    async def alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> tuple[AlarmTransition, ...]:
        return await (await self._connection.calls()).alarm_history(names, start=start, end=end)


class _Shared:
    """A connection and its poller, and how many wait with them."""

    def __init__(
        self, make_hook: Callable[[], GuardrailsHook], events_queue_url: str | None, *, begins_after: float
    ) -> None:
        self.connection = SharedConnection(make_hook)
        self.poller = Poller(self.connection, begins_after=begins_after)
        self.waits = 0
        if events_queue_url is not None:
            self.poller.start(listen(events_queue_url, self.connection, self.poller))

    async def close(self) -> None:
        await self.poller.close()
        await self.connection.close()


# Seconds between the beats of two pollers, or the lists of all would be parsed in one turn of the loop.
APART = 0.1

_Key = tuple[str, str | None]

# By the loop, for clients belong to one: a triggerer has one, dag.test() makes one for each trigger.
_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def waiting(
    make_hook: Callable[[], GuardrailsHook],
    endpoint_name: str,
    *,
    every: float,
    gap: float,
    events_queue_url: str | None = None,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Wait]:
    """Wait for an endpoint, together with all that wait by the same connection and queue of events."""
    shared_by_key = _BY_LOOP.setdefault(asyncio.get_running_loop(), {})
    key = (make_hook().key, events_queue_url)
    shared = shared_by_key.get(key)
    if shared is None:
        begins_after = APART * len(shared_by_key)
        shared = _Shared(make_hook, events_queue_url, begins_after=begins_after)
        shared_by_key[key] = shared
    shared.waits += 1
    shared.poller.join(endpoint_name)
    try:
        yield Wait(shared.connection, shared.poller, every=every, gap=gap, now=now)
    finally:
        shared.poller.leave(endpoint_name)
        shared.waits -= 1
        if not shared.waits:
            del shared_by_key[key]
            # Also if this wait is being cancelled.
            await asyncio.shield(asyncio.ensure_future(shared.close()))
