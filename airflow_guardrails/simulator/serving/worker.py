"""
The process of one model: ``python -m airflow_guardrails.simulator.serving.worker FOLDER``.

It reads the artefact and then batches of requests from standard input, and writes responses to standard
output. It exits when its input ends, so it cannot outlive the simulator. It is not a sandbox: loading a model
runs the code in its artefact.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import statistics
import struct
import sys
import tarfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from airflow_guardrails.simulator.serving.inference_script import (
    Handlers,
    RequestRefused,
    error_text,
)

_TEXT = "text/plain"
_OK = 200
_SERVER_ERROR = 500
# Enough for a median; the others of a batch take it as their latency.
_TIMED_ONE_BY_ONE = 3


@dataclass(slots=True)
class _Reply:
    """
    One response.

    :param body: for an error, its text.
    :param seconds: time that the model took.
    """

    status: int
    body: bytes
    content_type: str
    seconds: float


@dataclass(slots=True)
class _Read:
    data: Any
    seconds: float


def replies(
    handlers: Handlers, bodies: Sequence[bytes], *, content_type: str, accept: str | None
) -> list[_Reply]:
    """
    Return the responses to *bodies*, in order.

    The first three readable ones are predicted and timed one by one. The others are predicted in one call if
    possible, and each takes the median of the measured times: one slow moment must not slow a whole batch.
    """

    def write(prediction: Any) -> _Reply:
        return _Reply(_OK, *handlers.write(prediction, content_type=content_type, accept=accept), 0.0)

    def predict(one: _Read) -> _Reply:
        return _reply(lambda: write(handlers.predict(one.data)), before=one.seconds)

    read = {index: _read(handlers, body, content_type) for index, body in enumerate(bodies)}
    done = {index: one for index, one in read.items() if isinstance(one, _Reply)}
    waiting = {index: one for index, one in read.items() if isinstance(one, _Read)}
    timed = {index: predict(waiting.pop(index)) for index in list(waiting)[:_TIMED_ONE_BY_ONE]}
    predictions = _all_at_once(handlers, waiting)
    if predictions is None:
        rest = {index: predict(one) for index, one in waiting.items()}
    else:
        usual = statistics.median(reply.seconds for reply in timed.values()) if timed else 0.0
        rest = {index: _written(write, predictions[index], usual) for index in waiting}
    done |= timed | rest
    return [done[index] for index in range(len(bodies))]


def _read(handlers: Handlers, body: bytes, content_type: str) -> _Read | _Reply:
    started = time.perf_counter()
    try:
        data = handlers.read(body, content_type)
    except Exception as error:  # noqa: BLE001 - code of the model may raise anything
        return _error(error, seconds=time.perf_counter() - started)
    return _Read(data, time.perf_counter() - started)


def _reply(make: Callable[[], _Reply], *, before: float) -> _Reply:
    started = time.perf_counter()
    try:
        reply = make()
    except Exception as error:  # noqa: BLE001 - the same
        reply = _error(error, seconds=0.0)
    reply.seconds = before + time.perf_counter() - started
    return reply


def _written(write: Callable[[Any], _Reply], prediction: Any, seconds: float) -> _Reply:
    reply = _reply(lambda: write(prediction), before=0.0)
    reply.seconds = seconds
    return reply


def _all_at_once(handlers: Handlers, waiting: Mapping[int, _Read]) -> dict[int, Any] | None:
    if not waiting:
        return {}
    try:
        predictions = handlers.predict_all([one.data for one in waiting.values()])
    except Exception:  # noqa: BLE001 - one bad row must not fail the others
        return None
    return None if predictions is None else dict(zip(waiting, predictions, strict=True))


def _error(error: Exception, *, seconds: float) -> _Reply:
    if isinstance(error, RequestRefused):
        return _Reply(error.status, str(error).encode(), _TEXT, seconds)
    return _Reply(_SERVER_ERROR, error_text(error).encode(), _TEXT, seconds)


_LENGTH = struct.Struct(">Q")
# A small archive can unpack to more than the disk holds.
_MAX_UNPACKED_BYTES = 2 << 30
_PROGRAM = "SAGEMAKER_PROGRAM"
_USUAL_PROGRAM = "inference.py"


def write_frame(stream: IO[bytes], payload: bytes) -> None:
    """Write a length and the payload."""
    stream.write(_LENGTH.pack(len(payload)) + payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes:
    """Read the next payload; raise EOFError if the other side has ended."""
    (length,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size))
    return _read_exactly(stream, length)


def _main() -> None:
    """Run the worker until its input ends."""
    directory = Path(sys.argv[1])
    # Ctrl-C in a terminal reaches every process. This one ends when its input closes, with the simulator.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a model may print
    try:
        _serve(requests, answers, directory)
    except (EOFError, BrokenPipeError):
        pass
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _serve(requests: IO[bytes], answers: IO[bytes], directory: Path) -> None:
    """Load the model, then answer batches."""
    artefact = read_frame(requests)
    try:
        handlers = load(artefact, directory)
    except Exception as error:  # noqa: BLE001 - code of the artefact may raise anything
        traceback.print_exc()
        sys.stderr.flush()
        failed = {"loaded": False, "error": error_text(error), "unknown": _is_unknown(error)}
        write_frame(answers, json.dumps(failed).encode())
        return
    write_frame(answers, json.dumps({"loaded": True}).encode())
    while True:
        request = json.loads(read_frame(requests))
        write_frame(answers, json.dumps(answer(handlers, **request)).encode())


def _is_unknown(error: Exception) -> bool:
    """Whether the artefact is none that the simulator can serve, and not one that fails."""
    # By its name: the import is slow, and the module is loaded if it has raised this error.
    return isinstance(error, tarfile.ReadError) or type(error).__name__ == "UnknownArtefact"


def load(artefact: bytes, directory: Path, environment: Mapping[str, str] = os.environ) -> Handlers:
    """
    Unpack a ``model.tar.gz`` and load its model.

    That is ``code/inference.py``, or the file in ``code`` that SAGEMAKER_PROGRAM names. Without code it is
    what :mod:`airflow_guardrails.simulator.serving.artefacts` knows.
    """
    _unpack(artefact, directory)
    script = directory / "code" / environment.get(_PROGRAM, _USUAL_PROGRAM)
    if script.is_file() or _PROGRAM in environment:
        # The simulator imports this module for its frames and must start fast. This import is slow.
        from airflow_guardrails.simulator.serving.inference_script import load_script  # noqa: PLC0415

        os.environ["SM_MODEL_DIR"] = str(directory)
        return load_script(script, directory, environment)
    from airflow_guardrails.simulator.serving.artefacts import load_model_alone  # noqa: PLC0415 - slow, too

    handlers = load_model_alone(directory)
    # A model may refuse a row of zeros. Then its first request is slow, and nothing is wrong.
    with suppress(Exception):
        handlers.warm_up()
    return handlers


def answer(
    handlers: Handlers, *, bodies: Sequence[str], content_type: str, accept: str | None
) -> dict[str, Any]:
    """Return the responses to *bodies* for JSON. Bytes are strings in latin-1, in both directions."""
    made = replies(
        handlers, [body.encode("latin-1") for body in bodies], content_type=content_type, accept=accept
    )
    return {"replies": [[r.status, r.body.decode("latin-1"), r.content_type, r.seconds] for r in made]}


def _unpack(artefact: bytes, directory: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(artefact), mode="r:*") as archive:
        if sum(member.size for member in archive.getmembers()) > _MAX_UNPACKED_BYTES:
            raise ValueError(f"the artefact unpacks to more than {_MAX_UNPACKED_BYTES} bytes")
        # The filter refuses devices, and paths and links that lead out of the folder.
        if hasattr(tarfile, "data_filter"):
            archive.extractall(directory, filter="data")
        else:
            _extract_plain_files(archive, directory)


def _extract_plain_files(archive: tarfile.TarFile, directory: Path) -> None:
    # Filters of tarfile exist since Python 3.10.12 and 3.11.4; Debian 12 has an older one.
    for member in archive.getmembers():
        if not (directory / member.name).resolve().is_relative_to(directory.resolve()):
            raise ValueError(f"{member.name} would be extracted outside the destination")
        if not (member.isfile() or member.isdir()):
            raise ValueError(f"{member.name} is neither a file nor a folder")
    archive.extractall(directory)  # noqa: S202 - all members were checked


def _read_exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


if __name__ == "__main__":
    _main()
