"""
Polls endpoints or shadow tests for all waits of one connection in one process.

A wait requests its next look and gets it when it is due. While a list shows no change, the look is skipped,
up to the gap that the wait allows. ``domain/polling.py`` plans the calls; this module makes them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import zlib
from collections import Counter
from collections.abc import Collection, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Generic

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.effects import WaitForChange
from airflow_guardrails.domain.polling import (
    ListedStatus,
    PendingLook,
    PollPlan,
    Status,
    next_wake_at,
    plan_poll,
)
from airflow_guardrails.triggers._bounds import within
from airflow_guardrails.triggers._polling.connection import SharedConnection
from airflow_guardrails.triggers._polling.resource import PolledResource, Seen
from airflow_guardrails.triggers._polling.throttle import Throttle

_logger = logging.getLogger(__name__)

# Seconds.
_LONGEST_CALL = 60.0  # with botocore's retries
LONGEST_LIST = 60.0
PLANNING_DELAY = 0.05  # so that waits that start together are planned together
_LISTS_KNOWN_FOR = 600.0  # how many pages they have, and that listing is denied

# Lists are read after this share of the interval, which leaves time to describe what has changed.
LIST_EARLY = 0.9

CALLS_AT_ONCE = 10
# Describe calls of one round are spread over the interval, at most this many seconds apart.
_WIDEST_SPACING = 0.1


@dataclass(eq=False, slots=True)
class _LookRequest(Generic[Seen]):
    """A wait's request for its next look."""

    pending: PendingLook
    look: asyncio.Future[Seen]


@dataclass(eq=False, slots=True)
class _Lists:
    """What is known about the lists: pages by status, and whether listing is denied."""

    pages: dict[Status, int] = field(default_factory=dict)
    known_until: float = 0.0
    denied_until: float = 0.0
    denial_logged: bool = False


