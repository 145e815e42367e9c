"""The one folder that the demo writes to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from airflow_guardrails.demo.errors import DemoError

OURS = frozenset({"airflow", "logs"})


@contextlib.contextmanager
def claimed(home: Path) -> Iterator[None]:
    """
    Have *home*, emptied, to ourselves: no second demo, and no eyes of other users on its database.

    :raises DemoError: when another demo has it, or it holds what no demo has put there.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY)
    try:
        _lock(handle, home)
        _empty(home)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, home: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"another demo runs in {home}: end that one, or choose another --home") from None


def _empty(home: Path) -> None:
    if strange := sorted({entry.name for entry in home.iterdir()} - OURS):
        raise DemoError(f"{home} holds {strange[0]}, which no demo put there: choose another --home")
    for name in OURS:
        shutil.rmtree(home / name, ignore_errors=True)
