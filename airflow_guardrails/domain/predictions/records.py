"""Captured requests: what is kept of them for the join, and those that wait for the next hour."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

# All times are whole microseconds since 1970, UTC: exact, fast to compare and small to store.
SECOND = 1_000_000
HOUR = 3600 * SECOND


class Side(str, Enum):
    """The variant that answered."""

    PRODUCTION = "production"
    SHADOW = "shadow"


class JoinKey(str, Enum):
    """The key by which two records are joined; the keys are tried in this order."""

    INFERENCE_ID = "inference_id"
    EVENT_ID = "event_id"
    INPUT = "input"


# A row of an answer: label, score, and any other value (only if the rule names neither label nor score).
Row: TypeAlias = "tuple[str | None, float | None, Any]"
# None for an answer that the rule cannot read.
Rows: TypeAlias = "list[Row] | None"


class Record(NamedTuple):
    """
    One captured request, with its answer as the rule reads it.

    :param at: time of the request in microseconds since 1970, UTC.
    :param inference_id: "" if the client sent none.
    :param event_id: "" if there is none.
    :param input_digest: a hash of the input in hexadecimal; "" if the input was not captured.
    :param payloads: beginning of input and answer, if they are to be shown.
    """

    at: int
    inference_id: str = ""
    event_id: str = ""
    input_digest: str = ""
    rows: Rows = None
    payloads: tuple[str, str] | None = None


SidedRecord: TypeAlias = "tuple[Side, Record]"


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


def boundary(at: int) -> int:
    """Return the nearest end of an hour, in hours since 1970."""
    return (at + HOUR // 2) // HOUR


def distance(at: int) -> int:
    """Return how far a time is from the nearest end of an hour, in microseconds."""
    return abs(at - boundary(at) * HOUR)


def boundary_of(text: str) -> datetime:
    """Return the nearest end of an hour for a record in JSON (as :func:`to_json` writes it)."""
    return datetime.fromtimestamp(boundary(_time_of(text)) * HOUR // SECOND, tz=timezone.utc)


def side_of(text: str) -> Side:
    """Return the side of a record in JSON (as :func:`to_json` writes it)."""
    return Side(text.split('"', 2)[1])


def to_json(side: Side, record: Record) -> str | None:
    """Return *record* as JSON; ``None`` if it is too long or has a number that is infinite or NaN."""
    rows = record.rows and [(label, _short(score), rest) for label, score, rest in record.rows]
    fields = [record.at, side.value, *record[1:4], rows, record.payloads]
    try:
        # NaN and infinity are not JSON; such a record is not kept.
        text = json.dumps(fields, separators=(",", ":"), allow_nan=False, sort_keys=True)
    except ValueError:
        return None
    return text if len(text) <= MAX_RECORD_LENGTH else None


def keep_nearest(texts: Iterable[str]) -> tuple[tuple[str, ...], Counter[Side]]:
    """
    Keep the records, as JSON, that are nearest to an end of their hour.

    Of each side and end they are kept in order of their distance, until 8,000 characters are reached. So it
    makes no difference whether the records of an hour are kept at once or in parts that are put together.

    :return: the kept records, sorted, and how many were dropped of each side.
    """
    groups: dict[tuple[int, int, Side], list[tuple[int, str]]] = {}
    for text in texts:
        at = _time_of(text)
        groups.setdefault((at // HOUR, boundary(at), side_of(text)), []).append((distance(at), text))
    kept: list[str] = []
    dropped: Counter[Side] = Counter()
    for (_, _, side), near in groups.items():
        reached = 0
        for _, text in sorted(near):
            if reached < MAX_CHARACTERS:
                kept.append(text)
            else:
                dropped[side] += 1
            reached += len(text)
    return tuple(sorted(kept)), dropped


def parse_records(texts: Iterable[str]) -> Iterator[SidedRecord]:
    """Read records as :func:`to_json` writes them."""
    for text in texts:
        at, side, inference_id, event_id, digest, rows, payloads = json.loads(text)
        yield (
            Side(side),
            Record(
                at,
                inference_id,
                event_id,
                digest,
                None if rows is None else [tuple(row) for row in rows],
                None if payloads is None else tuple(payloads),
            ),
        )


def _time_of(text: str) -> int:
    return int(text[1 : text.index(",")])


def _short(score: float | None) -> float | None:
    # 7 and 7.0 are the same score.
    return int(score) if isinstance(score, float) and score.is_integer() else score
