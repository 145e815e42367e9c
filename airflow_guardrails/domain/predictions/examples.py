"""The worst disagreements, told by the ids of their requests."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_guardrails.domain.predictions.agreement import GRAVITY, Disagreement, Verdicts
from airflow_guardrails.domain.predictions.records import Record

MOST_EXAMPLES = 20
LONGEST_ID = 64  # an inference id is never longer
LONGEST_SHOWN = 200  # characters of JSON, of a payload that was asked for

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Example = dict[str, Any]


def worst(examples: Iterable[Example]) -> tuple[Example, ...]:
    """The MOST_EXAMPLES worst: by gravity, then by size of the difference, then by all else they say."""
    return tuple(heapq.nsmallest(MOST_EXAMPLES, examples, key=_order))


def example_of(verdicts: Verdicts, production: Record, shadow: Record) -> Example:
    """
    A disagreement in JSON's words; *difference* is null if a score was infinite or no number.

    Payloads are shown only if the records still have them.
    """
    told = {
        "kind": verdicts.kind,
        "difference": verdicts.size if math.isfinite(verdicts.size) else None,
        "production": _told(production),
        "shadow": _told(shadow),
    }
    if production[-1] and shadow[-1]:
        sent, answered = production[-1]
        told["payloads"] = {"input": sent, "production": answered, "shadow": shadow[-1][1]}
    return told


def rank(verdicts: Verdicts) -> tuple[int, float]:
    """The beginning of the order examples are in, known before one is made."""
    return -GRAVITY[Disagreement(verdicts.kind)], -verdicts.size


def rank_of(example: Example) -> tuple[int, float]:
    difference = example["difference"]
    return -GRAVITY[Disagreement(example["kind"])], -math.inf if difference is None else -difference


def cut(text: str, longest: int = LONGEST_SHOWN) -> str:
    """The beginning of *text* that JSON writes in *longest* characters."""
    text = text[:longest]
    while len(json.dumps(text)) > longest + 2:
        text = text[: len(text) * 3 // 4]
    return text


def iso(at: int) -> str:
    return (_EPOCH + timedelta(microseconds=at)).isoformat()


def _order(example: Example) -> tuple[Any, ...]:
    return *rank_of(example), json.dumps(example, sort_keys=True)


def _told(record: Record) -> dict[str, str | None]:
    at, inference_id, event_id, *_ = record
    return {
        "inference_id": cut(inference_id, LONGEST_ID) or None,
        "event_id": cut(event_id, LONGEST_ID) or None,
        "at": iso(at),
    }
