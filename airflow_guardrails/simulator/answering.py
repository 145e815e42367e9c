"""A container's replies to many requests at once, each as if it had come alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.simulator.handlers import Handlers, Refused, text_of

TEXT = "text/plain"
OK = 200
_SERVER_ERROR = 500
_TIMED_ONE_BY_ONE = 3


@dataclass(slots=True)
class Reply:
    """One answer; the body of an error is its text."""

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
) -> list[Reply]:
    """
    The replies to *bodies*, in their order.

    The first three that can be read are predicted one by one and timed, the others in one call where that is
    possible; each of those takes the median of the timed ones: a scheduling hiccup must not slow a batch.
    """

    def write(prediction: Any) -> Reply:
        return Reply(OK, *handlers.write(prediction, content_type=content_type, accept=accept), 0.0)

    def predict(one: _Read) -> Reply:
        return _reply(lambda: write(handlers.predict(one.data)), before=one.seconds)

    read = {index: _read(handlers, body, content_type) for index, body in enumerate(bodies)}
    done = {index: one for index, one in read.items() if isinstance(one, Reply)}
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


def _read(handlers: Handlers, body: bytes, content_type: str) -> _Read | Reply:
    started = time.perf_counter()
    try:
        data = handlers.read(body, content_type)
    except Exception as error:  # noqa: BLE001 - whatever the model's own code raises is its answer
        return _error(error, seconds=time.perf_counter() - started)
    return _Read(data, time.perf_counter() - started)


def _reply(make: Callable[[], Reply], *, before: float) -> Reply:
    started = time.perf_counter()
    try:
        reply = make()
    except Exception as error:  # noqa: BLE001 - the same
        reply = _error(error, seconds=0.0)
    reply.seconds = before + time.perf_counter() - started
    return reply


def _written(write: Callable[[Any], Reply], prediction: Any, seconds: float) -> Reply:
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


def _error(error: Exception, *, seconds: float) -> Reply:
    if isinstance(error, Refused):
        return Reply(error.status, str(error).encode(), TEXT, seconds)
    return Reply(_SERVER_ERROR, text_of(error).encode(), TEXT, seconds)
