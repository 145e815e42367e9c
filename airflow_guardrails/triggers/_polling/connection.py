"""One set of clients for all waits that use the same Airflow connection."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from contextvars import Context
from typing import Any

from airflow_guardrails.aws import errors
from airflow_guardrails.hooks._threads import Threads, in_thread
from airflow_guardrails.hooks.guardrails import AsyncCalls, GuardrailsHook
from airflow_guardrails.triggers._bounds import without_cancelling

log = logging.getLogger(__name__)

# How often a connection is looked up again, in seconds of the wall clock: always, and while AWS refuses it.
LOOK_UP_EVERY = 600.0
LOOK_UP_REFUSED_EVERY = 30.0

# Seconds that a look-up may take; a secrets backend that takes longer is asked again later.
LOOK_UP_WITHIN = 20.0
# Look-ups of one connection that may hang at once. Each takes a thread until its backend answers.
HANGING_LOOK_UPS = 4

# Seconds after which a connection that could not be opened is tried again.
TRY_AGAIN_AFTER = 5.0

# Seconds for which a connection that is not found is taken for a secrets backend that is away.
NOT_FOUND_FOR = 600.0

# Seconds that clients are kept after others have taken their place; no call lasts that long.
KEPT_FOR = 300.0


class SharedConnection:
    """
    The clients of one connection: opened when first needed, opened anew when the connection has changed.

    Only the first opening is waited for. Later look-ups are made beside, and calls go on with the clients
    there are.

    :param make_hook: makes a hook of the connection as it is now.
    """

    def __init__(self, make_hook: Callable[[], GuardrailsHook]) -> None:
        self._make_hook = make_hook
        self._threads = Threads(most=HANGING_LOOK_UPS)
        self._calls: AsyncCalls | None = None
        self._stack = AsyncExitStack()
        # Those from before, and when others took their place.
        self._former: list[tuple[float, AsyncExitStack]] = []
        self._fingerprint = ""
        self._looked_up_at = 0.0
        self._not_before = 0.0
        # The one look-up that is under way.
        self._look_up: asyncio.Task[Exception | None] | None = None
        self._not_found_since: float | None = None

    async def calls(self) -> AsyncCalls:
        """
        Return the calls of the connection as it is now, or was at its last look-up.

        :raises aws.errors.Unanswered: if it cannot be opened. The task's worker has used it before, so that
            is taken for something that passes.
        :raises aws.errors.ConnectionNotFound: if it was never opened, and is not found for ten minutes.
        """
        if self._calls is None:
            return await self._opened()
        if time.monotonic() - self._looked_up_at >= LOOK_UP_EVERY:
            self._begin(self._open_if_changed)
        return self._calls

    def refused(self) -> None:
        """AWS has refused the credentials: somebody may have changed the connection meanwhile."""
        if self._calls is not None and time.monotonic() - self._looked_up_at >= LOOK_UP_REFUSED_EVERY:
            self._begin(functools.partial(self._open_if_changed, or_refused=True))

    async def settled(self) -> None:
        """Wait for the look-up that is under way, if one is."""
        if self._look_up is not None:
            await asyncio.wait({self._look_up})

    async def close(self) -> None:
        if (look_up := self._look_up) is not None:
            look_up.cancel()
            await asyncio.wait({look_up})
        stacks = [stack for _, stack in self._former] + [self._stack]
        self._former.clear()
        for stack in stacks:
            await stack.aclose()

    async def _opened(self) -> AsyncCalls:
        """Open it, once for all who wait; whoever is cancelled does not take the opening along."""
        if self._look_up is None and time.monotonic() < self._not_before:
            raise errors.Unanswered(reason="the connection could not be opened a moment ago")
        opening = self._begin(self._open_first)
        await asyncio.wait({opening})
        if self._calls is None:
            error = None if opening.cancelled() else opening.result()
            if isinstance(error, errors.ConnectionNotFound) and self._stays_away:
                raise error
            reason = f"the connection could not be opened ({type(error).__name__})"
            raise errors.Unanswered(reason=reason) from error
        return self._calls

    def _begin(
        self, look_up: Callable[[], Coroutine[Any, Any, Exception | None]]
    ) -> asyncio.Task[Exception | None]:
        """Begin *look_up*, if none is under way, and return what is under way."""
        if self._look_up is None:
            # Not in the context of whoever happens to ask: Airflow keeps there whose log this is.
            task = Context().run(asyncio.get_running_loop().create_task, look_up())
            task.add_done_callback(self._over)
            self._look_up = task
        return self._look_up

    def _over(self, _: asyncio.Task[Exception | None]) -> None:
        self._look_up = None

    async def _open_first(self) -> Exception | None:
        """Return the error if it cannot be opened: whoever waits for it says so."""
        try:
            hook = self._make_hook()
            await self._open(hook, await self._hashed(hook))
        except Exception as error:  # whatever a secrets backend raises
            # Of a thousand waits, one tries for all.
            self._not_before = time.monotonic() + TRY_AGAIN_AFTER
            if not isinstance(error, errors.ConnectionNotFound):
                self._not_found_since = None
            elif self._not_found_since is None:
                self._not_found_since = time.monotonic()
            log.warning("A connection could not be opened; it is tried again", exc_info=True)
            return error
        return None

    @property
    def _stays_away(self) -> bool:
        """Airflow says the same of a connection that nobody made and of a secrets backend that is away."""
        since = self._not_found_since
        return since is not None and time.monotonic() - since >= NOT_FOUND_FOR

    async def _open_if_changed(self, *, or_refused: bool = False) -> None:
        self._looked_up_at = time.monotonic()
        hook = self._make_hook()
        try:
            fingerprint = await self._hashed(hook)
            if or_refused or fingerprint != self._fingerprint:
                # One that is refused may take its credentials from elsewhere, a file say, and they have
                # changed.
                why = "has changed" if fingerprint != self._fingerprint else "is refused"
                log.info("Connection %s %s: its clients are opened anew", hook.aws_conn_id, why)
                await self._open(hook, fingerprint)
        except Exception:
            # Whatever a secrets backend raises; and where the connection is not found any more, that backend
            # may be away. The clients there are go on.
            log.warning("Connection %s could not be looked up again", hook.aws_conn_id, exc_info=True)

    async def _hashed(self, hook: GuardrailsHook) -> str:
        """
        Look the connection up and hash it.

        :raises asyncio.TimeoutError: if that takes too long.
        """
        # Airflow may be asked for it, see there.
        looking_up = in_thread(self._threads, _fingerprint, hook)
        return await without_cancelling(looking_up, within=LOOK_UP_WITHIN)

    async def _open(self, hook: GuardrailsHook, fingerprint: str) -> None:
        now = self._looked_up_at = time.monotonic()
        self._fingerprint = fingerprint
        # What the clients from before are still asked for is answered.
        self._former.append((now, self._stack))
        self._stack = AsyncExitStack()
        self._calls = await self._stack.enter_async_context(hook.asynchronous())
        await self._close_former(now - KEPT_FOR)

    async def _close_former(self, before: float) -> None:
        while self._former and self._former[0][0] <= before:
            _, stack = self._former.pop(0)
            await stack.aclose()


def _fingerprint(hook: GuardrailsHook) -> str:
    known = hook.conn_config
    parts = (known.login, known.password, known.schema, known.extra_config)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
