"""
End the processes of the demo when its standard input closes, also if the demo was killed.

It reads process ids, one in a line. Each leads a session of its own (``start_new_session``). A negative
number means that this process has ended: its id may be used again by another process.
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
    """Read process ids until the input closes, then end their sessions."""
    # It must survive the signals that end the demo.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    leaders: set[int] = set()
    for pid in map(int, sys.stdin):
        leaders = leaders | {pid} if pid > 0 else leaders - {-pid}
    _end_sessions(leaders)


def _end_sessions(leaders: set[int]) -> None:
    """Terminate the session leaders, then kill what is left of their sessions and children."""
    processes = _process_trees(leaders)
    for process in processes:
        if process.pid in leaders:
            _ignore_ended(process.terminate)
    psutil.wait_procs(processes, timeout=_GRACE_SECONDS)
    left = {*processes, *members(leaders)}
    for process in left:
        _ignore_ended(process.kill)
    psutil.wait_procs(left, timeout=_GRACE_SECONDS)


def kill_sessions(leaders: set[int]) -> None:
    """Kill every process in these sessions."""
    left = members(leaders)
    for process in left:
        _ignore_ended(process.kill)
    psutil.wait_procs(left, timeout=_GRACE_SECONDS)


def members(leaders: set[int]) -> list[psutil.Process]:
    """Return every living process in these sessions."""
    return [
        process for process in psutil.process_iter() if _session(process.pid) in leaders and _alive(process)
    ]


def _process_trees(leaders: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for leader in leaders:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(leader)
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
