"""Time limits for work on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

# The event loop keeps only weak references to its tasks.
_LEFT_RUNNING: set[asyncio.Future[Any]] = set()


async def within(seconds: float, work: Coroutine[Any, Any, _Result]) -> _Result:
    """
    Do the same as ``asyncio.wait_for``, which before Python 3.12 may lose a cancellation.

    :raises asyncio.TimeoutError: if *work* has not ended in time; it is cancelled then.
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
            # Not "await task", which would raise the task's own error here.
            await asyncio.wait({task})


async def without_cancelling(work: Coroutine[Any, Any, _Result], *, within: float | None = None) -> _Result:
    """
    Wait for *work*, but leave it running if the time is up or the caller is cancelled.

    Needed for every request to Airflow in a triggerer. Airflow 3.1 reads responses in the order of the
    requests: the response to a cancelled request would be taken for that to the next one, and the whole
    triggerer would end.

    :param within: seconds; None: no limit.
    :raises asyncio.TimeoutError: if *work* has not ended in time.
    """
    task = asyncio.ensure_future(work)
    _LEFT_RUNNING.add(task)
    task.add_done_callback(_forget)
    # Unlike wait_for(), asyncio.wait() does not cancel what it waits for.
    await asyncio.wait({task}, timeout=within)
    if not task.done():
        raise asyncio.TimeoutError
    return task.result()


def _forget(task: asyncio.Future[Any]) -> None:
    _LEFT_RUNNING.discard(task)
    if not task.cancelled():
        task.exception()  # retrieve it, or asyncio logs it as never retrieved
