"""Captured requests, and the compact records that are kept until they are joined."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from enum import Enum
from typing import Any, NamedTuple, TypeAlias, cast

# All times are whole microseconds since 1970, UTC: exact, fast to compare and small to store.
SECOND = 1_000_000
HOUR = 3600 * SECOND


class Side(str, Enum):
    """The variant that answered."""

    PRODUCTION = "production"
    SHADOW = "shadow"


class Form(str, Enum):
    """The format of an answer."""

    JSON = "json"
    JSON_LINES = "json_lines"
    CSV = "csv"
    TEXT = "text"
    BYTES = "bytes"


class JoinKey(str, Enum):
    """The key by which two records are joined; the keys are tried in this order."""

    INFERENCE_ID = "inference_id"
    EVENT_ID = "event_id"
    INPUT = "input"


class Captured(NamedTuple):
    """
    One captured request and its answer.

    :param at: time of the request in microseconds since 1970, UTC.
    :param inference_id: "" if the client sent none.
    :param event_id: "" if there is none.
    :param input_digest: a hash of the input; empty if the input was not captured.
    :param output: ``None`` if the record has no answer; bytes if it is not text.
    :param input: beginning of the input, for examples.
    """

    at: int
    inference_id: str
    event_id: str
    input_digest: bytes
    form: Form
    output: str | bytes | None
    input: str = ""


# A row of an answer: label, score, and any other value (only if the rule names neither label nor score).
Row: TypeAlias = "tuple[str | None, float | None, Any]"
# None for an answer that the rule cannot read.
Rows: TypeAlias = "list[Row] | None"
# at, inference_id, event_id, input_digest, rows, payloads (beginning of input and output, if requested).
# A plain tuple, because marshal writes it in 0.2 microseconds.
Record: TypeAlias = "tuple[int, str, str, bytes, Rows, tuple[str, str] | None]"


def total_order(record: Record) -> tuple[Any, ...]:
    """Return a sort key that includes every field, so that the order of equal times is always the same."""
    at, inference_id, event_id, digest, rows, payloads = record
    return at, event_id, inference_id, digest, repr(rows), repr(payloads)


# A record this near to the end of an hour may have its pair in the next hour: models must answer within 60 s,
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html

BOUNDARY_WIDTH = 60 * SECOND
# Characters of JSON: of all records of a side at one end of an hour, and of one record.
MAX_CHARACTERS = 8_000
MAX_RECORD_LENGTH = 1_500

_PRUNE_AT = 4096


def boundary(at: int) -> int:
    """Return the nearest end of an hour, in hours since 1970."""
    return (at + HOUR // 2) // HOUR


def boundary_of(text: str) -> datetime:
    """Return the nearest end of an hour for a record in JSON (as :meth:`BoundaryRecords.kept` has them)."""
    at = int(text[1 : text.index(",")])
    return datetime.fromtimestamp(boundary(at) * HOUR // SECOND, tz=timezone.utc)


class BoundaryRecords:
    """
    Keeps the unmatched records that are nearest to an end of their hour, for a join with the next hour.

    :param on_dropped: called for each record that is not kept, with its side and whether it was near an end.
    """

    def __init__(self, on_dropped: Callable[[Side, bool], None]) -> None:
        self._on_dropped = on_dropped
        self._near: dict[tuple[int, int, Side], list[tuple[int, str]]] = {}

    def add(self, side: Side, record: Record) -> None:
        """Keep *record* if it is near an end of its hour and small enough, else drop it."""
        at = record[0]
        distance = abs(at - boundary(at) * HOUR)
        text = _to_json(side, record) if distance <= BOUNDARY_WIDTH else None
        if text is None:
            self._on_dropped(side, distance <= BOUNDARY_WIDTH)
            return
        near = self._near.setdefault((at // HOUR, boundary(at), side), [])
        near.append((distance, text))
        if len(near) >= _PRUNE_AT:
            self._prune(side, near, spare=1)

    def kept(self) -> tuple[str, ...]:
        """Return the kept records as JSON, sorted; those beyond the limit of 8,000 characters are dropped."""
        for (_, _, side), near in self._near.items():
            self._prune(side, near, spare=0)
        return tuple(sorted(text for near in self._near.values() for _, text in near))

    def _prune(self, side: Side, near: list[tuple[int, str]], *, spare: int) -> None:
        """
        Keep the nearest that fit into the limit, and *spare* more.

        The first that does not fit is kept until the end. Otherwise a shorter record further away could take
        its place, and the result would depend on the order of the records.
        """
        # By distance, then by text: the same records are kept in every order of arrival.
        near.sort()
        room = MAX_CHARACTERS
        for number, (_, text) in enumerate(near):
            room -= len(text)
            if room < 0:
                for _ in near[number + spare :]:
                    self._on_dropped(side, True)
                del near[number + spare :]
                return


def _to_json(side: Side, record: Record) -> str | None:
    """Return *record* as JSON; ``None`` if it is too long or has a number that is infinite or NaN."""
    at, inference_id, event_id, digest, rows, payloads = record
    fields = [at, side.value, inference_id, event_id, digest.hex(), rows, payloads]
    try:
        # NaN and infinity are not JSON; such a record is not kept.
        text = json.dumps(fields, separators=(",", ":"), allow_nan=False, sort_keys=True)
    except ValueError:
        return None
    return text if len(text) <= MAX_RECORD_LENGTH else None


def parse_records(texts: Iterable[str]) -> Iterator[tuple[Side, Record]]:
    """Read records as :meth:`BoundaryRecords.kept` returns them."""
    for text in texts:
        at, side, inference_id, event_id, digest, rows, payloads = json.loads(text)
        record = (
            at,
            inference_id,
            event_id,
            bytes.fromhex(digest),
            None if rows is None else [tuple(row) for row in rows],
            None if payloads is None else tuple(payloads),
        )
        yield Side(side), cast("Record", record)
