"""Calls slow down together when one is throttled, and speed up again."""

from __future__ import annotations

import asyncio

import pytest

from airflow_guardrails.triggers._polling.throttle import FIRST_INTERVAL, LONGEST_INTERVAL, Throttle
from tests.support.warped_loop import warped


async def times(pace, number):
    """When so many calls that come at once have their turns."""
    loop = asyncio.get_running_loop()

    async def turn():
        await pace.acquire()
        return round(loop.time(), 3)

    return await asyncio.gather(*[turn() for _ in range(number)])


def test_nothing_holds_calls_up_until_one_is_throttled():
    async def story():
        return await times(Throttle(), 100)

    assert warped(story()) == [0.0] * 100


def test_after_one_is_throttled_calls_follow_one_another():
    async def story():
        pace = Throttle()
        await asyncio.sleep(10)
        pace.throttled()
        return await times(pace, 4)

    assert warped(story()) == pytest.approx([10.0, 10.1, 10.2, 10.3])


def test_calls_that_are_throttled_together_slow_down_once():
    async def story():
        pace = Throttle()
        await asyncio.sleep(10)
        for _ in range(50):
            pace.throttled()
        together = pace.interval
        await asyncio.sleep(1)
        pace.throttled()
        return together, pace.interval

    assert warped(story()) == (FIRST_INTERVAL, 2 * FIRST_INTERVAL)


def test_however_often_it_is_throttled_there_is_a_call_every_few_seconds():
    async def story():
        pace = Throttle()
        for _ in range(50):
            await asyncio.sleep(10)
            pace.throttled()
        return pace.interval

    assert warped(story()) == LONGEST_INTERVAL


def test_answers_make_it_as_quick_again_as_before():
    async def story():
        pace = Throttle()
        await asyncio.sleep(10)
        pace.throttled()
        intervals = []
        for _ in range(30):
            pace.succeeded()
            intervals.append(pace.interval)
        return intervals

    intervals = warped(story())
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[0] > 0
    assert intervals[-1] == 0


def test_a_call_that_is_cancelled_takes_no_turn():
    async def story():
        pace = Throttle()
        await asyncio.sleep(10)
        for _ in range(10):
            pace.throttled()
            await asyncio.sleep(10)
        assert pace.interval == LONGEST_INTERVAL
        await pace.acquire()
        cancelled = [asyncio.ensure_future(pace.acquire()) for _ in range(50)]
        await asyncio.sleep(1)
        for turn in cancelled:
            turn.cancel()
        began = asyncio.get_running_loop().time()
        await pace.acquire()
        return asyncio.get_running_loop().time() - began

    assert warped(story()) <= LONGEST_INTERVAL
