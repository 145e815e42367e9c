"""Waits that take simulated time only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.tasks.aws_task import AwsTask
from airflow_guardrails.triggers._base import WaitingTrigger


@contextmanager
def waits_in_simulated_time(clock: Clock) -> Iterator[None]:
    """Let the tasks and triggers of this package wait by advancing *clock* until the ``with`` block ends."""

    def now() -> float:
        return clock.now().timestamp()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(0)

    changes: tuple[tuple[Any, dict[str, Any]], ...] = (
        (AwsTask, {"sleep": staticmethod(clock.advance), "monotonic": staticmethod(now)}),
        # Each trigger has an event loop of its own here, so it cannot share the poller of others.
        (
            WaitingTrigger,
            {"sleep": staticmethod(sleep), "monotonic": staticmethod(now), "shares_poller": False},
        ),
    )
    with ExitStack() as stack:
        for owner, attributes in changes:
            stack.enter_context(mock.patch.multiple(owner, **attributes))
        yield
