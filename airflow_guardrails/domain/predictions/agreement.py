"""Compares the answers to one request by a rule: do they agree, and if not, how do they differ?"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from airflow_guardrails.domain.predictions.records import Row, Rows
from airflow_guardrails.domain.predictions.rule import PredictionRule

# All further labels are one class, "other". The first in alphabetical order are kept, not the most frequent:
# so parts of the data that are merged in any order keep the same ones.
MAX_LABELS = 20
MAX_LABEL_LENGTH = 40  # characters of JSON; a longer label is free text rather than a class

ConfusionTable = Mapping["tuple[str | None, str | None]", int]
"""(production's label, shadow's label) -> number of rows; ``None`` stands for all other labels."""


def limit_labels(table: ConfusionTable) -> ConfusionTable:
    """Keep the first 20 labels in alphabetical order, and put all others under ``None``."""
    labels = {label for cell in table for label in cell if label is not None and _fits(label)}
    kept = set(sorted(labels)[:MAX_LABELS])
    limited: Counter[tuple[str | None, str | None]] = Counter()
    for (production, shadow), number in table.items():
        limited[production if production in kept else None, shadow if shadow in kept else None] += number
    return dict(limited)


def merge_tables(parts: Iterable[ConfusionTable]) -> ConfusionTable:
    """Add up tables; the result does not depend on their order or grouping."""
    table: Counter[tuple[str | None, str | None]] = Counter()
    for part in parts:
        table.update(part)
    return limit_labels(table)


def table_as_dict(table: ConfusionTable) -> dict[str, Any]:
    """Return JSON: the labels, and a matrix of counts (rows: production, columns: shadow)."""
    labels = [*sorted({label for cell in table for label in cell if label is not None}), None]
    return {"labels": labels, "table": [[table.get((row, column), 0) for column in labels] for row in labels]}


def table_from_dict(data: Mapping[str, Any]) -> ConfusionTable:
    """Read a table as :func:`table_as_dict` writes it."""
    labels = data["labels"]
    return {
        (row, column): number
        for row, numbers in zip(labels, data["table"], strict=True)
        for column, number in zip(labels, numbers, strict=True)
        if number
    }


def _fits(label: str) -> bool:
    return len(label) <= MAX_LABEL_LENGTH and len(json.dumps(label)) <= MAX_LABEL_LENGTH + 2


class Disagreement(str, Enum):
    """How two answers differ, most severe first. An answer of several rows has its most severe one."""

    UNREADABLE = "unreadable"
    """The rule can read only one of the two answers."""
    SHAPE = "shape"
    """The answers have different numbers of rows."""
    LABEL = "label"
    VALUE = "value"
    """Text or objects differ (only if the rule names neither label nor score)."""
    SCORE = "score"


SEVERITY = {kind: severity for severity, kind in enumerate(reversed(Disagreement))}


class AnswerComparison(NamedTuple):
    """
    The result for one pair of answers.

    :param kind: ``None`` if the answers agree.
    :param size: largest absolute difference of scores; infinite if any score is infinite or NaN.
    :param differences: shadow's score minus production's, for each row where both are finite.
    :param not_finite: number of rows where a score is infinite or NaN.
    """

    kind: Disagreement | None
    rows: int
    disagreeing_rows: int
    size: float
    differences: list[float]
    not_finite: int = 0


_NUMBERS = frozenset({int, float})
_FIRST_INEXACT = 2**53  # from here on, a float does not have every whole number

# Kind of the disagreement, and shadow's score minus production's.
_RowResult: TypeAlias = "tuple[Disagreement | None, float | None]"


class Comparer:
    """Compares parsed answers by *rule*."""

    def __init__(self, rule: PredictionRule) -> None:
        self._absolute, self._relative = rule.tolerances
        self._has_tolerance = rule.has_tolerance
        self._judges_scores = rule.judges_scores

    def compare(self, production: Rows, shadow: Rows) -> AnswerComparison | None:
        """Compare production's rows with shadow's; ``None`` if the rule could read neither answer."""
        if production is None or shadow is None:
            return None if production is shadow else _UNREADABLE
        if len(production) != len(shadow):
            return _SHAPE
        if len(production) != 1:
            return _combined([self._compare_row(*rows) for rows in zip(production, shadow, strict=True)])
        # Answers of one row are the usual case; this path is faster.
        kind, difference = self._compare_row(production[0], shadow[0])
        if difference is not None and math.isfinite(difference):
            return AnswerComparison(kind, 1, int(kind is not None), abs(difference), [difference])
        return _combined([(kind, difference)])

    def _compare_row(self, production: Row, shadow: Row) -> _RowResult:
        label, score, rest = production
        other_label, other_score, other_rest = shadow
        difference = None if score is None or other_score is None else _difference(score, other_score)
        # The order of the checks is that of Disagreement, most severe first.
        if label != other_label:
            kind: Disagreement | None = Disagreement.LABEL
        elif (score is None) != (other_score is None) or not self._same(rest, other_rest):
            kind = Disagreement.VALUE
        elif self._judges_scores and score is not None and not self._same_scores(score, other_score):
            kind = Disagreement.SCORE
        else:
            kind = None
        return kind, difference

    def _same(self, value: Any, other: Any) -> bool:
        """Return whether two parts of a whole answer agree."""
        if value is other:
            return True
        kind, other_kind = type(value), type(other)
        if kind in _NUMBERS and other_kind in _NUMBERS:
            exact = self._has_tolerance and kind is other_kind is int  # ids or counts
            return bool(value == other) if exact else self._same_scores(value, other)
        if kind is not other_kind:
            return False
        if kind is list:
            return len(value) == len(other) and all(map(self._same, value, other))
        if kind is dict:
            return value.keys() == other.keys() and all(self._same(value[key], other[key]) for key in value)
        return bool(value == other)

    def _same_scores(self, score: Any, other: Any) -> bool:
        if score == other:
            return True
        # Two ids of ten digits may differ by less than the default tolerance.
        if not self._has_tolerance and _is_whole(score) and _is_whole(other):
            return False
        return _close(score, other, self._absolute, self._relative)


def _is_whole(number: float) -> bool:
    """Return whether a number is certainly whole: a larger ``float`` may be a rounded one."""
    return isinstance(number, int) or (number.is_integer() and abs(number) < _FIRST_INEXACT)


def _difference(score: float, other: float) -> float:
    """Return *other* minus *score*; exact for whole numbers, however they are written."""
    if type(score) is not type(other):
        score, other = _whole(score), _whole(other)
    try:
        return other - score + 0.0  # makes a float of the result
    except OverflowError:  # larger than any float
        return math.inf


def _whole(number: float) -> float:
    return int(number) if type(number) is float and number.is_integer() else number


def _close(score: float, other: float, absolute: float, relative: float) -> bool:
    try:
        if math.isfinite(score) and math.isfinite(other):
            distance = abs(other - score)
            return distance <= absolute or distance <= relative * abs(score)
    except OverflowError:  # an int is larger than any float
        if all(type(each) is int or math.isfinite(each) for each in (score, other)):
            gap = abs(Fraction(other) - Fraction(score))
            return gap <= Fraction(absolute) or gap <= Fraction(relative) * abs(Fraction(score))
    # Two NaN are the same answer; equal infinities are equal in Python.
    return score != score and other != other  # noqa: PLR0124 - only NaN differs from itself


def _combined(rows: list[_RowResult]) -> AnswerComparison:
    kinds = [kind for kind, _ in rows if kind is not None]
    measured = [difference for _, difference in rows if difference is not None]
    finite = [difference for difference in measured if math.isfinite(difference)]
    not_finite = len(measured) - len(finite)
    return AnswerComparison(
        max(kinds, key=SEVERITY.__getitem__, default=None),
        len(rows),
        len(kinds),
        max(map(abs, finite), default=0.0) if not not_finite else math.inf,
        finite,
        not_finite,
    )


_UNREADABLE = AnswerComparison(Disagreement.UNREADABLE, 0, 0, 0.0, [])
_SHAPE = AnswerComparison(Disagreement.SHAPE, 0, 0, 0.0, [])
