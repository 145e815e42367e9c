"""
Looks at endpoints, or at shadow tests, for all waits of one connection in one process.

A wait asks for its next look and gets it at its beat. While a list shows no change, the look is spared, but
not for longer than the gap that the wait allows. ``domain.rounds`` plans what is looked at when; this module
does it.
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

log = logging.getLogger(__name__)

# Seconds.
LONGEST_CALL = 60.0  # botocore's retries included
LONGEST_SWEEP = 60.0
BREATH = 0.05  # so that waits that begin together are planned together
LISTS_FORGOTTEN_AFTER = 600.0  # what they cost, and that they may not be read

# Lists are read a little before the beat is over, for what they tell still has to be looked at.
AHEAD = 0.9

CALLS_AT_ONCE = 10
# Where nothing spares a look, they are spread over the beat, but not thinner than this.
WIDEST_SPACING = 0.1


@dataclass(eq=False, slots=True)
class _Request(Generic[Seen]):
    """One wait's next look."""

    vigil: PendingLook
    look: asyncio.Future[Seen]


@dataclass(eq=False, slots=True)
class _Lists:
    """What is known of reading them."""

    pages: dict[Status, int] = field(default_factory=dict)
    known_until: float = 0.0
    barred_until: float = 0.0
    denial_told: bool = False


