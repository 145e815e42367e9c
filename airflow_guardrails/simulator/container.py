"""A model's worker process, seen from the simulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

from airflow_guardrails.simulator.worker import read_frame, write_frame

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_GRACE_SECONDS = 2


class ContainerDied(RuntimeError):
    """The process ended, or was killed because it gave no answer in time."""


class LoadFailed(RuntimeError):
    """The artefact could not be unpacked or loaded; the text is the model's own."""


class Container:
    """
    One running model.

    :param artefact: the ``model.tar.gz``.
    :param environment: the variables its model was created with.
    :param timeout: seconds of wall time for one answer; SageMaker allows 60.
    :raises LoadFailed: when the model does not load.
    :raises ContainerDied: when the process ends while loading.
    """

    def __init__(self, artefact: bytes, *, environment: Mapping[str, str], timeout: float = 60) -> None:
        self._timeout = timeout
        # Removed by whichever process lives longer: either may be killed.
        self._directory = TemporaryDirectory(prefix="simulated-container-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", "airflow_guardrails.simulator.worker", self._directory.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(environment),
            # The first place Python looks for modules; nobody but root can put one there.
            cwd="/",
        )
        try:
            loaded = self._ask(artefact)
        except ContainerDied:
            self.close()
            raise
        if not loaded["loaded"]:
            self.close()
            raise LoadFailed(loaded["error"])

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def answer(self, bodies: Sequence[bytes], *, content_type: str, accept: str | None) -> dict[str, Any]:
        """What :func:`worker.answer` says to *bodies*; raises ContainerDied."""
        request = {
            # latin-1 maps every byte to one character and back, whatever a client sent.
            "bodies": [body.decode("latin-1") for body in bodies],
            "content_type": content_type,
            "accept": accept,
        }
        return self._ask(json.dumps(request).encode())

    def close(self) -> None:
        """End the process; calling it twice is harmless."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._directory.cleanup()

    def _ask(self, payload: bytes) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        # Killing ends a write as well as a read that would wait for ever.
        watchdog = Timer(self._timeout, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            write_frame(self._process.stdin, payload)
            answer: dict[str, Any] = json.loads(read_frame(self._process.stdout))
        except (EOFError, OSError):
            # Its output ends a moment before the process does; who asks next must not find it running.
            self._process.kill()
            self._process.wait()
            raise ContainerDied("the model's process ended without an answer") from None
        else:
            return answer
        finally:
            watchdog.cancel()


def _environment(of_model: Mapping[str, str]) -> dict[str, str]:
    # No credentials, no home folder to read them from.
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**of_model, **passed_on, **dict.fromkeys(_ONE_THREAD, "1")}