class Poller(Generic[Seen]):
    """
    Makes all looks at resources of one kind over one connection, until it is closed.

    :param begins_after: seconds before its first round, so that pollers do not all run at the same moment.
    """

    def __init__(
        self, connection: SharedConnection, kind: PolledResource[Seen], *, begins_after: float = 0.0
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._begins_at = _now() + begins_after
        self._requests: dict[str, list[_LookRequest[Seen]]] = {}
        self._waits: Counter[str] = Counter()
        self._described_at: dict[str, float] = {}
        # Running describe calls, by name, and running list calls.
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._listing: dict[Status, asyncio.Task[None]] = {}
        self._lists = _Lists()
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._throttle = Throttle()
        self._wake = asyncio.Event()
        self._wakes_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._start(self._run())

    def join(self, name: str) -> None:
        """Start a wait for *name*; each call needs its :meth:`leave`."""
        self._waits[name] += 1

    def leave(self, name: str) -> None:
        """End a wait for *name*. With the last one, the running calls for it are cancelled."""
        self._waits[name] -= 1
        if self._waits[name]:
            return
        del self._waits[name]
        self._described_at.pop(name, None)
        if (look := self._under_way.pop(name, None)) is not None:
            look.cancel()
        if not self._waits:
            self._go_idle()

    def _go_idle(self) -> None:
        """Make no calls until there is a wait again."""
        for reading in self._listing.values():
            reading.cancel()
        self._listing.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wakes_at = None, math.inf

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* in the background, until :meth:`close`."""
        # In an empty context: Airflow keeps the current task's logger in the caller's.
        task = Context().run(asyncio.get_running_loop().create_task, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel everything that runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._under_way.clear()
        self._go_idle()

    async def next_look(self, rest: WaitForChange, *, every: float, gap: float, until: float) -> Seen:
        """
        Return the next look when the resource may have changed, or *gap* or *until* is reached.

        :param every: seconds between two looks, or between two lists that replace them.
        :param gap: seconds after the last look at which to describe, whatever lists show.
        :param until: when to describe in any case, in seconds of the event loop's clock.
        :raises ClientError, BotoCoreError: if the look failed.
        """
        request = self._request(rest, every=every, gap=gap, until=until)
        requests = self._requests.setdefault(rest.name, [])
        requests.append(request)
        self._wake_at(request.pending.wake_at)
        expiry = asyncio.get_running_loop().call_at(max(until, _now()) + _LONGEST_CALL, _expire, request.look)
        try:
            # Not wait_for(): before Python 3.12 it may lose a cancellation.
            return await request.look
        finally:
            expiry.cancel()
            if request.look.done() and not request.look.cancelled():
                request.look.exception()  # retrieve it: the wait may have been cancelled meanwhile
            if request in requests:
                requests.remove(request)
            if not requests and self._requests.get(rest.name) is requests:
                del self._requests[rest.name]

    def _request(self, rest: WaitForChange, *, every: float, gap: float, until: float) -> _LookRequest[Seen]:
        now, name = _now(), rest.name
        # Spread the first looks over the gap by name, or all would come at the same moment for ever.
        described_at = self._described_at.setdefault(name, now - gap * _fraction(name))
        pending = PendingLook(
            name=name,
            due=now + rest.seconds,
            every=every,
            describe_by=min(described_at + gap, until),
            expected=rest.expected,
            listed_in=self._kind.lists.list_for(rest.expected) if self._kind.lists else None,
            modified_at=rest.modified_at,
        )
        return _LookRequest(pending, asyncio.get_running_loop().create_future())

    # The rounds.

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._wakes_at = math.inf
            await self._start_round()
            self._wake_at(self._next_at())

    def _wake_at(self, when: float) -> None:
        """Start a round at *when*, unless one starts earlier."""
        if when >= self._wakes_at:
            return
        self._wakes_at = when
        if self._timer is not None:
            self._timer.cancel()
        when = max(when, self._begins_at, _now() + PLANNING_DELAY)
        self._timer = asyncio.get_running_loop().call_at(when, self._wake.set)

    async def _start_round(self) -> None:
        try:
            plan = self._plan_round()
            self._describe(plan.describe)
            self._describe(plan.spread, spacing=_spacing(len(plan.spread), plan.within))
            for status in plan.lists:
                self._listing[status] = self._start(self._read_list(status))
        except Exception:  # a bug in one round must not stop the waits
            _logger.exception("Polling round failed; the next one starts in a second")
            await asyncio.sleep(1)

    def _plan_round(self) -> PollPlan:
        now, lists = _now(), self._lists
        if now >= lists.known_until:
            lists.pages.clear()
        pending_looks = [
            request.pending
            for request in self._open_requests()
            if now >= request.pending.describe_by or not self._is_listing_for(request.pending)
        ]
        return plan_poll(pending_looks, pages=lists.pages, may_list=now >= lists.denied_until, now=now)

    def _next_at(self) -> float:
        """Return the time of the next round. A running list call delays a look until its gap is over."""
        pending_looks = (request.pending for request in self._open_requests())
        if not self._listing:
            return next_wake_at(pending_looks)
        acts = (each.describe_by if self._is_listing_for(each) else each.wake_at for each in pending_looks)
        return min(acts, default=math.inf)

    def _is_listing_for(self, pending: PendingLook) -> bool:
        """Whether a running list call may make this look unnecessary."""
        return pending.expected is not None and pending.listed_in in self._listing

    def _open_requests(self) -> list[_LookRequest[Seen]]:
        """Return the requests for resources that are not being described."""
        return [
            request
            for name, requests in self._requests.items()
            if name not in self._under_way
            for request in requests
        ]

    # Lists.

    async def _read_list(self, status: Status) -> None:
        """Read the list of *status*; runs in the background, so other looks do not wait for it."""
        began, worth_pages = _now(), len(self._requests_in(status))
        try:
            listed = await within(LONGEST_LIST, self._list(status, worth_pages=worth_pages))
            if listed is not None:
                self._apply_list(status, listed, as_of=began)
        except (ClientError, BotoCoreError, errors.UnexpectedAnswer, asyncio.TimeoutError) as error:
            self._list_failed(error, status)
        except Exception:  # a bug; the waits still get a look when their gap is over
            _logger.exception("List of %s in status %s could not be read", self._kind.name, status.value)
            self._postpone(status)
        finally:
            if self._listing.get(status) is asyncio.current_task():
                del self._listing[status]
                self._wake_at(self._next_at())

    async def _list(self, status: Status, *, worth_pages: int) -> dict[str, ListedStatus] | None:
        """Return name -> listed status; None if the list has more than *worth_pages* pages."""
        lists, listed, pages = self._lists, dict[str, ListedStatus](), 0
        calls = await self._connection.calls()
        assert self._kind.list_in_status is not None  # a kind without lists plans none
        if not lists.pages:
            lists.known_until = _now() + _LISTS_KNOWN_FOR
        async for page in self._kind.list_in_status(calls, status):
            pages += 1
            lists.pages[status] = pages
            listed.update((each.name, each) for each in page)
            if pages > worth_pages:
                return None
        return listed

    def _apply_list(self, status: Status, listed: dict[str, ListedStatus], *, as_of: float) -> None:
        changed = set()
        for request in self._requests_in(status):
            if request.pending.shows_change(listed):
                changed.add(request.pending.name)
            else:
                request.pending = _with_due(request.pending, as_of + LIST_EARLY * request.pending.every)
        self._describe(changed)

    def _requests_in(self, status: Status) -> list[_LookRequest[Seen]]:
        """Return the open requests whose look the list of *status* can replace."""
        return [
            request
            for request in self._open_requests()
            if request.pending.expected is not None and request.pending.listed_in is status
        ]

    def _list_failed(self, error: Exception, status: Status) -> None:
        if errors.is_refused(error):
            self._connection.rejected()
        if not (isinstance(error, ClientError) and errors.is_access_denied(error)):
            self._postpone(status)
            return
        self._lists.denied_until = _now() + _LISTS_KNOWN_FOR
        if not self._lists.denial_logged:
            self._lists.denial_logged = True
            _logger.warning(
                "No permission to list %s: each wait makes its own calls. Allow %s to save most of them (%s)",
                self._kind.name.lower(),
                self._kind.permission,
                errors.text_for_people(error),
            )

    def _postpone(self, status: Status) -> None:
        """AWS is busy or away: try the list again after the interval, without describe calls meanwhile."""
        for request in self._requests_in(status):
            request.pending = _with_due(request.pending, _now() + request.pending.every)

    # Looks.

    def _describe(self, names: Collection[str], *, spacing: float = 0.0) -> None:
        for number, name in enumerate(names):
            self._under_way[name] = self._start(self._describe_one(name, after=number * spacing))

    async def _describe_one(self, name: str, *, after: float) -> None:
        look: Seen | Exception
        try:
            if after:
                await asyncio.sleep(after)
            look = await self._look(name)
        except Exception as error:  # noqa: BLE001 - passed on to the waits
            look = error
        # False if the last wait has ended meanwhile: nobody needs the result.
        if self._under_way.get(name) is not asyncio.current_task():
            return
        del self._under_way[name]
        self._described_at[name] = _now()
        for request in self._requests.pop(name, ()):
            if request.look.done():
                continue
            if isinstance(look, Exception):
                request.look.set_exception(look)
            else:
                request.look.set_result(look)

    async def _look(self, name: str) -> Seen:
        async with self._slots:
            await self._throttle.acquire()
            try:
                look = await within(_LONGEST_CALL, self._describe_now(name))
            except asyncio.TimeoutError:
                raise errors.Unanswered(reason=f"no response within {_LONGEST_CALL:g} s") from None
            except ClientError as error:
                if errors.is_throttled(error):
                    self._throttle.throttled()
                if not errors.is_refused(error):
                    raise
                self._connection.rejected()
                raise errors.Unanswered(
                    reason=f"credentials were rejected: {errors.text_for_people(error)}"
                ) from error
            self._throttle.succeeded()
            return look

    async def _describe_now(self, name: str) -> Seen:
        return await self._kind.describe(await self._connection.calls(), name)


def _expire(look: asyncio.Future[Any]) -> None:
    if not look.done():
        look.set_exception(errors.Unanswered(reason="no response before the time-out"))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _fraction(name: str) -> float:
    """Return a number from 0 to 1 that depends on the name only, evenly spread over many names."""
    return zlib.crc32(name.encode()) / 2**32


def _spacing(number: int, within: float) -> float:
    return min(_WIDEST_SPACING, within / number) if number > 1 else 0.0


def _with_due(pending: PendingLook, due: float) -> PendingLook:
    # Not replace(): its cost shows with a thousand waits.
    return PendingLook(
        name=pending.name,
        due=due,
        every=pending.every,
        describe_by=pending.describe_by,
        expected=pending.expected,
        listed_in=pending.listed_in,
        modified_at=pending.modified_at,
    )
