"""Processes of a benchmark that take orders: a line of JSON to stdin, and one back from stdout."""

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


class Child:
    """
    A process that runs *script*, ready for orders.

    :param environment: what it finds in its environment besides ours.
    """

    def __init__(self, script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._script = script
        self._said = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, str(HERE / script), *arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.pid = self._process.pid
        self.hello = self._answer()

    def ask(self, order: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.kill()  # it has nothing to save
        self._process.communicate()
        self._said.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise SystemExit(f"{self._script} has ended early:\n{self._said.read()[-4000:]}")
        return json.loads(line)


async def obey(orders: Mapping[str, Callable[..., Any]], *, hello: Any = None) -> None:
    """Answer orders until there are no more; what else the process prints goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _write(answers, hello)
    while line := await reader.readline():
        order = json.loads(line)
        answer = orders[order["order"]](**order["arguments"])
        _write(answers, await answer if asyncio.iscoroutine(answer) else answer)


def _write(answers: Any, answer: Any) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
