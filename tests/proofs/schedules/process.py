"""Processes of workers and triggerers: their clocks, which are wrong, their calls, and how they die."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
from greenlet import greenlet

from airflow_guardrails.aws.clock import HEADER_CLOCK, HeaderClock
from airflow_guardrails.hooks.guardrails import AsyncCalls, GuardrailsHook
from airflow_guardrails.tasks import waiting
from airflow_guardrails.triggers import _base
from tests.proofs.schedules.account import START, Account
from tests.proofs.schedules.model import Crash

# How long a call is waited for that is never answered.
HANGS = 20.0
LONGEST_PLAY = timedelta(days=3)


class Killed(BaseException):
    """The process is gone."""


class Process:
    """A worker's or a triggerer's process; its wall clock is *offset* seconds off."""

    running: ClassVar[Process | None] = None

    def __init__(self, account: Account, who: str, *, offset: int = 0) -> None:
        self.account = account
        self.who = who
        self.offset = offset
        self.aws_clock = HeaderClock(monotonic=self.monotonic, wall=self.wall)

    def monotonic(self) -> float:
        # From an origin that says nothing.
        return (self.account.now() - START).total_seconds() + 7_000 + self.offset

    def wall(self) -> float:
        return self.account.now().timestamp() + self.offset

    @contextmanager
    def runs(self) -> Iterator[None]:
        before, Process.running = Process.running, self
        try:
            yield
        finally:
            Process.running = before


def _running() -> Process:
    assert Process.running is not None, "a clock was read outside of any process"
    return Process.running


def _read(header: object) -> datetime:
    return _running().aws_clock.read(header)


def _now() -> datetime:
    return _running().aws_clock.now()


def _read_first(header: object) -> None:
    _running().aws_clock.read_first(header)


def _go_on_from(as_of: datetime | None) -> None:
    _running().aws_clock.go_on_from(as_of)


class _WrongDatetime(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.fromtimestamp(_running().wall(), tz or timezone.utc)


@contextmanager
def wrong_clocks() -> Iterator[None]:
    """Let all code of this package that reads a clock read that of its process."""
    with ExitStack() as stack:
        for module in (waiting, _base):
            stack.enter_context(patch.object(module, "datetime", _WrongDatetime))
        stack.enter_context(patch.object(HEADER_CLOCK, "read", _read))
        stack.enter_context(patch.object(HEADER_CLOCK, "read_first", _read_first))
        stack.enter_context(patch.object(HEADER_CLOCK, "now", _now))
        stack.enter_context(patch.object(HEADER_CLOCK, "go_on_from", _go_on_from))
        yield


class Strand:
    """What runs in a worker, while everything else goes on: its sleeps end by the simulated clock."""

    def __init__(self, account: Account, body: Callable[[], None]) -> None:
        self.process: Process | None = None
        self._account = account
        self._greenlet = greenlet(body)
        self._timer: Any = None

    @property
    def over(self) -> bool:
        return self._greenlet.dead

    def go(self) -> None:
        self._enter(self._greenlet.switch)

    def sleep(self, seconds: float) -> None:
        # A pause shorter than the clock's own resolution would never end.
        self._timer = self._account.clock.after(max(seconds, 0.001), self.go)
        self.wait()

    def wait(self) -> None:
        """Until somebody wakes it."""
        assert self._account.now() < START + LONGEST_PLAY, "this never ends"
        self._greenlet.parent.switch()

    def wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._account.clock.after(0, self.go)

    def kill(self) -> None:
        self._enter(lambda: self._greenlet.throw(Killed))

    def abandon(self) -> None:
        if not self.over and self._greenlet:
            self._greenlet.throw()

    def _enter(self, how: Callable[[], object]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self.over:
            return
        before, Process.running = Process.running, self.process
        try:
            how()
        finally:
            Process.running = before

    def runs_as(self, process: Process) -> None:
        self.process = Process.running = process


class Log:
    """Writes into the story; Airflow's own logging costs half of the time."""

    def __init__(self, account: Account, who: str) -> None:
        self._account = account
        self._who = who

    def info(self, text: str, *args: Any, **_: Any) -> None:
        self._account.tell(self._who, f"  ({text % args if args else text})")

    warning = error = debug = exception = info

    def log(self, _: int, text: str, *args: Any) -> None:
        self.info(text, *args)


