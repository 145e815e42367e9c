"""The pause between two calls of a connection: longer after AWS throttles one, then shorter again."""

from __future__ import annotations

import asyncio

# Seconds between two calls: after the first throttled call, at most, and when the pause is dropped.
FIRST_INTERVAL = 0.1
LONGEST_INTERVAL = 5.0
_SHORTEST_INTERVAL = 0.01
# Factor for each call that is not throttled.
_DECAY = 0.9


class Throttle:
    """
    Spaces the calls of one connection.

    botocore's adaptive retry mode does something similar inside a client. This class also works if the user
    has configured another mode, and it covers all clients of the connection.
    """

    def __init__(self) -> None:
        self.interval = 0.0
        self._turn = asyncio.Lock()
        self._free_at = 0.0
        self._slowed_at = 0.0

    async def acquire(self) -> None:
        """Wait until the next call may be made. A cancelled waiter uses up no turn."""
        async with self._turn:
            if self._free_at > (now := _now()):
                await asyncio.sleep(self._free_at - now)
            self._free_at = _now() + self.interval

    def throttled(self) -> None:
        """Double the interval, once for all calls that were made together."""
        if _now() - self._slowed_at < self.interval:
            return
        self._slowed_at = _now()
        self.interval = min(max(2 * self.interval, FIRST_INTERVAL), LONGEST_INTERVAL)

    def succeeded(self) -> None:
        """Shorten the interval."""
        self.interval *= _DECAY
        if self.interval < _SHORTEST_INTERVAL:
            self.interval = 0.0


def _now() -> float:
    return asyncio.get_running_loop().time()
