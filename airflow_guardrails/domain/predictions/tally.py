"""Counts pairs, differences of scores, labels and examples while records are joined."""

from __future__ import annotations

import heapq
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from airflow_guardrails.domain.predictions import agreement
from airflow_guardrails.domain.predictions.agreement import SEVERITY, AnswerComparison, Comparer, Disagreement
from airflow_guardrails.domain.predictions.records import JoinKey, Record, Rows, Side
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.scores import Scores, merge_scores, scores_of

# Keys of the counts.
PAIRS = "pairs"
ROWS = "rows"
DISAGREEING_ROWS = "disagreeing_rows"
# Joined records of which the rule could read neither answer; they are not a pair.
INCOMPARABLE = "incomparable"
# All records of a side.
RECORDS = "records"
# Unjoined records near an end of the hour that could not be kept for the next hour: too many, or too long.
NOT_CARRIED = "not_carried"
# Records whose inference id other requests of the same side and hour have, too.
REUSED_IDS = "reused_ids"
# Records of another eventVersion than "0", the only one that AWS documents.
OTHER_VERSION = "other_version"


class UnjoinedReason(str, Enum):
    """Why a record is in no pair."""

    ONLY = "only"
    """The other variant has no record of this request; normal if less than 100 % are sampled."""
    DUPLICATE = "duplicate"
    """An earlier record of the same variant and hour has the same id."""
    BROKEN = "broken"
    """The line is not a captured record."""
    NO_OUTPUT = "no_output"
    """The record has no answer."""


class LineFault(str, Enum):
    """Why a line is not a captured record (reason ``broken``)."""

    NOT_JSON = "not_json"
    """It is not one JSON value: truncated, or two records in one line, for example."""
    NOT_UNICODE = "not_unicode"
    """It is not UTF-8, or has half of a character."""
    NOT_A_RECORD = "not_a_record"
    """It has neither captureData nor eventMetadata."""
    TOO_LONG = "too_long"
    """It is longer than the largest request and answer can be."""
    TIME = "time"
    """Its inferenceTime is not a time with its offset from UTC."""
    ENCODING = "encoding"
    """The encoding of the answer is unknown, or the answer is not valid base64."""


def side_key(side: Side, name: str) -> str:
    """Return the key of a count of one side, for example "shadow.records"."""
    return f"{side.value}.{name}"


def unjoined_key(side: Side, reason: UnjoinedReason) -> str:
    """Return the key of the count of a side's records that are in no pair for *reason*."""
    return side_key(side, reason.value)


def fault_key(side: Side, fault: LineFault) -> str:
    """Return the key of the count of a side's lines that are no captured record because of *fault*."""
    return side_key(side, f"broken.{fault.value}")


def joined_by_key(key: JoinKey) -> str:
    """Return the key of the count of records that were joined by *key*."""
    return f"joined_by.{key.value}"


def disagreements_key(kind: Disagreement) -> str:
    """Return the key of the count of pairs that disagree in *kind*."""
    return f"disagreements.{kind.value}"


MAX_EXAMPLES = 20
_MAX_ID_LENGTH = 64  # InferenceId of InvokeEndpoint has at most 64 characters
MAX_PAYLOAD_LENGTH = 200  # characters of JSON of each payload in an example

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Example = dict[str, Any]