class Wire:
    """
    The calls of one process: what they meet, and where the process dies.

    :param may_tag: whether the role is allowed to.
    :param calls: counts on over the processes of one try.
    """

    def __init__(
        self,
        account: Account,
        who: str,
        *,
        crash: Crash | None = None,
        may_tag: bool = True,
        calls: Counter[str] | None = None,
    ) -> None:
        self.account = account
        self.who = who
        self.crash = crash
        self.may_tag = may_tag
        self.calls: Counter[str] = Counter() if calls is None else calls
        self.failures: list[tuple[datetime, str]] = []
        self.looked_at = account.now()
        self.threw = self.update_lost = False
        self._seen: Any = None

    def steps(self, operation: str, request: dict[str, Any]) -> Iterator[float]:
        """Make the call; yields what it waits for."""
        self.calls[operation] += 1
        yield self.account.latency
        self._die(operation, sent=False)
        try:
            answer = yield from self._call(operation, request)
        except (ClientError, BotoCoreError) as error:
            self.account.tell(self.who, f"{operation} fails: {error}")
            self.failures.append((self.account.now(), operation))
            if operation == "DescribeEndpoint":
                self.account.actors[self.who].unanswered.append(self.account.now())
            yield self.account.latency
            self._die(operation, sent=True)
            raise
        self._tell(operation, request, answer)
        yield self.account.latency
        self._die(operation, sent=True)
        return answer

    def _call(self, operation: str, request: dict[str, Any]) -> Any:
        account = self.account
        fault = account.simulation.faults.draw(operation)
        kind = fault.kind if fault else None
        if kind == "hang":
            yield HANGS
            raise ConnectTimeoutError(endpoint_url="https://aws")
        if kind == "throttle":
            raise account.error(operation, "ThrottlingException", "Rate exceeded")
        if kind == "error":
            raise account.error(operation, "InternalFailure", "Something went wrong", status=500)
        if operation in {"AddTags", "ListTags"} and not self.may_tag:
            raise account.error(operation, "AccessDeniedException", f"not authorized to perform {operation}")
        answer = account.carry_out(operation, request, self.who)
        if operation == "DescribeEndpoint":
            self.looked_at = account.now()
        if operation == "PutMetricData" and request["MetricData"][0]["Value"]:
            self.threw = True
        if kind == "lose":
            self.update_lost |= operation == "UpdateEndpoint"
            account.tell(self.who, f"{operation} is carried out, and its answer lost")
            yield HANGS
            raise ReadTimeoutError(endpoint_url="https://aws")
        if fault and fault.date:
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
            dates = fault.dates(headers.pop("date"))
            headers.update({"date": ", ".join(dates)} if dates else {})
        return answer

    def _die(self, operation: str, *, sent: bool) -> None:
        if self.crash == Crash(operation, self.calls[operation], sent):
            where = "after" if sent else "before"
            self.account.tell(self.who, f"dies {where} its {operation} is carried out")
            raise Killed

    def _tell(self, operation: str, request: dict[str, Any], answer: dict[str, Any]) -> None:
        if operation == "DescribeEndpoint":
            summary = answer.get("PendingDeploymentSummary", {})
            pending = summary.get("EndpointConfigName")
            if "StartTime" in summary:
                self.account.actors[self.who].starts_seen.add(summary["StartTime"])
            seen = (answer["EndpointStatus"], answer.get("EndpointConfigName"), pending)
            if seen != self._seen:
                towards = f", on its way to {pending}" if pending else ""
                name = answer["EndpointName"]
                self.account.tell(self.who, f"sees {name} {seen[0]} {seen[1]}{towards}")
            self._seen = seen
        if operation == "UpdateEndpoint":
            target = request["EndpointConfigName"]
            self.account.tell(self.who, f"asks for the update of {request['EndpointName']} to {target}")
        if operation == "PutMetricData":
            value = request["MetricData"][0]["Value"]
            self.account.tell(self.who, "throws the switch" if value else "resets the switch")
        if operation == "DeleteAlarms":
            self.account.tell(self.who, f"deletes {request['AlarmNames']}")


class Client:
    """Looks like boto3's client, in a worker."""

    def __init__(self, line: Wire, sleep: Callable[[float], None]) -> None:
        self._line = line
        self._sleep = sleep

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = _operation(name)
        return lambda **request: self._call(operation, request)

    def _call(self, operation: str, request: dict[str, Any]) -> Any:
        steps = self._line.steps(operation, request)
        try:
            while True:
                if pause := next(steps):
                    self._sleep(pause)
        except StopIteration as end:
            return end.value

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=lambda **request: self._pages(name, request))

    def _pages(self, name: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        page = getattr(self, name)(**request)
        yield page
        while token := page.get("NextToken"):
            page = getattr(self, name)(**request, NextToken=token)
            yield page


class AsyncClient:
    """Looks like aiobotocore's, in a triggerer."""

    def __init__(self, line: Wire) -> None:
        self._line = line

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = _operation(name)

        async def awaitable(**request: Any) -> Any:
            return await self._call(operation, request)

        return awaitable

    async def _call(self, operation: str, request: dict[str, Any]) -> Any:
        steps = self._line.steps(operation, request)
        try:
            while True:
                if pause := next(steps):
                    await asyncio.sleep(pause)
        except StopIteration as end:
            return end.value

    def get_paginator(self, name: str) -> Any:
        async def pages(**request: Any) -> Any:
            page = await getattr(self, name)(**request)
            yield page
            while token := page.get("NextToken"):
                page = await getattr(self, name)(**request, NextToken=token)
                yield page

        return SimpleNamespace(paginate=pages)


def _operation(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def hook_on(line: Wire, sleep: Callable[[float], None] | None = None) -> GuardrailsHook:
    """Return the real hook, with the clients' place taken; *sleep* is a worker's."""

    @asynccontextmanager
    async def asynchronous() -> AsyncIterator[AsyncCalls]:
        async with AsyncExitStack() as stack:
            calls = AsyncCalls(hook, stack)
            names = ("sagemaker", "cloudwatch", "sagemaker without retries", "cloudwatch without retries")
            calls._clients.update(dict.fromkeys(names, AsyncClient(line)))
            yield calls

    hook = GuardrailsHook(aws_conn_id=None, region_name="us-east-1")
    client = Client(line, sleep) if sleep else None
    vars(hook).update(
        conn=client,
        conn_without_retries=client,
        _cloudwatch=SimpleNamespace(conn=client, conn_without_retries=client, client_type="cloudwatch"),
        asynchronous=asynchronous,
        _client=SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1", partition="aws")),
    )
    return hook
