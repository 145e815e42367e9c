"""Whether two answers agree by a rule, and if not, how."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from airflow_guardrails.domain.predictions.records import Row, Rows
from airflow_guardrails.domain.predictions.rule import PredictionRule

# Labels beyond these are one class, "other". Which ones are kept must not depend on what was seen first, or
# how often in which part: they are the first in the alphabet, so that parts put together keep the same ones.
MOST_LABELS = 20
LONGEST_LABEL = 40  # characters of JSON; whatever is longer is no class but a text

Cells = Mapping["tuple[str | None, str | None]", int]
"""Rows by production's and shadow's label; ``None`` stands for all other labels."""


def bounded(cells: Cells) -> Cells:
    """The same rows with the first MOST_LABELS labels by name, all others under ``None``."""
    labels = {label for cell in cells for label in cell if label is not None and _fits(label)}
    kept = set(sorted(labels)[:MOST_LABELS])
    table: Counter[tuple[str | None, str | None]] = Counter()
    for (production, shadow), number in cells.items():
        table[production if production in kept else None, shadow if shadow in kept else None] += number
    return dict(table)


def together(parts: Iterable[Cells]) -> Cells:
    table: Counter[tuple[str | None, str | None]] = Counter()
    for part in parts:
        table.update(part)
    return bounded(table)


def as_dict(cells: Cells) -> dict[str, Any]:
    """The table as a matrix: a row for each of production's labels, a column for each of shadow's."""
    labels = [*sorted({label for cell in cells for label in cell if label is not None}), None]
    return {"labels": labels, "table": [[cells.get((row, column), 0) for column in labels] for row in labels]}


def from_dict(written: Mapping[str, Any]) -> Cells:
    labels = written["labels"]
    return {
        (row, column): number
        for row, numbers in zip(labels, written["table"], strict=True)
        for column, number in zip(labels, numbers, strict=True)
        if number
    }


def _fits(label: str) -> bool:
    return len(label) <= LONGEST_LABEL and len(json.dumps(label)) <= LONGEST_LABEL + 2


class Disagreement(str, Enum):
    """How two answers differ; the gravest first, and an answer has the gravest of its rows."""

    UNREADABLE = "unreadable"
    """The rule can read one of the answers and not the other."""
    SHAPE = "shape"
    """They have different numbers of rows."""
    LABEL = "label"
    VALUE = "value"
    """What is neither label nor number differs: text, or an object (only where the rule names nothing)."""
    SCORE = "score"


GRAVITY = {kind: gravity for gravity, kind in enumerate(reversed(Disagreement))}


class Verdicts(NamedTuple):
    """
    How two answers compare.

    *differences* are shadow's score minus production's, of the rows where both are finite; *size* is the
    largest of them, infinite where a score is not finite; *not_finite* counts rows with such scores.
    """

    kind: Disagreement | None
    rows: int
    disagreeing_rows: int
    size: float
    differences: list[float]
    not_finite: int = 0


_Compared: TypeAlias = "tuple[Disagreement | None, float | None]"


class Comparer:
    """Compares answers by *rule*."""

    def __init__(self, rule: PredictionRule) -> None:
        self._absolute, self._relative = rule.tolerances
        self._judges_scores = rule.judges_scores

    def compare(self, production: Rows, shadow: Rows) -> Verdicts | None:
        """Compare production's rows with shadow's; ``None`` if the rule could read neither."""
        if production is None or shadow is None:
            return None if production is shadow else _UNREADABLE
        if len(production) != len(shadow):
            return _SHAPE
        if len(production) != 1:
            return _together([self._row(*rows) for rows in zip(production, shadow, strict=True)])
        kind, difference = self._row(production[0], shadow[0])
        if difference is not None and math.isfinite(difference):
            return Verdicts(kind, 1, int(kind is not None), abs(difference), [difference])
        return _together([(kind, difference)])

    def _row(self, production: Row, shadow: Row) -> _Compared:
        label, score, rest = production
        other_label, other_score, other_rest = shadow
        difference = None if score is None or other_score is None else other_score - score
        if label != other_label:
            kind: Disagreement | None = Disagreement.LABEL
        elif (score is None) != (other_score is None) or not self._same(rest, other_rest):
            kind = Disagreement.VALUE
        elif self._judges_scores and score is not None and not self._same(score, other_score):
            kind = Disagreement.SCORE
        else:
            kind = None
        return kind, difference

    def _same(self, value: Any, other: Any) -> bool:
        if value is other:
            return True
        if isinstance(value, float) and isinstance(other, float):
            return _close(value, other, self._absolute, self._relative)
        if isinstance(value, list) and isinstance(other, list):
            return len(value) == len(other) and all(map(self._same, value, other))
        if isinstance(value, dict) and isinstance(other, dict):
            return value.keys() == other.keys() and all(self._same(value[key], other[key]) for key in value)
        return type(value) is type(other) and bool(value == other)


def _close(score: float, other: float, absolute: float, relative: float) -> bool:
    if math.isfinite(score) and math.isfinite(other):
        distance = abs(other - score)
        return distance <= absolute or distance <= relative * abs(score)
    return score == other or (math.isnan(score) and math.isnan(other))


def _together(rows: list[tuple[Disagreement | None, float | None]]) -> Verdicts:
    kinds = [kind for kind, _ in rows if kind is not None]
    measured = [difference for _, difference in rows if difference is not None]
    finite = [difference for difference in measured if math.isfinite(difference)]
    odd = len(measured) - len(finite)
    return Verdicts(
        max(kinds, key=GRAVITY.__getitem__, default=None),
        len(rows),
        len(kinds),
        max(map(abs, finite), default=0.0) if not odd else math.inf,
        finite,
        odd,
    )


_UNREADABLE = Verdicts(Disagreement.UNREADABLE, 0, 0, 0.0, [])
_SHAPE = Verdicts(Disagreement.SHAPE, 0, 0, 0.0, [])
