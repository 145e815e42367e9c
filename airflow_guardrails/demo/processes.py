"""Child processes with log files, which end together with the demo."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from airflow_guardrails.demo.reaper import kill_sessions, members


def free_port() -> int:
    """Return a free port of 127.0.0.1. If another process takes it first, the server that gets it fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class DemoError(Exception):
    """The demo cannot continue; the text says where it stopped and which log to read."""


_LAST_LINES = 25


class Processes:
    """
    Starts programs and ends all of them, with their children, at the end of the ``with`` block.

    A second process ends them (see :mod:`~airflow_guardrails.demo.reaper`), also if this process is killed.

    :param logs: folder of the log files.
    :param env: environment variables of all programs.
    """

    def __init__(self, logs: Path, env: Mapping[str, str]) -> None:
        self._logs = logs
        self._env = dict(env)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._reaper = subprocess.Popen(
            [sys.executable, "-m", "airflow_guardrails.demo.reaper"],
            stdin=subprocess.PIPE,
            text=True,
            # In its own session, so that Ctrl-C in the terminal does not end it.
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pids(self) -> list[int]:
        """Process ids of the programs that were started and not awaited or killed."""
        return [process.pid for process in self._running.values()]

    def pid(self, name: str) -> int:
        """Return the process id of *name*, which is also its session id."""
        return self._running[name].pid

    def start(self, name: str, program: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start a program in the background, in a session of its own."""
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                program,
                env=self._env | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._notify_reaper(process.pid)
        self._running[name] = process

    def run(self, name: str, program: Sequence[str], *, env: Mapping[str, str], timeout: float) -> None:
        """
        Start a program and wait until it has ended.

        :param timeout: seconds.
        :raises DemoError: if it fails or does not end in time.
        """
        self.start(name, program, env=env)
        try:
            code = self._running[name].wait(timeout)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{name} did not end within {timeout:.0f} s.{self.last_lines(name)}") from None
        self._notify_reaper(-self._running.pop(name).pid)
        if code:
            raise DemoError(f"{name} failed (exit code {code}).{self.last_lines(name)}")

    def kill(self, name: str) -> None:
        """
        Kill *name* with all processes of its session, as if their machine failed. It may be started again.
        """
        process = self._running.pop(name)
        kill_sessions({process.pid})
        process.wait()
        self._notify_reaper(-process.pid)

    def check(self) -> None:
        """Raise DemoError if any program has ended that should run."""
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                raise DemoError(f"{name} ended unexpectedly (exit code {code}).{self.last_lines(name)}")

    def last_lines(self, *names: str) -> str:
        """Return the end of the logs of some programs, by default of all running ones."""
        return "".join(self._tail(name) for name in names or self._running)

    def left_running(self) -> list[str]:
        """Return what still runs of all programs; nothing after :meth:`end`."""
        return [f"{process.pid} {process.name()}" for process in members(set(self.pids))]

    def end(self) -> None:
        """End all programs. It may be called twice."""
        if self._reaper.stdin and not self._reaper.stdin.closed:
            self._reaper.stdin.close()
        # Only the parent can collect ended processes. Until then the reaper counts them as alive.
        while self._reaper.poll() is None:
            for process in self._running.values():
                process.poll()
            time.sleep(0.05)

    def _tail(self, name: str) -> str:
        path = self._log(name)
        lines = path.read_text(errors="replace").splitlines()[-_LAST_LINES:] if path.exists() else []
        return "\n".join(["", f"--- last lines of {path}", *lines])

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _notify_reaper(self, number: int) -> None:
        assert self._reaper.stdin is not None
        self._reaper.stdin.write(f"{number}\n")
        self._reaper.stdin.flush()
