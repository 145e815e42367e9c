"""What is counted while pairs are found, and turned into parts of a comparison now and then."""

from __future__ import annotations

import heapq
import json
import math
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from airflow_guardrails.domain.predictions import agreement
from airflow_guardrails.domain.predictions.agreement import GRAVITY, Comparer, Disagreement, Verdicts
from airflow_guardrails.domain.predictions.records import JoinKey, Record, Side
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.scores import Scores, scores_of, together

# Of pairs, and of their rows.
PAIRS = "pairs"
ROWS = "rows"
DISAGREEING_ROWS = "disagreeing_rows"
# Joined, but the rule could read neither answer: no pair.
INCOMPARABLE = "incomparable"
# Of each side.
RECORDS = "records"
# Among those only one side has: near an end of the hour, and too many to be kept for the neighbouring hour.
NOT_CARRIED = "not_carried"


class Lost(str, Enum):
    """Why a record is in no pair."""

    ONLY = "only"
    """The other variant has none for this request; with any sampling below 100 %, that is normal."""
    DUPLICATE = "duplicate"
    """Another record of the same variant and hour has the same id."""
    BROKEN = "broken"
    """The line is no captured record."""
    NO_OUTPUT = "no_output"
    """The record has no answer."""


def of_side(side: Side, what: str) -> str:
    return f"{side.value}.{what}"


def lost(side: Side, reason: Lost) -> str:
    return of_side(side, reason.value)


def joined_by(key: JoinKey) -> str:
    return f"joined_by.{key.value}"


def disagreements(kind: Disagreement) -> str:
    return f"disagreements.{kind.value}"


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


# So many differences, labels or examples are put together at a time.
BATCH = 8192


class Tally:
    """Counts of pairs that were found, in any order."""

    def __init__(self, rule: PredictionRule) -> None:
        self.counts: Counter[str] = Counter()
        self._compare = Comparer(rule).compare
        self._labelled = rule.label is not None
        self._differences: list[float] = []
        self._not_finite = 0
        self._scores = Scores()
        self._cells: Counter[tuple[str | None, str | None]] = Counter()
        self._examples: list[Example] = []
        # Better than the worst MOST_EXAMPLES known: not worth being made an example of.
        self._bar: tuple[int, float] | None = None

    def count_pairs(self, key: JoinKey, pairs: Iterable[tuple[Record, Record]]) -> None:
        """Compare the answers of each pair, production's record first."""
        joined = compared = rows = 0
        for production, shadow in pairs:
            joined += 1
            verdicts = self._compare(production[4], shadow[4])
            if verdicts is None:
                continue
            compared += 1
            rows += verdicts.rows
            self._measure(verdicts)
            if verdicts.kind is not None:
                self._disagreement(verdicts, production, shadow)
            if self._labelled and verdicts.rows:
                self._count_labels(production, shadow)
        for name, number in ((PAIRS, compared), (ROWS, rows), (INCOMPARABLE, joined - compared)):
            self.counts[name] += number
        self.counts[joined_by(key)] += joined

    @property
    def scores(self) -> Scores:
        self._settle_differences()
        return self._scores

    @property
    def cells(self) -> agreement.Cells:
        return agreement.bounded(self._cells)

    @property
    def examples(self) -> tuple[Example, ...]:
        return worst(self._examples)

    def _measure(self, verdicts: Verdicts) -> None:
        self._differences += verdicts.differences
        self._not_finite += verdicts.not_finite
        if len(self._differences) >= BATCH:
            self._settle_differences()

    def _count_labels(self, production: Record, shadow: Record) -> None:
        for (label, *_), (other, *_) in zip(production[4] or (), shadow[4] or (), strict=True):
            self._cells[label, other] += 1
        if len(self._cells) >= BATCH:
            self._cells = Counter(agreement.bounded(self._cells))

    def _disagreement(self, verdicts: Verdicts, production: Record, shadow: Record) -> None:
        self.counts[disagreements(Disagreement(verdicts.kind))] += 1
        self.counts[DISAGREEING_ROWS] += verdicts.disagreeing_rows
        if self._bar is not None and rank(verdicts) > self._bar:
            return
        self._examples.append(example_of(verdicts, production, shadow))
        if len(self._examples) >= 10 * MOST_EXAMPLES:
            self._examples = list(worst(self._examples))
            self._bar = rank_of(self._examples[-1])

    def _settle_differences(self) -> None:
        found = scores_of(self._differences, not_finite=self._not_finite)
        self._scores = together([self._scores, found])
        self._differences, self._not_finite = [], 0
