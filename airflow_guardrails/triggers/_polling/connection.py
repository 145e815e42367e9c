"""One set of clients for all waits that use the same Airflow connection, replaced when that changes."""

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

_logger = logging.getLogger(__name__)

# Seconds between two look-ups of the connection in Airflow: normally, and while AWS rejects its credentials.
LOOK_UP_EVERY = 600.0
LOOK_UP_REFUSED_EVERY = 30.0

# Seconds that a look-up may take. If the secrets backend takes longer, it is tried again later.
LOOK_UP_WITHIN = 20.0
# Look-ups of one connection that may hang at once; each occupies a thread.
_HANGING_LOOK_UPS = 4

# Seconds until the next attempt to open a connection.
TRY_AGAIN_AFTER = 5.0

# Seconds for which "connection not found" may just mean that the secrets backend is away.
NOT_FOUND_FOR = 600.0

# Seconds that replaced clients stay open, longer than any call.
KEPT_FOR = 300.0


class SharedConnection:
    """
    The clients of one connection: opened at the first call, and again after the connection has changed.

    Calls wait only for the first opening. Later look-ups run in the background, while calls use the existing
    clients.

    :param make_hook: makes a hook of the connection as it is now.
    """

    def __init__(self, make_hook: Callable[[], GuardrailsHook]) -> None:
        self._make_hook = make_hook
        self._threads = Threads(most=_HANGING_LOOK_UPS)
        self._calls: AsyncCalls | None = None
        self._stack = AsyncExitStack()
        # Replaced clients: when they were replaced, and the stack that closes them.
        self._former: list[tuple[float, AsyncExitStack]] = []
        self._fingerprint = ""
        self._looked_up_at = 0.0
        self._not_before = 0.0
        # The running look-up; there is at most one.
        self._look_up: asyncio.Task[Exception | None] | None = None
        self._missing_since: float | None = None

    async def calls(self) -> AsyncCalls:
        """
        Return the calls, with clients of the connection as it was at its last look-up.

        :raises aws.errors.Unanswered: if the connection cannot be opened. The task's worker has used it
            before, so the cause is taken to be temporary.
        :raises aws.errors.ConnectionNotFound: if it was never opened, and not found for ten minutes.
        """
        if self._calls is None:
            return await self._opened()
        if time.monotonic() - self._looked_up_at >= LOOK_UP_EVERY:
            self._begin(self._open_if_changed)
        return self._calls

    def rejected(self) -> None:
        """Look the connection up again, because AWS has rejected its credentials."""
        if self._calls is not None and time.monotonic() - self._looked_up_at >= LOOK_UP_REFUSED_EVERY:
            self._begin(functools.partial(self._open_if_changed, or_rejected=True))

    async def settled(self) -> None:
        """Wait until no look-up is running."""
        if self._look_up is not None:
            await asyncio.wait({self._look_up})

    async def close(self) -> None:
        """Cancel the look-up and close all clients."""
        if (look_up := self._look_up) is not None:
            look_up.cancel()
            await asyncio.wait({look_up})
        stacks = [stack for _, stack in self._former] + [self._stack]
        self._former.clear()
        for stack in stacks:
            await stack.aclose()

    async def _opened(self) -> AsyncCalls:
        """Open the connection, once for all callers. Cancelling a caller does not cancel the opening."""
        if self._look_up is None and time.monotonic() < self._not_before:
            raise errors.Unanswered(reason="connection could not be opened a moment ago")
        opening = self._begin(self._open_first)
        await asyncio.wait({opening})
        if self._calls is None:
            error = None if opening.cancelled() else opening.result()
            if isinstance(error, errors.ConnectionNotFound) and self._is_missing:
                raise error
            reason = f"connection could not be opened ({type(error).__name__})"
            raise errors.Unanswered(reason=reason) from error
        return self._calls

    def _begin(
        self, look_up: Callable[[], Coroutine[Any, Any, Exception | None]]
    ) -> asyncio.Task[Exception | None]:
        """Start *look_up* if none is running; return the running one."""
        if self._look_up is None:
            # In an empty context: Airflow keeps the current task's logger in the caller's.
            task = Context().run(asyncio.get_running_loop().create_task, look_up())
            task.add_done_callback(self._over)
            self._look_up = task
        return self._look_up

    def _over(self, _: asyncio.Task[Exception | None]) -> None:
        self._look_up = None

    async def _open_first(self) -> Exception | None:
        """Return the error if the connection cannot be opened; the waiting callers raise it."""
        try:
            hook = self._make_hook()
            await self._open(hook, await self._hashed(hook))
        except Exception as error:  # a secrets backend may raise anything
            # One attempt serves all waits.
            self._not_before = time.monotonic() + TRY_AGAIN_AFTER
            if not isinstance(error, errors.ConnectionNotFound):
                self._missing_since = None
            elif self._missing_since is None:
                self._missing_since = time.monotonic()
            _logger.warning("Connection could not be opened; trying again", exc_info=True)
            return error
        return None

    @property
    def _is_missing(self) -> bool:
        """Whether it was missing for long. Airflow reports a secrets backend that is away in the same way."""
        since = self._missing_since
        return since is not None and time.monotonic() - since >= NOT_FOUND_FOR

    async def _open_if_changed(self, *, or_rejected: bool = False) -> None:
        self._looked_up_at = time.monotonic()
        hook = self._make_hook()
        try:
            fingerprint = await self._hashed(hook)
            if or_rejected or fingerprint != self._fingerprint:
                # Rejected credentials may come from elsewhere, for example a file that has changed.
                why = "has changed" if fingerprint != self._fingerprint else "was rejected by AWS"
                _logger.info("Connection %s %s: opening new clients", hook.aws_conn_id, why)
                await self._open(hook, fingerprint)
        except Exception:
            # A secrets backend may raise anything, and report a connection as missing while it is away. The
            # existing clients stay in use.
            _logger.warning(
                "Connection %s could not be looked up again; using the existing clients",
                hook.aws_conn_id,
                exc_info=True,
            )

    async def _hashed(self, hook: GuardrailsHook) -> str:
        """
        Look the connection up and return a hash of its contents.

        :raises asyncio.TimeoutError: if that takes too long.
        """
        # The look-up may be a request to Airflow's supervisor, which must not be cancelled.
        looking_up = in_thread(self._threads, _fingerprint, hook)
        return await without_cancelling(looking_up, within=LOOK_UP_WITHIN)

    async def _open(self, hook: GuardrailsHook, fingerprint: str) -> None:
        now = self._looked_up_at = time.monotonic()
        self._fingerprint = fingerprint
        # The old clients stay open for the calls that they are making.
        self._former.append((now, self._stack))
        self._stack = AsyncExitStack()
        self._calls = await self._stack.enter_async_context(hook.asynchronous())
        await self._close_former(now - KEPT_FOR)

    async def _close_former(self, before: float) -> None:
        while self._former and self._former[0][0] <= before:
            _, stack = self._former.pop(0)
            await stack.aclose()


def _fingerprint(hook: GuardrailsHook) -> str:
    connection = hook.conn_config
    parts = (connection.login, connection.password, connection.schema, connection.extra_config)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
