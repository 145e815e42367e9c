"""Captured requests, as they come in and as they are kept until they are joined."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple, TypeAlias

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
