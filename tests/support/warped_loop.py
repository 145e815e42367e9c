"""An event loop whose time passes at once: what sleeps for an hour wakes right away, and in order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Skips the time that the loop would wait."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        assert timeout is not None, "everybody waits for somebody else"
        self.skipped += max(timeout, 1e-6)
        return []


class WarpedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._warp = _Selector()
        super().__init__(self._warp)

    def time(self) -> float:
        return self._warp.skipped


def warped(story: Coroutine[Any, Any, Result]) -> Result:
    """Play *story* to its end on such a loop."""
    loop = WarpedLoop()
    try:
        return loop.run_until_complete(story)
    finally:
        left = asyncio.all_tasks(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        assert not left, f"tasks left behind: {left}"


async def end_what_is_left() -> None:
    """Cancel what is still unanswered, as the end of the process does."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for each in left:
        each.cancel()
    if left:
        await asyncio.wait(left)
