"""Connections and pollers that all waits of an event loop share: the first opens, the last closes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.triggers._polling.alarms import AlarmReader
from airflow_guardrails.triggers._polling.connection import SharedConnection
from airflow_guardrails.triggers._polling.poller import Poller
from airflow_guardrails.triggers._polling.resource import PolledResource
from airflow_guardrails.triggers._polling.subscription import (
    EndpointSubscription,
    ExperimentSubscription,
    PackageSubscription,
)

# Seconds between the starts of two pollers, so that their lists are not parsed in one turn of the loop.
_START_OFFSET = 0.1

_AnySubscription = TypeVar(
    "_AnySubscription", EndpointSubscription, ExperimentSubscription, PackageSubscription
)


@dataclass(eq=False, slots=True)
class _Polling:
    """A poller and the number of its waits."""

    poller: Poller[Any]
    waits: int = 0


@dataclass(eq=False, slots=True)
class _Shared:
    """A connection and its pollers, one for each kind of resource."""

    connection: SharedConnection
    alarms: AlarmReader
    by_kind: dict[PolledResource[Any], _Polling] = field(default_factory=dict)

    def start_poller(self, kind: PolledResource[Any], *, begins_after: float) -> _Polling:
        polling = self.by_kind[kind] = _Polling(Poller(self.connection, kind, begins_after=begins_after))
        return polling


# By event loop, because clients belong to one. A triggerer has one; dag.test() makes one for each trigger.
_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def subscribe(
    subscription: type[_AnySubscription],
    name: str,
    make_hook: Callable[[], GuardrailsHook],
    *,
    every: float,
    gap: float,
) -> AsyncIterator[_AnySubscription]:
    """
    Join the poller for the resource *name*; leave it at the end.

    :param subscription: the class for the kind of resource.
    :param make_hook: makes a hook of the connection; hooks with equal keys share clients and pollers.
    :param every: seconds between two looks.
    :param gap: seconds after which the resource is described, even if lists show no change.
    """
    shared_by_key = _BY_LOOP.setdefault(asyncio.get_running_loop(), {})
    key, kind = make_hook().key, subscription.kind
    begins_after = _START_OFFSET * sum(len(shared.by_kind) for shared in shared_by_key.values())
    if key not in shared_by_key:
        connection = SharedConnection(make_hook)
        shared_by_key[key] = _Shared(connection, AlarmReader(connection))
    shared = shared_by_key[key]
    polling = shared.by_kind.get(kind) or shared.start_poller(kind, begins_after=begins_after)
    polling.waits += 1
    polling.poller.join(name)
    try:
        yield subscription(shared.connection, polling.poller, shared.alarms, every=every, gap=gap)
    finally:
        polling.poller.leave(name)
        polling.waits -= 1
        if not polling.waits:
            del shared.by_kind[kind]
            is_last = not shared.by_kind
            if is_last:
                del shared_by_key[key]
            closing = _close(polling.poller, shared if is_last else None)
            # Shielded: clients are closed even if this wait is being cancelled.
            await asyncio.shield(asyncio.ensure_future(closing))


async def _close(poller: Poller[Any], shared: _Shared | None) -> None:
    await poller.close()
    if shared is not None:
        await shared.alarms.close()
        await shared.connection.close()
