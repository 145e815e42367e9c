"""Child processes of a benchmark that take commands: a line of JSON on stdin, and its result on stdout."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LONGEST_LINE = 2**26


class ChildProcess:
    """
    A process that runs *script* of this folder and takes commands.

    ``greeting`` is what it sends at its start.

    :param environment: variables in addition to our own environment.
    """

    def __init__(self, script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._script = script
        self._stderr = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, str(HERE / script), *arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self.pid = self._process.pid
        self.greeting = self._answer()

    def send(self, command: str, **arguments: Any) -> Any:
        """Send a command and wait for its result; :raises SystemExit: if the process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Kill the process; it has nothing to save."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._stderr.seek(0)
            raise SystemExit(f"{self._script} has ended early:\n{self._stderr.read()[-4000:]}")
        return json.loads(line)


async def serve_commands(commands: Mapping[str, Callable[..., Any]], *, greeting: Any = None) -> None:
    """
    Run commands from stdin until it is closed, and write their results to stdout.

    :param commands: name -> function, or coroutine function.
    :param greeting: the first result, sent before any command.
    """
    # Anything else that the process prints must not mix with the results.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _write(answers, greeting)
    while line := await reader.readline():
        command = json.loads(line)
        answer = commands[command["command"]](**command["arguments"])
        _write(answers, await answer if asyncio.iscoroutine(answer) else answer)


def _write(answers: Any, answer: Any) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
