"""
Runs triggers of one class on one event loop, as a triggerer does, and measures its own process.

It is a child process that takes commands, see ``processes.py``. Modules that the first use of a trigger would
import are imported before anything is measured, and one connection is read.
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
from processes import serve_commands

TRIGGERS = {
    "theirs": "airflow.providers.amazon.aws.triggers.sagemaker.SageMakerTrigger",
    "ours": "airflow_guardrails.triggers.rollout.SageMakerRolloutTrigger",
}

# Modules that are imported at the first use only.
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
    """The waits of a process, their events, and a monitor of the event loop."""

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
        """Store the arguments of the triggers, and measure the CPU time of the monitor itself."""
        self.arguments = {name: json.dumps(arguments) for name, arguments in triggers.items()}
        self.watch_loop(on=True)
        before, ticks = time.process_time(), self.ticks
        await asyncio.sleep(2)
        self.cpu_per_tick = (time.process_time() - before) / (self.ticks - ticks)
        self.watch_loop(on=False)
        # Without this, the longest pause of both is Python's garbage collection of Airflow's modules, 200 ms.
        gc.collect()
        gc.freeze()

    def start(self) -> None:
        """Start all waits, without waiting for their first looks."""
        self.imported = set(sys.modules)
        self._hold(self._start())

    def watch_loop(self, *, on: bool) -> None:
        """Start or stop the monitor, and reset the longest pause."""
        if self.monitor is not None:
            self.monitor.cancel()
        self.monitor = asyncio.ensure_future(self._watch_loop()) if on else None
        self.pause = 0.0

    def read(self) -> dict[str, Any]:
        """Return current figures: CPU seconds without the monitor's, the longest pause since its start."""
        return {
            "at": time.time(),
            "cpu": time.process_time() - self.ticks * self.cpu_per_tick,
            "memory": self.process.memory_info().rss,
            "pause": self.pause,
            "imported_late": sorted(set(sys.modules) - self.imported),
        }

    def count(self) -> int:
        """Return the number of waits that have ended."""
        return len(self.events)

    def received(self) -> dict[str, tuple[float, Any]]:
        """Return endpoint -> time and payload of its event."""
        return self.events

    async def _start(self) -> None:
        for name, arguments in self.arguments.items():
            await asyncio.sleep(0)  # a triggerer does the same before each trigger
            trigger = self.trigger_class(**json.loads(arguments))
            self._hold(self._wait(name, trigger))

    async def _wait(self, name: str, trigger: Any) -> None:
        try:
            async for event in trigger.run():
                self.events[name] = (time.time(), event.payload)
        except Exception as error:  # noqa: BLE001 - the parent process checks the payload
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
    """Import a class by its path, and all modules that its first use would import."""
    for module in LATE_IMPORTS:
        importlib.import_module(module)
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def read_connection() -> None:
    """Read the connection once, so that its first read is not measured."""
    from airflow.providers.common.compat.sdk import BaseHook  # noqa: PLC0415 - as late as in a triggerer

    BaseHook.get_connection(os.environ["BENCHMARK_CONNECTION"])


async def main() -> None:
    """Take commands until the parent process ends."""
    waits = Waits(trigger_class(TRIGGERS[sys.argv[1]]))
    read_connection()
    commands: dict[str, Callable[..., Any]] = {
        "load": waits.load,
        "start": waits.start,
        "watch_loop": waits.watch_loop,
        "read": waits.read,
        "count": waits.count,
        "received": waits.received,
    }
    await serve_commands(commands)


if __name__ == "__main__":
    asyncio.run(main())
