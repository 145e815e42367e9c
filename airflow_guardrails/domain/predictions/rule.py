"""The rule by which the answers of the two variants are compared and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.arguments import LARGEST_INTEGER, is_number, shown
from airflow_guardrails.domain.constructors import names_arguments
from airflow_guardrails.domain.errors import InvalidPredictionRule
from airflow_guardrails.domain.predictions.paths import Path

# Two machines may round the last digits of the same number differently.
_DEFAULT_RELATIVE_TOLERANCE = 1e-9
_MAX_WITHIN = timedelta(seconds=60)  # a request to a real-time endpoint takes at most 60 s


@names_arguments(InvalidPredictionRule)
@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRule:
    """
    How the answers of the production variant and the shadow variant to one request are compared.

    Without *label* and *score*, the parsed answers are compared as a whole: numbers as numbers, text as text.
    The form of an answer is found in its content; its content type does not matter.

    :param label: position of the predicted class: a JSON path (``"predictions[*].label"``) or the number of a
        CSV column, from 0. Labels agree only if they are equal; 1, 1.0 and "1" are the same label. If only
        column 0 is named, an answer of several cells on one line is a batch if the input has as many lines,
        one row if the input has one line, and otherwise unreadable.
    :param score: position of the predicted number, of the same kind as *label*. With a *label* and without a
        tolerance, differences of scores are measured, but they do not count as disagreements.
    :param absolute_tolerance: accepted difference of scores, in their own unit. Without *label* and *score*,
        of all numbers, except two whole numbers inside a list or an object, which are ids or counts.
    :param relative_tolerance: accepted difference of scores, as a share of production's score (0.1 is 10 %).
        With both tolerances, either is enough. Default without a *label*: 1e-9, and 0 for whole numbers.
    :param max_disagreement: share of pairs that may disagree, from 0 to below 1.
    :param min_pairs: with fewer pairs the result is Inconclusive.
    :param within: requests without a common id are joined if their inputs are equal and their times differ by
        at most this; more than 0, up to 60 s.
    :raises InvalidPredictionRule: if an argument is invalid; the text has its name, what is allowed, and the
        value.
    """

    label: str | int | None = None
    score: str | int | None = None
    absolute_tolerance: float | None = None
    relative_tolerance: float | None = None
    max_disagreement: float = 0.01
    min_pairs: int = 100
    within: timedelta = timedelta(seconds=5)

    def __post_init__(self) -> None:
        self._check_place("label")
        self._check_place("score")
        self._check_places_together()
        self._check_tolerance("absolute_tolerance")
        self._check_tolerance("relative_tolerance")
        if self.has_tolerance and self.label is not None and self.score is None:
            raise _invalid("score", "given with a tolerance", None, "labels have no tolerance")
        if not (is_number(self.max_disagreement) and 0 <= self.max_disagreement < 1):
            because = "at 1, every shadow would pass"
            raise _invalid("max_disagreement", "a share from 0 to below 1", self.max_disagreement, because)
        if not (_is_whole(self.min_pairs) and self.min_pairs >= 1):
            because = "at least one pair is needed"
            raise _invalid("min_pairs", "a whole number of 1 or more", self.min_pairs, because)
        if not (isinstance(self.within, timedelta) and timedelta(0) < self.within <= _MAX_WITHIN):
            because = "no request takes longer; write timedelta(seconds=...)"
            raise _invalid("within", "more than 0 and at most 60 s", self.within, because)

    @property
    def has_tolerance(self) -> bool:
        """Whether a tolerance was given; a tolerance of 0 counts."""
        return self.absolute_tolerance is not None or self.relative_tolerance is not None

    @property
    def is_default(self) -> bool:
        """Whether whole answers are compared, because the rule names neither label nor score."""
        return self.label is None and self.score is None

    @property
    def judges_scores(self) -> bool:
        """Whether a difference of scores can be a disagreement."""
        return self.has_tolerance or self.label is None

    @property
    def tolerances(self) -> tuple[float, float]:
        """
        Accepted difference of scores: in their unit, and as a share of production's score.

        The default is for numbers that are not whole; whole numbers must be equal.
        """
        if not self.has_tolerance:
            return 0.0, _DEFAULT_RELATIVE_TOLERANCE
        return float(self.absolute_tolerance or 0), float(self.relative_tolerance or 0)

    def described(self) -> str:
        """Return the rule as it is written, with what it reads: ``PredictionRule(label='y')``."""
        places = {"label": self.label, "score": self.score}
        given = ", ".join(f"{name}={place!r}" for name, place in places.items() if place is not None)
        return f"PredictionRule({given})"

    def as_dict(self) -> dict[str, Any]:
        """Return the rule as JSON; *within* in seconds."""
        data = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**data, "within": self.within.total_seconds()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PredictionRule:
        """
        Read a rule as :meth:`as_dict` writes it; a missing key has its default.

        :raises InvalidPredictionRule: if a key is unknown or a value is invalid.
        """
        known = {each.name for each in fields(cls)}
        if unknown := [key for key in data if key not in known]:
            raise InvalidPredictionRule(
                f"PredictionRule has no {unknown[0]!r} (it has {', '.join(sorted(known))})", field=unknown[0]
            )
        arguments = dict(data)
        # JSON has no durations; as_dict() writes seconds.
        if is_number(arguments.get("within")):
            arguments["within"] = timedelta(seconds=arguments["within"])
        return cls(**arguments)

    def _check_place(self, field: str) -> None:
        place = getattr(self, field)
        if isinstance(place, str):
            Path(place, field=field)
        elif place is not None and not (_is_whole(place) and place >= 0):
            because = "a path is text, the first column is 0"
            raise _invalid(field, "a path into JSON or the number of a CSV column", place, because)

    def _check_places_together(self) -> None:
        if self.label is None or self.score is None:
            return
        if isinstance(self.label, str) != isinstance(self.score, str):
            because = f"label is {self.label!r}, and an answer is either JSON or CSV"
            raise _invalid("score", "of the same kind as label", self.score, because)
        if self.label == self.score:
            raise _invalid("score", "another position than label's", self.score, "one of the two is enough")
        rows = {
            Path(place, field="score").rows for place in (self.label, self.score) if isinstance(place, str)
        }
        # With other rows it would be unclear which label belongs to which score.
        if len(rows) > 1:
            because = f"label is {self.label!r}, and each row has one label and one score"
            raise _invalid("score", "a path through the same rows as label's", self.score, because)

    def _check_tolerance(self, field: str) -> None:
        value = getattr(self, field)
        if value is not None and not (is_number(value) and value >= 0):
            raise _invalid(field, "a number of 0 or more", value, "it is the accepted difference of scores")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value <= LARGEST_INTEGER


def _invalid(field: str, allowed: str, got: object, because: str) -> InvalidPredictionRule:
    return InvalidPredictionRule(
        f"PredictionRule.{field} must be {allowed} (got {shown(got)}): {because}", field=field
    )


DEFAULT_RULE = PredictionRule()
