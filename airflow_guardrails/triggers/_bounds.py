"""Bounds on how long something may take on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

# The loop itself keeps only weak references to its tasks.
_LEFT_RUNNING: set[asyncio.Future[Any]] = set()


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """
    Do as wait_for() does, and lose no cancellation before Python 3.12 either.

    :raises asyncio.TimeoutError: if *work* has not ended by then.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def without_cancelling(work: Coroutine[Any, Any, Result], *, within: float | None = None) -> Result:
    """
    Wait for *work*, and leave it running where the time is up or the caller is cancelled.

    For every request to Airflow in a triggerer. Airflow 3.1 reads the answers in the order of the requests;
    a request that is cancelled before its answer leaves that for the next one, and the whole triggerer ends.

    :raises asyncio.TimeoutError: if *work* has not ended within so many seconds.
    """
    task = asyncio.ensure_future(work)
    _LEFT_RUNNING.add(task)
    task.add_done_callback(_forget)
    await asyncio.wait({task}, timeout=within)
    if not task.done():
        raise asyncio.TimeoutError
    return task.result()


def _forget(task: asyncio.Future[Any]) -> None:
    _LEFT_RUNNING.discard(task)
    if not task.cancelled():
        task.exception()  # or asyncio says that nobody has asked for it
