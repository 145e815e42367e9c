"""Blocking work for an event loop, each in a thread of its own: work that hangs holds up nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class TooManyHang(RuntimeError):
    """No more work is begun, because so much of it has not ended."""


class Threads(Executor):
    """
    A new thread for each piece of work. A thread that hangs does not delay the end of the process.

    :param most: how many may run at once, those that hang included.
    """

    def __init__(self, *, most: int) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._most = most

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """
        Begin *work*.

        :raises TooManyHang: if *most* threads are still running.
        """
        if not self._free.acquire(blocking=False):
            raise TooManyHang(f"threads ({self._most}) are all still running: none is begun")
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        threading.Thread(target=self._run, args=(future, work, args, kwargs), daemon=True).start()
        return future

    def _run(self, future: Future[Any], work: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            result = work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told
            self._free.release()
            future.set_exception(error)
        else:
            self._free.release()
            future.set_result(result)


async def in_thread(
    threads: Threads, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """
    Do *work* in a thread of *threads*.

    The thread is one of asgiref's kind: only there does the triggerer of some versions of Airflow answer. It
    is not asgiref's own, of which there is one for the whole process.
    """
    call: Callable[Arguments, Coroutine[Any, Any, Result]] = sync_to_async(  # type: ignore[call-overload]
        work, thread_sensitive=False, executor=threads
    )
    return await call(*args, **kwargs)
