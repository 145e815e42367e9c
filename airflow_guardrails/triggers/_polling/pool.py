"""What the waits of one process share: found by connection, opened by the first and closed by the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.triggers._polling.connection import SharedConnection
from airflow_guardrails.triggers._polling.poller import Poller
from airflow_guardrails.triggers._polling.resource import PolledResource
from airflow_guardrails.triggers._polling.subscription import EndpointSubscription, ExperimentSubscription

# Seconds between the beats of two pollers, or the lists of all would be parsed in one turn of the loop.
APART = 0.1

AnyWait = TypeVar("AnyWait", EndpointSubscription, ExperimentSubscription)


@dataclass(eq=False, slots=True)
class _Polling:
    """A poller, and how many wait with it."""

    poller: Poller[Any]
    waits: int = 0


@dataclass(eq=False, slots=True)
class _Shared:
    """A connection and its pollers: one for each kind of thing that is waited for."""

    connection: SharedConnection
    by_kind: dict[PolledResource[Any], _Polling] = field(default_factory=dict)

    def poll(self, kind: PolledResource[Any], *, begins_after: float) -> _Polling:
        polling = self.by_kind[kind] = _Polling(Poller(self.connection, kind, begins_after=begins_after))
        return polling


# By the loop, for clients belong to one: a triggerer has one, dag.test() makes one for each trigger.
_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def waiting(
    wait: type[AnyWait],
    name: str,
    make_hook: Callable[[], GuardrailsHook],
    *,
    every: float,
    gap: float,
) -> AsyncIterator[AnyWait]:
    """
    Wait for the endpoint or the shadow test *name*, together with all that wait by the same connection.

    :param wait: what kind of thing *name* is.
    """
    shared_by_key = _BY_LOOP.setdefault(asyncio.get_running_loop(), {})
    key, kind = make_hook().key, wait.kind
    begins_after = APART * sum(len(shared.by_kind) for shared in shared_by_key.values())
    if key not in shared_by_key:
        shared_by_key[key] = _Shared(SharedConnection(make_hook))
    shared = shared_by_key[key]
    polling = shared.by_kind.get(kind) or shared.poll(kind, begins_after=begins_after)
    polling.waits += 1
    polling.poller.join(name)
    try:
        yield wait(shared.connection, polling.poller, every=every, gap=gap)
    finally:
        polling.poller.leave(name)
        polling.waits -= 1
        if not polling.waits:
            del shared.by_kind[kind]
            is_last = not shared.by_kind
            if is_last:
                del shared_by_key[key]
            closing = _close(polling.poller, shared.connection if is_last else None)
            # Also if this wait is being cancelled.
            await asyncio.shield(asyncio.ensure_future(closing))


async def _close(poller: Poller[Any], connection: SharedConnection | None) -> None:
    await poller.close()
    if connection is not None:
        await connection.close()