class Poller(Generic[Seen]):
    """
    All looks at things of one kind by one connection; it runs until it is closed.

    :param begins_after: seconds before its first round, so that many pollers do not keep step.
    """

    def __init__(
        self, connection: SharedConnection, kind: PolledResource[Seen], *, begins_after: float = 0.0
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._begins_at = _now() + begins_after
        self._requests: dict[str, list[_Request[Seen]]] = {}
        self._waits: Counter[str] = Counter()
        self._described_at: dict[str, float] = {}
        # Looks, by name, and lists that are under way.
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._listing: dict[Status, asyncio.Task[None]] = {}
        self._lists = _Lists()
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._pace = Throttle()
        self._wake = asyncio.Event()
        self._wakes_at = math.inf
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._start(self._run())

    def join(self, name: str) -> None:
        self._waits[name] += 1

    def leave(self, name: str) -> None:
        """End a wait; with the last one for *name*, what was done for it ends too."""
        self._waits[name] -= 1
        if self._waits[name]:
            return
        del self._waits[name]
        self._described_at.pop(name, None)
        if (look := self._under_way.pop(name, None)) is not None:
            look.cancel()
        if not self._waits:
            self._rest()

    def _rest(self) -> None:
        """Do nothing until somebody waits again."""
        for reading in self._listing.values():
            reading.cancel()
        self._listing.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._wakes_at = None, math.inf

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do *work* beside, until :meth:`close`."""
        # Not in the context of whoever happens to ask first: Airflow keeps there whose log this is.
        task = Context().run(asyncio.get_running_loop().create_task, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._under_way.clear()
        self._rest()

    async def next_look(self, rest: WaitForChange, *, every: float, gap: float, until: float) -> Seen:
        """
        Look when it is worth it.

        :param every: seconds between two looks where no list spares them.
        :param gap: the most seconds between two looks.
        :param until: when to look in any case, on the loop's clock.
        :raises ClientError, BotoCoreError: if the look failed.
        """
        request = self._request(rest, every=every, gap=gap, until=until)
        requests = self._requests.setdefault(rest.name, [])
        requests.append(request)
        self._wake_at(request.vigil.wake_at)
        expiry = asyncio.get_running_loop().call_at(max(until, _now()) + LONGEST_CALL, _expire, request.look)
        try:
            # Not by wait_for(), which before Python 3.12 may lose a cancellation.
            return await request.look
        finally:
            expiry.cancel()
            if request.look.done() and not request.look.cancelled():
                request.look.exception()  # it may have come in the moment of a cancellation
            if request in requests:
                requests.remove(request)
            if not requests and self._requests.get(rest.name) is requests:
                del self._requests[rest.name]

    def _request(self, rest: WaitForChange, *, every: float, gap: float, until: float) -> _Request[Seen]:
        now, name = _now(), rest.name
        # The first look in the gap comes at another time for each, or they would all come together for ever.
        described_at = self._described_at.setdefault(name, now - gap * _fraction(name))
        vigil = PendingLook(
            name=name,
            due=now + rest.seconds,
            every=every,
            describe_by=min(described_at + gap, until),
            expected=rest.expected,
            listed_in=self._kind.lists.list_for(rest.expected),
            modified_at=rest.modified_at,
        )
        return _Request(vigil, asyncio.get_running_loop().create_future())

    # The rounds.

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._wakes_at = math.inf
            await self._play_round()
            self._wake_at(self._next_at())

    def _wake_at(self, when: float) -> None:
        """Let a round begin then, if none does earlier."""
        if when >= self._wakes_at:
            return
        self._wakes_at = when
        if self._alarm is not None:
            self._alarm.cancel()
        when = max(when, self._begins_at, _now() + BREATH)
        self._alarm = asyncio.get_running_loop().call_at(when, self._wake.set)

    async def _play_round(self) -> None:
        try:
            planned = self._plan()
            self._describe(planned.describe)
            self._describe(planned.spread, spacing=_spacing(len(planned.spread), planned.within))
            for status in planned.lists:
                self._listing[status] = self._start(self._read_list(status))
        except Exception:  # of one round; nobody's wait may hang on it
            log.exception("A round of looks failed; the next one begins in a second")
            await asyncio.sleep(1)

    def _plan(self) -> PollPlan:
        now, lists = _now(), self._lists
        if now >= lists.known_until:
            lists.pages.clear()
        vigils = [
            request.vigil
            for request in self._open_requests()
            if now >= request.vigil.describe_by or not self._is_listing_for(request.vigil)
        ]
        return plan_poll(vigils, pages=lists.pages, may_list=now >= lists.barred_until, now=now)

    def _next_at(self) -> float:
        """When the next round is. A list that is being read may spare a look until it must be made."""
        vigils = (request.vigil for request in self._open_requests())
        if not self._listing:
            return next_wake_at(vigils)
        acts = (each.describe_by if self._is_listing_for(each) else each.wake_at for each in vigils)
        return min(acts, default=math.inf)

    def _is_listing_for(self, vigil: PendingLook) -> bool:
        """Whether a list that is being read may spare this look."""
        return vigil.expected is not None and vigil.listed_in in self._listing

    def _open_requests(self) -> list[_Request[Seen]]:
        """Those for what is not being looked at."""
        return [
            request
            for name, requests in self._requests.items()
            if name not in self._under_way
            for request in requests
        ]

    # Lists.

    async def _read_list(self, status: Status) -> None:
        """Read it beside: looks that are due meanwhile do not wait for it."""
        began, worth = _now(), len(self._spared_by(status))
        try:
            listed = await within(LONGEST_SWEEP, self._list(status, worth=worth))
            if listed is not None:
                self._spare(status, listed, as_of=began)
        except (ClientError, BotoCoreError, errors.UnexpectedAnswer, asyncio.TimeoutError) as error:
            self._list_failed(error, status)
        except Exception:  # a bug; those who rely on the list have their look at the latest after the gap
            log.exception("The list of %s in status %s could not be read", self._kind.name, status.value)
            self._put_off(status)
        finally:
            if self._listing.get(status) is asyncio.current_task():
                del self._listing[status]
                self._wake_at(self._next_at())

    async def _list(self, status: Status, *, worth: int) -> dict[str, ListedStatus] | None:
        """Read a whole list; None if it has turned out to cost more than it spares."""
        lists, listed, pages = self._lists, dict[str, ListedStatus](), 0
        calls = await self._connection.calls()
        if not lists.pages:
            lists.known_until = _now() + LISTS_FORGOTTEN_AFTER
        async for page in self._kind.listed(calls, status):
            pages += 1
            lists.pages[status] = pages
            listed.update((each.name, each) for each in page)
            if pages > worth:
                return None
        return listed

    def _spare(self, status: Status, listed: dict[str, ListedStatus], *, as_of: float) -> None:
        changed = set()
        for request in self._spared_by(status):
            if request.vigil.shows_change(listed):
                changed.add(request.vigil.name)
            else:
                request.vigil = _due(request.vigil, as_of + AHEAD * request.vigil.every)
        self._describe(changed)

    def _spared_by(self, status: Status) -> list[_Request[Seen]]:
        """Those whose look this list may spare."""
        return [
            request
            for request in self._open_requests()
            if request.vigil.expected is not None and request.vigil.listed_in is status
        ]

    def _list_failed(self, error: Exception, status: Status) -> None:
        if errors.is_refused(error):
            self._connection.refused()
        if not (isinstance(error, ClientError) and errors.is_access_denied(error)):
            self._put_off(status)
            return
        self._lists.barred_until = _now() + LISTS_FORGOTTEN_AFTER
        if not self._lists.denial_told:
            self._lists.denial_told = True
            log.warning(
                "%s may not be listed, so each wait takes calls of its own; allow %s to spare most of them "
                "(%s)",
                self._kind.name,
                self._kind.permission,
                errors.text_for_people(error),
            )

    def _put_off(self, status: Status) -> None:
        """AWS is busy or away: the list is read again at the next beat, and no looks take its place."""
        for request in self._spared_by(status):
            request.vigil = _due(request.vigil, _now() + request.vigil.every)

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
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits for this is told
            look = error
        # If the last wait has ended meanwhile, this is cancelled and nothing is kept.
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
            await self._pace.keep()
            try:
                look = await within(LONGEST_CALL, self._ask(name))
            except asyncio.TimeoutError:
                raise errors.Unanswered(reason=f"no answer within {LONGEST_CALL:g} s") from None
            except ClientError as error:
                if errors.is_throttled(error):
                    self._pace.throttled()
                if not errors.is_refused(error):
                    raise
                self._connection.refused()
                raise errors.Unanswered(
                    reason=f"the credentials are refused: {errors.text_for_people(error)}"
                ) from error
            self._pace.answered()
            return look

    async def _ask(self, name: str) -> Seen:
        return await self._kind.look(await self._connection.calls(), name)


def _expire(look: asyncio.Future[Any]) -> None:
    if not look.done():
        look.set_exception(errors.Unanswered(reason="no answer until the time was up"))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _fraction(name: str) -> float:
    """A number from 0 to 1, always the same for a name, and spread evenly over many."""
    return zlib.crc32(name.encode()) / 2**32


def _spacing(number: int, within: float) -> float:
    return min(WIDEST_SPACING, within / number) if number > 1 else 0.0


def _due(vigil: PendingLook, due: float) -> PendingLook:
    # Not by replace(), which is slow enough to be felt with a thousand waits.
    return PendingLook(
        name=vigil.name,
        due=due,
        every=vigil.every,
        describe_by=vigil.describe_by,
        expected=vigil.expected,
        listed_in=vigil.listed_in,
        modified_at=vigil.modified_at,
    )
