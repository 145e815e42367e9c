"""
The process one model answers in: ``python -m airflow_guardrails.simulator.worker FOLDER``.

It is given the artefact and then batches of request bodies over standard input, answers over standard output,
and exits when its input ends, so that it cannot outlive the simulator. It is a process of its own, not a
sandbox: loading a model runs whatever code its artefact carries.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import signal
import statistics
import struct
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

CSV = "text/csv"
JSON = "application/json"

_LENGTH = struct.Struct(">Q")
_TIMED_ONE_BY_ONE = 3
_MAX_UNPACKED_BYTES = 2 << 30


class BadRequest(Exception):
    """A body the container cannot read; *status* is its HTTP answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Reply:
    status: int
    body: str
    seconds: float


def write_frame(stream: IO[bytes], payload: bytes) -> None:
    stream.write(_LENGTH.pack(len(payload)) + payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes:
    """The next frame; EOFError when the other side is gone."""
    (length,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size))
    return _read_exactly(stream, length)


def main() -> None:
    directory = Path(sys.argv[1])
    # A Ctrl-C in the terminal reaches every process; this one ends when the simulator does, with its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a model prints is not an answer
    try:
        serve(requests, answers, directory)
    except (EOFError, BrokenPipeError):
        pass
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def serve(requests: IO[bytes], answers: IO[bytes], directory: Path) -> None:
    artefact = read_frame(requests)
    try:
        model = load(artefact, directory)
    except Exception as error:  # noqa: BLE001 - whatever the artefact's code raises
        write_frame(answers, json.dumps({"loaded": False, "error": _text_of(error)}).encode())
        return
    write_frame(answers, json.dumps({"loaded": True, "error": None}).encode())
    while True:
        request = json.loads(read_frame(requests))
        write_frame(answers, json.dumps(answer(model, **request)).encode())


def load(artefact: bytes, directory: Path) -> Any:
    """Unpack a ``model.tar.gz`` and load the ``model.joblib`` at its root."""
    import joblib  # noqa: PLC0415 - the simulator imports this module for its framing, and must start fast

    with tarfile.open(fileobj=io.BytesIO(artefact), mode="r:*") as archive:
        if sum(member.size for member in archive.getmembers()) > _MAX_UNPACKED_BYTES:
            raise ValueError(f"the artefact unpacks to more than {_MAX_UNPACKED_BYTES} bytes")
        archive.extractall(directory, filter="data")
    model = joblib.load(directory / "model.joblib")
    _warm_up(model)
    return model


def answer(model: Any, *, bodies: Sequence[str], content_type: str, accept: str | None) -> dict[str, Any]:
    """
    The container's replies to *bodies*, in their order.

    The first three are predicted one by one and timed, the others in one call unless a row makes it fail;
    each of those takes the median of the timed ones: one scheduling hiccup must not slow a whole batch.
    """
    content_type = content_type.partition(";")[0].strip().lower()
    kind = _kind_of_answer(content_type, accept)
    requests = [_parsed(body, content_type) for body in bodies]
    replies = {index: request for index, request in enumerate(requests) if isinstance(request, Reply)}
    waiting = {index: request for index, request in enumerate(requests) if not isinstance(request, Reply)}
    first = list(waiting)[:_TIMED_ONE_BY_ONE]
    timed = {index: _predict_one(model, waiting.pop(index), kind) for index in first}
    usual = statistics.median(reply.seconds for reply in timed.values()) if timed else 0.0
    replies |= timed | _predict_together(model, waiting, kind, usual)
    in_order = (replies[index] for index in range(len(bodies)))
    return {
        "content_type": kind,
        "replies": [[reply.status, reply.body, reply.seconds] for reply in in_order],
    }


def parse(body: str, content_type: str) -> list[list[float]]:
    """The rows of a request, CSV without a header or ``{"instances": [[...]]}``; a missing value is NaN."""
    try:
        if content_type == JSON:
            rows = [[_number(value) for value in row] for row in json.loads(body)["instances"]]
        elif content_type == CSV:
            rows = [[_number(field) for field in row] for row in csv.reader(io.StringIO(body)) if row]
        else:
            raise BadRequest(415, f"content type must be {CSV} or {JSON} (got {content_type!r})")
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest(400, f"cannot read the body as {content_type}: {_text_of(error)}") from None
    if not rows:
        raise BadRequest(400, "the body holds no row")
    return rows


def _parsed(body: str, content_type: str) -> list[list[float]] | Reply:
    try:
        return parse(body, content_type)
    except BadRequest as error:
        return Reply(error.status, str(error), 0.0)


def _predict_together(
    model: Any, waiting: dict[int, list[list[float]]], kind: str, seconds: float
) -> dict[int, Reply]:
    every_row = [row for rows in waiting.values() for row in rows]
    if not every_row:
        return {}
    try:
        predictions = iter(_predict(model, every_row))
    except Exception:  # noqa: BLE001 - one bad row must not fail the others
        return {index: _predict_one(model, rows, kind) for index, rows in waiting.items()}
    return {
        index: Reply(200, _render([next(predictions) for _ in rows], kind), seconds)
        for index, rows in waiting.items()
    }


def _predict_one(model: Any, rows: list[list[float]], kind: str) -> Reply:
    started = time.perf_counter()
    try:
        predictions = _predict(model, rows)
    except Exception as error:  # noqa: BLE001 - whatever the model raises is its HTTP 500
        return Reply(500, _text_of(error), time.perf_counter() - started)
    return Reply(200, _render(predictions, kind), time.perf_counter() - started)


def _predict(model: Any, rows: list[list[float]]) -> list[Any]:
    import numpy as np  # noqa: PLC0415

    predictions: list[Any] = np.asarray(model.predict(np.array(rows, dtype=float))).tolist()
    if len(predictions) != len(rows):
        raise ValueError(f"the model made {len(predictions)} predictions for {len(rows)} rows")
    return predictions


def _warm_up(model: Any) -> None:
    # A container has run its model before it takes traffic; the first call is slow for reasons of its own.
    features = getattr(model, "n_features_in_", None)
    if isinstance(features, int):
        _predict_one(model, [[0.0] * features], CSV)


def _kind_of_answer(content_type: str, accept: str | None) -> str:
    if accept in {CSV, JSON}:
        return accept
    return JSON if content_type == JSON else CSV


def _render(predictions: list[Any], kind: str) -> str:
    if kind == JSON:
        return json.dumps({"predictions": predictions})
    return "\n".join(
        ",".join(map(str, prediction)) if isinstance(prediction, list) else str(prediction)
        for prediction in predictions
    )


def _number(value: Any) -> float:
    return math.nan if value is None or value == "" else float(value)


def _text_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _read_exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


if __name__ == "__main__":
    main()
