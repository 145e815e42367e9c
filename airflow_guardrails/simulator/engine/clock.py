"""The simulated clock and its timers."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from threading import RLock

_Action = Callable[[], None]


class Timer:
    """An action that is due at a simulated time. It may be cancelled at any time, also after it ran."""

    __slots__ = ("action", "cancelled")

    def __init__(self, action: _Action) -> None:
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        """Do not run the action. It has no effect after the action ran."""
        self.cancelled = True


class Clock:
    """
    Simulated time. It moves by :meth:`advance`, or *speed* times as fast as real time.

    Due actions run in the order of their times. During an action, ``now()`` is the time at which it was due.
    Hold :attr:`lock` while you read or change anything that depends on the time.

    :param start: simulated time at the start, with a time zone; None is the current minute.
    :param speed: simulated seconds for each real second; 0 means that only :meth:`advance` moves the clock.
    :param monotonic: real time in seconds, for tests.
    :raises ValueError: if *speed* is negative.
    """

    def __init__(
        self,
        *,
        start: datetime | None = None,
        speed: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if speed < 0:
            raise ValueError(f"speed must be 0 (only advance() moves the clock) or more (got {speed})")
        self.speed = speed
        self.lock = RLock()
        self._now = start or datetime.now(timezone.utc).replace(second=0, microsecond=0)
        self._monotonic = monotonic
        self._caught_up_at = monotonic()
        # Timers of the same time run in the order in which they were set.
        self._order = itertools.count()
        self._due: list[tuple[datetime, int, Timer]] = []

    def now(self) -> datetime:
        """Return the simulated time, in UTC unless the clock started in another time zone."""
        return self._now

    def after(self, seconds: float, action: _Action) -> Timer:
        """Run *action* after that many simulated seconds."""
        return self.at(self._now + timedelta(seconds=seconds), action)

    def at(self, when: datetime, action: _Action) -> Timer:
        """Run *action* at the simulated time *when*, or now if that time has passed."""
        timer = Timer(action)
        # A time in the past would make the clock go backwards in advance().
        heapq.heappush(self._due, (max(when, self._now), next(self._order), timer))
        return timer

    def every(self, seconds: int, action: _Action) -> Timer:
        """
        Run *action* at each multiple of *seconds* since the epoch, until the returned timer is cancelled.
        """
        series = Timer(action)

        def run() -> None:
            if not series.cancelled:
                action()
                self.at(self._next_multiple(seconds), run)

        self.at(self._next_multiple(seconds), run)
        return series

    def cancel_all(self) -> None:
        """Cancel every timer."""
        with self.lock:
            self._due.clear()

    def advance(self, seconds: float) -> None:
        """Move the clock forward by *seconds* and run every action that is due."""
        with self.lock:
            until = self._now + timedelta(seconds=seconds)
            # An action may set more timers, and even advance the clock.
            while self._due and self._due[0][0] <= until:
                when, _, timer = heapq.heappop(self._due)
                self._now = when
                if not timer.cancelled:
                    timer.action()
            self._now = until

    def catch_up(self) -> None:
        """
        Move a running clock forward by the real time that has passed. A clock with speed 0 does not move.
        """
        with self.lock:
            wall = self._monotonic()
            elapsed, self._caught_up_at = wall - self._caught_up_at, wall
            if self.speed:
                self.advance(elapsed * self.speed)

    def _next_multiple(self, seconds: int) -> datetime:
        passed = int(self._now.timestamp()) // seconds
        return datetime.fromtimestamp((passed + 1) * seconds, timezone.utc)
