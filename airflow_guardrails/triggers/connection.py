"""One set of clients for all waits that use the same Airflow connection."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from asgiref.sync import sync_to_async

from airflow_guardrails.aws import errors
from airflow_guardrails.hooks.guardrails import AsyncCalls, GuardrailsHook

log = logging.getLogger(__name__)

# How often a connection is looked up again, in seconds of the wall clock: always, and while AWS refuses it.
LOOK_UP_EVERY = 600.0
LOOK_UP_REFUSED_EVERY = 30.0

# Seconds after which a connection that could not be opened is tried again.
TRY_AGAIN_AFTER = 5.0

# Seconds for which a connection that is not found is taken for a secrets backend that is away.
NOT_FOUND_FOR = 600.0

# Seconds that clients are kept after others have taken their place; no call lasts that long.
KEPT_FOR = 300.0


class SharedConnection:
    """
    The clients of one connection: opened when first needed, opened anew when the connection has changed.

    :param make_hook: makes a hook of the connection as it is now.
    """

    def __init__(self, make_hook: Callable[[], GuardrailsHook]) -> None:
        self._make_hook = make_hook
        self._calls: AsyncCalls | None = None
        self._stack = AsyncExitStack()
        # Those from before, and when others took their place.
        self._former: list[tuple[float, AsyncExitStack]] = []
        self._fingerprint = ""
        self._looked_up_at = 0.0
        self._not_before = 0.0
        self._not_found_since: float | None = None
        self._opening = asyncio.Lock()

    async def calls(self) -> AsyncCalls:
        """
        Return the calls of the connection as it is now.

        :raises aws.errors.Unanswered: if it cannot be opened. The task's worker has used it before, so that
            is taken for something that passes.
        :raises aws.errors.ConnectionNotFound: if it was never opened, and is not found for ten minutes.
        """
        async with self._opening:
            if self._calls is None:
                await self._open_first()
            elif time.monotonic() - self._looked_up_at >= LOOK_UP_EVERY:
                await self._open_if_changed()
            assert self._calls is not None
            return self._calls

    async def refused(self) -> None:
        """AWS has refused the credentials: somebody may have changed the connection meanwhile."""
        async with self._opening:
            if time.monotonic() - self._looked_up_at >= LOOK_UP_REFUSED_EVERY:
                await self._open_if_changed(or_refused=True)

    async def close(self) -> None:
        stacks = [stack for _, stack in self._former] + [self._stack]
        self._former.clear()
        for stack in stacks:
            await stack.aclose()

    async def _open_first(self) -> None:
        if time.monotonic() < self._not_before:
            raise errors.Unanswered(reason="the connection could not be opened a moment ago")
        try:
            await self._open(self._make_hook())
        except Exception as error:
            # Of a thousand waits, one tries for all.
            self._not_before = time.monotonic() + TRY_AGAIN_AFTER
            if isinstance(error, errors.ConnectionNotFound) and self._stays_away():
                raise
            log.warning("A connection could not be opened; it is tried again", exc_info=True)
            reason = f"the connection could not be opened ({type(error).__name__})"
            raise errors.Unanswered(reason=reason) from error

    def _stays_away(self) -> bool:
        """Airflow says the same of a connection that nobody made and of a secrets backend that is away."""
        now = time.monotonic()
        if self._not_found_since is None:
            self._not_found_since = now
        return now - self._not_found_since >= NOT_FOUND_FOR

    async def _open_if_changed(self, *, or_refused: bool = False) -> None:
        self._looked_up_at = time.monotonic()
        hook = self._make_hook()
        try:
            fingerprint = await _fingerprint(hook)
        except Exception:
            # Whatever a secrets backend raises; and where the connection is not found any more, that backend
            # may be away. The clients there are go on.
            log.warning("Connection %s could not be looked up again", hook.aws_conn_id, exc_info=True)
            return
        if or_refused or fingerprint != self._fingerprint:
            # One that is refused may take its credentials from elsewhere, a file say, and they have changed.
            why = "has changed" if fingerprint != self._fingerprint else "is refused"
            log.info("Connection %s %s: its clients are opened anew", hook.aws_conn_id, why)
            await self._open(hook)

    async def _open(self, hook: GuardrailsHook) -> None:
        now = self._looked_up_at = time.monotonic()
        self._fingerprint = await _fingerprint(hook)
        # What the clients from before are still asked for is answered.
        self._former.append((now, self._stack))
        self._stack = AsyncExitStack()
        self._calls = await self._stack.enter_async_context(hook.asynchronous())
        await self._close_former(now - KEPT_FOR)

    async def _close_former(self, before: float) -> None:
        while self._former and self._former[0][0] <= before:
            _, stack = self._former.pop(0)
            await stack.aclose()


async def _fingerprint(hook: GuardrailsHook) -> str:
    """Hash the connection; the triggerer of some versions of Airflow answers only a thread of asgiref's."""
    return str(await sync_to_async(_hashed)(hook))


def _hashed(hook: GuardrailsHook) -> str:
    known = hook.conn_config
    parts = (known.login, known.password, known.schema, known.extra_config)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
