"""Alarms of many waits, read in few calls: DescribeAlarms takes many names, and few calls a second."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context
from dataclasses import dataclass

from botocore.exceptions import ClientError

from airflow_guardrails.domain.snapshots.alarms import Alarm
from airflow_guardrails.triggers._polling.connection import SharedConnection

# Seconds for which names are collected.
GATHERING = 0.5
# DescribeAlarms returns 50 alarms in its first page.
_NAMES_A_CALL = 50


@dataclass(eq=False, slots=True)
class _Request:
    names: tuple[str, ...]
    alarms: asyncio.Future[tuple[Alarm, ...]]


class AlarmReader:
    """Reads alarms over one connection; requests of the same half second share their calls."""

    def __init__(self, connection: SharedConnection) -> None:
        self._connection = connection
        self._requests: list[_Request] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def describe_alarms(self, names: Iterable[str]) -> tuple[Alarm, ...]:
        """
        Return the alarms of these names; a name without an alarm is left out.

        :raises ClientError, BotoCoreError: if they cannot be read.
        """
        request = _Request(tuple(names), asyncio.get_running_loop().create_future())
        self._requests.append(request)
        if len(self._requests) == 1:
            # In an empty context: Airflow keeps the current task's logger in the caller's.
            task = Context().run(asyncio.get_running_loop().create_task, self._read_soon())
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        return await request.alarms

    async def close(self) -> None:
        """Cancel what is being read."""
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def _read_soon(self) -> None:
        await asyncio.sleep(GATHERING)
        requests, self._requests = self._requests, []
        for some in _in_calls(requests):
            await self._read(some)

    async def _read(self, requests: list[_Request]) -> None:
        names = dict.fromkeys(name for request in requests for name in request.names)
        try:
            found = {alarm.name: alarm for alarm in await self._call(names)}
        except ClientError as error:
            if len(requests) == 1:
                _fail(requests, error)
            # One name may be the reason, for example one that the role may not read.
            for request in requests if len(requests) > 1 else ():
                await self._read([request])
        except Exception as error:  # noqa: BLE001 - raised where the alarms are needed
            _fail(requests, error)
        else:
            for request in requests:
                if not request.alarms.done():
                    request.alarms.set_result(tuple(found[name] for name in request.names if name in found))

    async def _call(self, names: Iterable[str]) -> tuple[Alarm, ...]:
        return await (await self._connection.calls()).describe_alarms(names)


def _in_calls(requests: list[_Request]) -> list[list[_Request]]:
    """Divide *requests* into lists of at most 50 names; a request stays whole."""
    calls: list[list[_Request]] = []
    names: set[str] = set()
    for request in requests:
        names = names | set(request.names)
        if not calls or len(names) > _NAMES_A_CALL:
            calls.append([])
            names = set(request.names)
        calls[-1].append(request)
    return calls


def _fail(requests: list[_Request], error: Exception) -> None:
    for request in requests:
        if not request.alarms.done():
            request.alarms.set_exception(error)
