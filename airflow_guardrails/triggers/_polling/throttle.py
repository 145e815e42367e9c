"""How fast calls may follow one another: slower for all when one is throttled, and faster again later."""

from __future__ import annotations

import asyncio

# Seconds from one call to the next.
FIRST_INTERVAL = 0.1
LONGEST_INTERVAL = 5.0
SHORTEST_INTERVAL = 0.01
EASED_BY = 0.9


class Throttle:
    """
    The pace of all calls of a connection.

    botocore's adaptive mode does the like within a client; this one also holds where somebody has configured
    other retries, and makes whoever waits for a call of its own wait here, where it costs nothing.
    """

    def __init__(self) -> None:
        self.interval = 0.0
        self._turn = asyncio.Lock()
        self._free_at = 0.0
        self._slowed_at = 0.0

    async def keep(self) -> None:
        """Wait for one's turn. Whoever is cancelled meanwhile takes none."""
        async with self._turn:
            if self._free_at > (now := _now()):
                await asyncio.sleep(self._free_at - now)
            self._free_at = _now() + self.interval

    def throttled(self) -> None:
        """Slow down, once for all calls that were on their way together."""
        if _now() - self._slowed_at < self.interval:
            return
        self._slowed_at = _now()
        self.interval = min(max(2 * self.interval, FIRST_INTERVAL), LONGEST_INTERVAL)

    def answered(self) -> None:
        self.interval *= EASED_BY
        if self.interval < SHORTEST_INTERVAL:
            self.interval = 0.0


def _now() -> float:
    return asyncio.get_running_loop().time()
