"""Blocking work in threads of its own, and computing in one for all."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import async_to_sync

from airflow_guardrails.hooks._threads import (
    Threads,
    TooManyThreads,
    _computing_thread,
    in_computing_thread,
    in_thread,
)


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


async def test_computations_take_turns_in_one_thread():
    threads = await asyncio.gather(*(in_computing_thread(threading.get_ident) for _ in range(5)))

    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_a_cancelled_computation_that_waits_for_its_turn_never_runs():
    end, ran = threading.Event(), []
    first = asyncio.ensure_future(in_computing_thread(end.wait, 60))
    second = asyncio.ensure_future(in_computing_thread(ran.append, 2))
    await asyncio.sleep(0)

    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    end.set()

    assert await first
    assert await in_computing_thread(str, 3) == "3"
    assert ran == []


def test_a_forked_process_gets_a_thread_of_its_own():
    """The thread of the parent does not exist there, and work that is given to it would never begin."""
    assert _computing_thread(1) is _computing_thread(1)
    assert _computing_thread(1) is not _computing_thread(2)
