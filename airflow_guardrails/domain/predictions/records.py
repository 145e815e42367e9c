"""Captured requests, as they come in and as they are kept until they are joined."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from enum import Enum
from typing import Any, NamedTuple, TypeAlias, cast

# Times are whole microseconds since 1970, UTC: exact, quick, and small to keep.
SECOND = 1_000_000
HOUR = 3600 * SECOND


class Side(str, Enum):
    """Whose answer it is."""

    PRODUCTION = "production"
    SHADOW = "shadow"


class Form(str, Enum):
    """What the answer is written in."""

    JSON = "json"
    JSON_LINES = "json_lines"
    CSV = "csv"
    TEXT = "text"
    BYTES = "bytes"


class JoinKey(str, Enum):
    """By what two records were found to be of one request; tried in this order."""

    INFERENCE_ID = "inference_id"
    EVENT_ID = "event_id"
    INPUT = "input"


class Captured(NamedTuple):
    """
    One captured request and its answer.

    Ids are empty where there is none, and so is *input_digest* where the input was not captured. *output* is
    ``None`` if there is no answer in the record, and bytes where it is no text.
    """

    at: int
    inference_id: str
    event_id: str
    input_digest: bytes
    form: Form
    output: str | bytes | None
    input: str = ""


# A row of an answer: label, score, and (where the rule names nothing) what is neither.
Row: TypeAlias = "tuple[str | None, float | None, Any]"
# None is an answer the rule cannot read.
Rows: TypeAlias = "list[Row] | None"
# Plain tuples, because marshal writes these in a fifth of a microsecond:
# at, inference_id, event_id, input_digest, rows, shown (input and output, where payloads were asked for).
Record: TypeAlias = "tuple[int, str, str, bytes, Rows, tuple[str, str] | None]"


def total_order(record: Record) -> tuple[Any, ...]:
    """Order records so that two of them are equal only if they are the same in every way."""
    at, inference_id, event_id, digest, rows, shown = record
    return at, event_id, inference_id, digest, repr(rows), repr(shown)


# How far from the end of an hour a record may lie; a request to a real-time endpoint lasts no longer.
EDGE = 60 * SECOND
# Characters of JSON for each side at each end of an hour, and for one record.
MOST_CHARACTERS = 8_000
LONGEST_CARRIED = 1_500

_PRUNE_AT = 4096


def boundary(at: int) -> int:
    """The nearest end of an hour, as hours since 1970."""
    return (at + HOUR // 2) // HOUR


def boundary_of(text: str) -> datetime:
    """The end of an hour that a record, written as *text*, lies near."""
    at = int(text[1 : text.index(",")])
    return datetime.fromtimestamp(boundary(at) * HOUR // SECOND, tz=timezone.utc)


class Edges:
    """
    Takes unmatched records; keeps those nearest to the ends of their hour, and hands the others on.

    *count* gets the side of a record that is not kept, and whether it lies near an end.
    """

    def __init__(self, count: Callable[[Side, bool], None]) -> None:
        self._count = count
        self._near: dict[tuple[int, int, Side], list[tuple[int, str]]] = {}

    def offer(self, side: Side, record: Record) -> None:
        at = record[0]
        distance = abs(at - boundary(at) * HOUR)
        text = written(side, record) if distance <= EDGE else None
        if text is None:
            self._count(side, distance <= EDGE)
            return
        near = self._near.setdefault((at // HOUR, boundary(at), side), [])
        near.append((distance, text))
        if len(near) >= _PRUNE_AT:
            self._prune(side, near, spare=1)

    def kept(self) -> tuple[str, ...]:
        for (_, _, side), near in self._near.items():
            self._prune(side, near, spare=0)
        return tuple(sorted(text for near in self._near.values() for _, text in near))

    def _prune(self, side: Side, near: list[tuple[int, str]], *, spare: int) -> None:
        """
        Keep the nearest that fit, and *spare* more.

        The first that does not fit is kept until the end: else a shorter one from beyond it could take its
        place, and what is kept would depend on the order in which records came.
        """
        near.sort()
        room = MOST_CHARACTERS
        for number, (_, text) in enumerate(near):
            room -= len(text)
            if room < 0:
                for _ in near[number + spare :]:
                    self._count(side, True)
                del near[number + spare :]
                return


def written(side: Side, record: Record) -> str | None:
    """*record* as a text, or ``None`` where that is too long, or holds a number JSON does not know."""
    at, inference_id, event_id, digest, rows, shown = record
    fields = [at, side.value, inference_id, event_id, digest.hex(), rows, shown]
    try:
        text = json.dumps(fields, separators=(",", ":"), allow_nan=False, sort_keys=True)
    except ValueError:
        return None
    return text if len(text) <= LONGEST_CARRIED else None


def read(texts: Iterable[str]) -> Iterator[tuple[Side, Record]]:
    for text in texts:
        at, side, inference_id, event_id, digest, rows, shown = json.loads(text)
        record = (
            at,
            inference_id,
            event_id,
            bytes.fromhex(digest),
            None if rows is None else [tuple(row) for row in rows],
            None if shown is None else tuple(shown),
        )
        yield Side(side), cast("Record", record)
