"""
Triggers of one class on one event loop, as a triggerer runs them, with figures of the process they run in.

It runs in a process of its own and takes orders; see ``orders.py``. What the first use of a trigger would
import is imported before anything is measured, and one connection has been looked up.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
from orders import obey

TRIGGERS = {
    "theirs": "airflow.providers.amazon.aws.triggers.sagemaker.SageMakerTrigger",
    "ours": "airflow_guardrails.triggers.rollout.SageMakerRolloutTrigger",
}

# What is only imported when it is first used.
LATE_IMPORTS = (
    "aiobotocore.session",
    "aiobotocore.credentials",
    "aiobotocore.httpsession",
    "aiobotocore.paginate",
    "aiobotocore.retries.adaptive",
    "aiobotocore.retries.standard",
    "aiobotocore.waiter",
    "airflow.models.connection",
    "airflow.providers.amazon.aws.utils.connection_wrapper",
    "airflow.providers.amazon.aws.waiters.base_waiter",
    "airflow.secrets.environment_variables",
    "boto3.session",
    "botocore.retries.adaptive",
    "botocore.retries.standard",
    "botocore.signers",
)

TICK = 0.005


class Waits:
    """The waits of a process, what they have told, and a monitor of the loop they run on."""

    def __init__(self, trigger_class: type) -> None:
        self.trigger_class = trigger_class
        self.arguments: dict[str, str] = {}
        self.events: dict[str, tuple[float, Any]] = {}
        self.imported: set[str] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.monitor: asyncio.Task[None] | None = None
        self.ticks = 0
        self.cpu_per_tick = 0.0
        self.pause = 0.0
        self.process = psutil.Process()

    async def load(self, triggers: dict[str, Any]) -> None:
        """Take the triggers' arguments, and find out what the monitor itself costs."""
        self.arguments = {name: json.dumps(arguments) for name, arguments in triggers.items()}
        self.watch_loop(on=True)
        before, ticks = time.process_time(), self.ticks
        await asyncio.sleep(2)
        self.cpu_per_tick = (time.process_time() - before) / (self.ticks - ticks)
        self.watch_loop(on=False)
        # Else the longest pause is Python's walk through all that Airflow has imported, 200 ms, in both.
        gc.collect()
        gc.freeze()

    def start(self) -> None:
        self.imported = set(sys.modules)
        self._hold(self._start())

    def watch_loop(self, *, on: bool) -> None:
        if self.monitor is not None:
            self.monitor.cancel()
        self.monitor = asyncio.ensure_future(self._watch_loop()) if on else None
        self.pause = 0.0

    def read(self) -> dict[str, Any]:
        """Tell the figures as of now: CPU without the monitor's, the longest pause since it was put on."""
        return {
            "at": time.time(),
            "cpu": time.process_time() - self.ticks * self.cpu_per_tick,
            "memory": self.process.memory_info().rss,
            "pause": self.pause,
            "imported_late": sorted(set(sys.modules) - self.imported),
        }

    def count(self) -> int:
        return len(self.events)

    def told(self) -> dict[str, tuple[float, Any]]:
        return self.events

    async def _start(self) -> None:
        for name, arguments in self.arguments.items():
            await asyncio.sleep(0)  # as a triggerer does before each
            trigger = self.trigger_class(**json.loads(arguments))
            self._hold(self._wait(name, trigger))

    async def _wait(self, name: str, trigger: Any) -> None:
        try:
            async for event in trigger.run():
                self.events[name] = (time.time(), event.payload)
        except Exception as error:  # noqa: BLE001 - whoever reads the event sees that it is none
            self.events[name] = (time.time(), repr(error))

    async def _watch_loop(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            self.pause = max(self.pause, time.perf_counter() - before - TICK)
            self.ticks += 1

    def _hold(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def trigger_class(path: str) -> type:
    for module in LATE_IMPORTS:
        importlib.import_module(module)
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def look_up_a_connection() -> None:
    from airflow.providers.common.compat.sdk import BaseHook  # noqa: PLC0415 - as late as in a triggerer

    BaseHook.get_connection(os.environ["BENCHMARK_CONNECTION"])


async def main() -> None:
    waits = Waits(trigger_class(TRIGGERS[sys.argv[1]]))
    look_up_a_connection()
    orders: dict[str, Callable[..., Any]] = {
        "load": waits.load,
        "start": waits.start,
        "watch_loop": waits.watch_loop,
        "read": waits.read,
        "count": waits.count,
        "told": waits.told,
    }
    await obey(orders)


if __name__ == "__main__":
    asyncio.run(main())
