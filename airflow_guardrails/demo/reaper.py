"""
Ends what the demo started, also when the demo itself was killed: its standard input closes then.

It is told process ids, one a line; each is the head of a session of its own (``start_new_session``). A
negative one has ended by itself: its number may be somebody else's by now.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable

import psutil

_GRACE_SECONDS = 4.0


def _main() -> None:
    for deaf_to in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(deaf_to, signal.SIG_IGN)
    heads: set[int] = set()
    for number in map(int, sys.stdin):
        heads = heads | {number} if number > 0 else heads - {-number}
    _end_sessions(heads)


def _end_sessions(heads: set[int]) -> None:
    """Ask the heads to end, then end whatever is left of their sessions and families."""
    family = _process_trees(heads)
    for process in family:
        if process.pid in heads:
            _ignore_ended(process.terminate)
    psutil.wait_procs(family, timeout=_GRACE_SECONDS)
    left = {*family, *members(heads)}
    for process in left:
        _ignore_ended(process.kill)
    psutil.wait_procs(left, timeout=_GRACE_SECONDS)


def kill_sessions(heads: set[int]) -> None:
    """End every process in a session of *heads*, without asking."""
    left = members(heads)
    for process in left:
        _ignore_ended(process.kill)
    psutil.wait_procs(left, timeout=_GRACE_SECONDS)


def members(heads: set[int]) -> list[psutil.Process]:
    """Every living process in a session of *heads*."""
    return [
        process for process in psutil.process_iter() if _session(process.pid) in heads and _alive(process)
    ]


def _process_trees(heads: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for head in heads:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(head)
            found += [process, *process.children(recursive=True)]
    return found


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _ignore_ended(action: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        action()


if __name__ == "__main__":
    _main()
