"""Threads for blocking work of an event loop, one for each piece: work that hangs delays no other work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
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
