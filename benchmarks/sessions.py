"""
What each part of ``hooks/_sessions.py`` saves: clients for many connections are built with it and without.

Run: ``python benchmarks/sessions.py``, which takes some minutes. Each row is a process of its own that builds
clients of SageMaker and CloudWatch on one event loop; no call is made. A pause is the most CPU time of the
loop's thread between two ticks of 5 ms, so a busy machine changes it little.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psutil

MB = 1024 * 1024
TICK = 0.005
# Imported before anything is measured.
LATE_IMPORTS = (
    "aiobotocore.credentials",
    "aiobotocore.httpsession",
    "aiobotocore.retries.adaptive",
    "aiobotocore.session",
    "boto3.session",
)
VARIANTS = {
    "as it is": (),
    "one description for each session": ("own",),
    "descriptions with prose": ("prose",),
    "parsed on the event loop": ("loop",),
    "all clients at once": ("at once",),
    "parsed on the loop, all at once": ("loop", "at once"),
}


def connect(count: int) -> list[str]:
    names = [f"benchmark_{number}" for number in range(count)]
    for name in names:
        extra = {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
        os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(connection)
    return names


def leave_out(parts: list[str]) -> None:
    """Replace parts of the module by what botocore, or nothing, does instead."""
    from botocore.loaders import Loader  # noqa: PLC0415 - it imports Airflow, whose home has to be set before

    from airflow_guardrails.hooks import _sessions, guardrails  # noqa: PLC0415

    sessions: Any = _sessions

    @asynccontextmanager
    async def at_once() -> AsyncIterator[None]:
        yield

    if "at once" in parts:
        vars(guardrails)["one_client_at_a_time"] = at_once
    if "loop" in parts or "own" in parts:
        sessions._parse = lambda _: None  # noqa: SLF001 - what is measured
    if "prose" in parts:
        sessions.LOADER = Loader()
    if "own" in parts:
        async_session = sessions.async_session

        def with_own_loader(session: Any) -> Any:
            sessions.LOADER = Loader()
            return async_session(session)

        sessions.async_session = with_own_loader
        sessions._SharedDescriptions = sessions.SessionFactory  # noqa: SLF001


async def build(names: list[str]) -> dict[str, float]:
    from airflow_guardrails.hooks.guardrails import GuardrailsHook  # noqa: PLC0415

    pause = 0.0

    async def monitor() -> None:
        nonlocal pause
        while True:
            before = time.thread_time()
            await asyncio.sleep(TICK)
            pause = max(pause, time.thread_time() - before)

    memory, cpu = psutil.Process().memory_info().rss, time.process_time()
    async with AsyncExitStack() as stack:
        ticking = asyncio.ensure_future(monitor())
        hooks = [GuardrailsHook(aws_conn_id=name) for name in names]
        building = []
        for hook in hooks:
            calls = await stack.enter_async_context(hook.asynchronous())
            building += [calls._client(each) for each in (hook, hook.hook_for("cloudwatch"))]  # noqa: SLF001
        await asyncio.gather(*building)
        ticking.cancel()
        memory = psutil.Process().memory_info().rss - memory
        return {"memory": memory / MB, "cpu": time.process_time() - cpu, "pause": pause * 1000}


def measure(count: int, parts: list[str]) -> dict[str, float]:
    names = connect(count)
    for module in LATE_IMPORTS:
        importlib.import_module(module)
    leave_out(parts)
    gc.collect()
    gc.freeze()
    return asyncio.run(build(names))


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "AWS_EC2_METADATA_DISABLED": "true"}
        for count in (1, 50):
            print(f"{count} connections{'':24}memory, MB    CPU, s    longest pause, ms")
            for name, parts in VARIANTS.items():
                command = [sys.executable, __file__, str(count), *(parts or ("",))]
                done = subprocess.run(  # noqa: S603 - this file
                    command, env=environment, capture_output=True, text=True, check=True
                )
                found = json.loads(done.stdout.splitlines()[-1])
                print(f"  {name:36}{found['memory']:8.1f}{found['cpu']:10.2f}{found['pause']:14.0f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]), sys.argv[2:])))
    else:
        main()
