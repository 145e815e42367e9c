"""Simulated time, and everything that is due in it."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from threading import RLock

_Action = Callable[[], None]


class Timer:
    """Something due at a simulated moment; cancelling it is always safe, also after it ran."""

    __slots__ = ("action", "cancelled")

    def __init__(self, action: _Action) -> None:
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """
    Time that moves by :meth:`advance`, or *speed* times as fast as the wall clock.

    Whatever is due runs in order, each action at its own moment: ``now()`` inside an action is the time it
    was due. Hold :attr:`lock` while reading or changing anything whose state depends on the time.
    """

    def __init__(
        self,
        *,
        start: datetime | None = None,
        speed: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if speed < 0:
            raise ValueError(f"speed must be 0 (manual) or more (got {speed})")
        self.speed = speed
        self.lock = RLock()
        self._now = start or datetime.now(timezone.utc).replace(second=0, microsecond=0)
        self._monotonic = monotonic
        self._caught_up_at = monotonic()
        self._order = itertools.count()
        self._due: list[tuple[datetime, int, Timer]] = []

    def now(self) -> datetime:
        return self._now

    def after(self, seconds: float, action: _Action) -> Timer:
        return self.at(self._now + timedelta(seconds=seconds), action)

    def at(self, when: datetime, action: _Action) -> Timer:
        timer = Timer(action)
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

    def advance(self, seconds: float) -> None:
        with self.lock:
            until = self._now + timedelta(seconds=seconds)
            while self._due and self._due[0][0] <= until:
                when, _, timer = heapq.heappop(self._due)
                self._now = when
                if not timer.cancelled:
                    timer.action()
            self._now = until

    def catch_up(self) -> None:
        """Move a running clock to where the wall clock says it is; a manual one stays."""
        with self.lock:
            wall = self._monotonic()
            elapsed, self._caught_up_at = wall - self._caught_up_at, wall
            if self.speed:
                self.advance(elapsed * self.speed)

    def _next_multiple(self, seconds: int) -> datetime:
        passed = int(self._now.timestamp()) // seconds
        return datetime.fromtimestamp((passed + 1) * seconds, timezone.utc)
