"""How two answers to one request are compared, and what a judge allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.arguments import LARGEST_INTEGER, is_number, shown
from airflow_guardrails.domain.errors import InvalidPredictionRule
from airflow_guardrails.domain.predictions.paths import Path

# Where nothing is said: numbers that two machines may well write differently are the same.
TINY = 1e-9
LONGEST_WITHIN = timedelta(seconds=60)  # a request to a real-time endpoint lasts no longer


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRule:
    """
    How the production variant's answer and the shadow variant's answer to a request are compared.

    Without *label* and *score*, answers agree if they are equal once parsed: numbers as numbers, text as
    text.

    :param label: where the predicted class stands: a path into JSON (``"predictions[*].label"``), or the
        number of a CSV column, from 0. Labels agree only if they are equal.
    :param score: where the predicted number stands, written in the same form as *label*. With a *label* and
        no tolerance its differences are measured, and decide nothing.
    :param absolute_tolerance: how far scores may differ, in their own unit
    :param relative_tolerance: the same as a share of production's score; with both, either is enough. If
        neither is given and there is no *label*, it is 1e-9.
    :param max_disagreement: the share of pairs that may disagree, from 0 to below 1
    :param min_pairs: with fewer pairs nothing is concluded
    :param within: requests without a common id are taken for the same if their inputs are equal and their
        times differ by no more than this; up to a minute
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
            raise _broken("score", "given where there is a tolerance", None, "labels are equal or not")
        if not (is_number(self.max_disagreement) and 0 <= self.max_disagreement < 1):
            because = "at 1, no shadow would be bad enough"
            raise _broken("max_disagreement", "a share from 0 to below 1", self.max_disagreement, because)
        if not (_is_whole(self.min_pairs) and self.min_pairs >= 1):
            because = "nothing can be concluded from no pair at all"
            raise _broken("min_pairs", "a whole number of 1 or more", self.min_pairs, because)
        if not (isinstance(self.within, timedelta) and timedelta(0) < self.within <= LONGEST_WITHIN):
            because = "write timedelta(seconds=...); no request lasts longer"
            raise _broken("within", "more than 0 and at most 60 s", self.within, because)

    @property
    def has_tolerance(self) -> bool:
        return self.absolute_tolerance is not None or self.relative_tolerance is not None

    @property
    def is_default(self) -> bool:
        """Whether whole answers are compared, because nothing in them is named."""
        return self.label is None and self.score is None

    @property
    def judges_scores(self) -> bool:
        return self.has_tolerance or self.label is None

    @property
    def tolerances(self) -> tuple[float, float]:
        """How far scores may differ: absolute, and relative to production's."""
        if not self.has_tolerance:
            return 0.0, TINY
        return float(self.absolute_tolerance or 0), float(self.relative_tolerance or 0)

    def as_dict(self) -> dict[str, Any]:
        """The rule in JSON's words; *within* in seconds."""
        written = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**written, "within": self.within.total_seconds()}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> PredictionRule:
        """
        Read a rule as *as_dict* writes it; what is left out has its default.

        :raises InvalidPredictionRule: if it has a key that is not known, or breaks a rule
        """
        known = {each.name for each in fields(cls)}
        if unknown := [key for key in written if key not in known]:
            raise InvalidPredictionRule(
                f"PredictionRule has no {unknown[0]!r} (it has {', '.join(sorted(known))})", field=unknown[0]
            )
        given = dict(written)
        if is_number(given.get("within")):
            given["within"] = timedelta(seconds=given["within"])
        return cls(**given)

    def _check_place(self, field: str) -> None:
        place = getattr(self, field)
        if isinstance(place, str):
            Path(place, field=field)
        elif place is not None and not (_is_whole(place) and place >= 0):
            because = "a path is text, the first column is 0"
            raise _broken(field, "a path into JSON or the number of a CSV column", place, because)

    def _check_places_together(self) -> None:
        if self.label is None or self.score is None:
            return
        if isinstance(self.label, str) != isinstance(self.score, str):
            because = f"label is {self.label!r}, and one answer is either JSON or CSV"
            raise _broken("score", "written as label is", self.score, because)
        if self.label == self.score:
            raise _broken("score", "another place than label's", self.score, "one of the two is enough")
        rows = {
            Path(place, field="score").rows for place in (self.label, self.score) if isinstance(place, str)
        }
        if len(rows) > 1:
            because = f"label is {self.label!r}, and each row needs one of each"
            raise _broken("score", "a path through the same rows as label's", self.score, because)

    def _check_tolerance(self, field: str) -> None:
        value = getattr(self, field)
        if value is not None and not (is_number(value) and value >= 0):
            raise _broken(field, "a number of 0 or more", value, "it says how far two scores may differ")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value <= LARGEST_INTEGER


def _broken(field: str, rule: str, got: object, because: str) -> InvalidPredictionRule:
    return InvalidPredictionRule(
        f"PredictionRule.{field} must be {rule} (got {shown(got)}): {because}", field=field
    )


DEFAULT_RULE = PredictionRule()
