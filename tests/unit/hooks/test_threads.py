"""Blocking work in threads of its own."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import async_to_sync

from airflow_guardrails.hooks._threads import Threads, TooManyThreads, in_thread


async def test_work_that_hangs_holds_up_no_other_until_too_much_of_it_does():
    threads, end = Threads(most=2), threading.Event()
    hanging = asyncio.create_task(in_thread(threads, end.wait))
    await asyncio.sleep(0)

    assert await in_thread(threads, str, 1) == "1"

    also = asyncio.create_task(in_thread(threads, end.wait))
    await asyncio.sleep(0)
    with pytest.raises(TooManyThreads, match="all 2 threads are busy"):
        await in_thread(threads, str, 2)

    end.set()
    assert await asyncio.gather(hanging, also) == [True, True]
    assert await in_thread(threads, str, 3) == "3"


async def test_a_cancelled_caller_does_not_wait_for_work_that_hangs():
    threads, end = Threads(most=1), threading.Event()
    hanging = asyncio.create_task(in_thread(threads, end.wait))
    await asyncio.sleep(0)

    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging

    end.set()


async def test_what_the_work_raises_is_raised():
    with pytest.raises(KeyError, match="nothing"):
        await in_thread(Threads(most=1), {}.__getitem__, "nothing")


async def test_the_work_can_have_a_coroutine_run_by_the_loop_that_waits_for_it():
    # So the triggerer of Airflow 3.1 answers a look-up.
    async def loop_of():
        return asyncio.get_running_loop()

    assert await in_thread(Threads(most=1), async_to_sync(loop_of)) is asyncio.get_running_loop()