def worst(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Return the 20 worst examples: most severe first, then the largest difference, then the earliest."""
    return tuple(heapq.nsmallest(MAX_EXAMPLES, examples, key=_order))


def _example_of(result: AnswerComparison, production: Record, shadow: Record) -> Example:
    """
    Return a disagreement as JSON; *difference* is null if a score is infinite or NaN.

    It has payloads only if the records have them.
    """
    example = {
        "kind": result.kind,
        "difference": result.size if math.isfinite(result.size) else None,
        "production": _identity(production),
        "shadow": _identity(shadow),
    }
    if production.payloads and shadow.payloads:
        sent, answer = production.payloads
        example["payloads"] = {"input": sent, "production": answer, "shadow": shadow.payloads[1]}
    return example


def _rank(result: AnswerComparison) -> tuple[int, float]:
    """Return the rank of a disagreement before an example is made of it: lower is worse."""
    return -SEVERITY[Disagreement(result.kind)], -result.size


def _rank_of(example: Example) -> tuple[int, float]:
    difference = example["difference"]
    return -SEVERITY[Disagreement(example["kind"])], -math.inf if difference is None else -difference


def truncated(text: str, longest: int = MAX_PAYLOAD_LENGTH) -> str:
    """Return the beginning of *text*, so that JSON needs at most *longest* characters for it."""
    text = text[:longest]
    # Escapes make JSON longer than the text.
    while len(json.dumps(text)) > longest + 2:
        text = text[: len(text) * 3 // 4]
    return text


def iso_time(at: int) -> str:
    """Return a time in microseconds since 1970 as ISO 8601, in UTC."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat()


def _order(example: Example) -> tuple[Any, ...]:
    identities = [
        each for side in Side for each in (_time(example[side.value]), *_ids_of(example[side.value]))
    ]
    return *_rank_of(example), *identities, json.dumps(example, sort_keys=True)


def _time(identity: Mapping[str, Any]) -> datetime:
    # The text of a whole second has no digits after it, so it does not sort as the time does.
    return datetime.fromisoformat(identity["at"])


def _ids_of(identity: Mapping[str, Any]) -> tuple[str, str]:
    return identity["inference_id"] or "", identity["event_id"] or ""


def _identity(record: Record) -> dict[str, str | None]:
    return {
        "inference_id": truncated(record.inference_id, _MAX_ID_LENGTH) or None,
        "event_id": truncated(record.event_id, _MAX_ID_LENGTH) or None,
        "at": iso_time(record.at),
    }


# Differences and labels are reduced in batches: faster than one by one, and memory stays bounded.
_BATCH = 8192
# How answers look that the rule cannot read: so many different ones are kept, the first by name.
_MAX_UNREAD = 3


class Tally:
    """
    Counts of joined pairs. The result does not depend on the order of the pairs.

    ``counts`` has further counts, which the caller adds by the keys of this module.
    """

    def __init__(self, rule: PredictionRule) -> None:
        self.counts: Counter[str] = Counter()
        self._compare = Comparer(rule).compare
        self._labelled = rule.label is not None
        self._differences: list[float] = []
        self._not_finite = 0
        self._scores = Scores()
        self._table: Counter[tuple[str | None, str | None]] = Counter()
        self._examples: list[Example] = []
        # Rank of the last of the worst examples: a disagreement of a higher rank is not kept.
        self._threshold: tuple[int, float] | None = None
        self._unread: tuple[str, ...] = ()

    def count_pair(self, key: JoinKey, production: Record, shadow: Record) -> bool:
        """
        Compare the answers of a pair that was joined by *key*.

        :return: whether they could be compared; not if the rule could read neither.
        """
        counts = self.counts
        counts[joined_by_key(key)] += 1
        result = self._compare(production.rows, shadow.rows)
        if result is None:
            counts[INCOMPARABLE] += 1
            return False
        counts[PAIRS] += 1
        counts[ROWS] += result.rows
        self._add_differences(result)
        if result.kind is not None:
            self._add_disagreement(result, production, shadow)
        # Without rows the answers have different numbers of rows, or one could not be read.
        if self._labelled and result.rows:
            for (label, *_), (other, *_) in zip(production.rows or (), shadow.rows or (), strict=True):
                self.count_labels(label, other, 1)
        return True

    def count_equal(self, key: JoinKey) -> None:
        """Count a pair whose answers are equal, of one row without label and score."""
        for name in (joined_by_key(key), PAIRS, ROWS):
            self.counts[name] += 1

    def agree(self, production: Rows, shadow: Rows) -> bool:
        """Return whether two answers agree."""
        result = self._compare(production, shadow)
        return result is not None and result.kind is None

    def count_labels(self, production: str | None, shadow: str | None, rows: int) -> None:
        """Count *rows* with these labels."""
        self._table[production, shadow] += rows
        if len(self._table) >= _BATCH:
            self._table = Counter(agreement.limit_labels(self._table))

    def add_scores(self, scores: Scores) -> None:
        """Add statistics of differences of scores."""
        self._scores = merge_scores([self._scores, scores])

    def add_example(self, result: AnswerComparison, production: Record, shadow: Record) -> None:
        """Keep a disagreement as an example if it is one of the worst."""
        if self._threshold is not None and _rank(result) > self._threshold:
            return
        self._examples.append(_example_of(result, production, shadow))
        # Sorting now and then is cheaper than a heap that is updated for each example.
        if len(self._examples) >= 10 * MAX_EXAMPLES:
            self._examples = list(worst(self._examples))
            self._threshold = _rank_of(self._examples[-1])

    def add_unread(self, shape: str) -> None:
        """Keep how an answer looks that the rule could not read."""
        self._unread = first_shapes([*self._unread, shape])

    @property
    def scores(self) -> Scores:
        """Statistics of the differences of scores so far."""
        self._reduce_differences()
        return self._scores

    @property
    def table(self) -> agreement.ConfusionTable:
        """The table of labels so far; empty if the rule has no label."""
        return agreement.limit_labels(self._table)

    @property
    def examples(self) -> tuple[Example, ...]:
        """The worst disagreements so far, at most 20."""
        return worst(self._examples)

    @property
    def unread(self) -> tuple[str, ...]:
        """How answers look that the rule could not read: at most three different ones."""
        return self._unread

    def _add_differences(self, result: AnswerComparison) -> None:
        self._differences += result.differences
        self._not_finite += result.not_finite
        if len(self._differences) >= _BATCH:
            self._reduce_differences()

    def _add_disagreement(self, result: AnswerComparison, production: Record, shadow: Record) -> None:
        self.counts[disagreements_key(Disagreement(result.kind))] += 1
        self.counts[DISAGREEING_ROWS] += result.disagreeing_rows
        self.add_example(result, production, shadow)

    def _reduce_differences(self) -> None:
        self.add_scores(scores_of(self._differences, not_finite=self._not_finite))
        self._differences, self._not_finite = [], 0


def first_shapes(shapes: Iterable[str]) -> tuple[str, ...]:
    """Return the first three different shapes by name, so that parts keep the same ones in any order."""
    return tuple(sorted(set(shapes))[:_MAX_UNREAD])
