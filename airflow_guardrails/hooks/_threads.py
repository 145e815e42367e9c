"""
Threads for the blocking work of an event loop.

Work that waits (for STS, for a secrets backend) has a thread for each piece: one that hangs delays no other.
Work that computes has one thread for the whole process.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class TooManyThreads(RuntimeError):
    """No thread is free, because all of them still run."""


class Threads(Executor):
    """
    An executor with a daemon thread for each piece of work. One that hangs does not keep the process alive.

    :param most: how many threads may run at once, with those that hang.
    """

    def __init__(self, *, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._most = most

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """
        Start *work* in a new thread.

        :raises TooManyThreads: if *most* threads are still running.
        """
        if not self._free.acquire(blocking=False):
            raise TooManyThreads(f"all {self._most} threads are busy: no new one is started")
        future: Future[Any] = Future()
        # From now on the future cannot be cancelled, because a thread cannot be stopped.
        future.set_running_or_notify_cancel()
        threading.Thread(target=self._run, args=(future, work, args, kwargs), daemon=True).start()
        return future

    def _run(self, future: Future[Any], work: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            result = work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - the future passes it on
            # Before the future is done: whoever waits for it may submit more work at once.
            self._free.release()
            future.set_exception(error)
        else:
            self._free.release()
            future.set_result(result)


async def in_thread(
    threads: Threads, work: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """
    Run *work* in a thread of *threads* and return its result.

    The thread is started by asgiref: in some versions of Airflow, requests to the supervisor only work there.
    asgiref's own executor is not used, because it has one thread for the whole process.
    """
    call: Callable[_Arguments, Coroutine[Any, Any, _Result]] = sync_to_async(  # type: ignore[call-overload]
        work, thread_sensitive=False, executor=threads
    )
    return await call(*args, **kwargs)


async def in_computing_thread(
    function: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """
    Run *function*, which computes and does not wait, in the thread for this; return its result.

    Several calls take turns. If the caller is cancelled, a call that waits for its turn is dropped, and one
    that runs continues to its end without anybody getting the result.
    """
    call = functools.partial(function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_computing_thread(os.getpid()), call)


@functools.cache
def _computing_thread(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process needs a thread of its own
    # One thread, because Python runs one at a time. The event loop waits up to 5 ms for it
    # (sys.getswitchinterval()) whenever it continues; with several threads it might wait for each of them.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="airflow-guardrails-computing")
