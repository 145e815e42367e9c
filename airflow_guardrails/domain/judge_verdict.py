"""What a judge answers: a label, and for each thing that it looked at a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import isfinite
from typing import Any

from airflow_guardrails.domain.safe_text import error_in_words


class Label(str, Enum):
    """Inconclusive: the data do not say whether the candidate is worse by more than it may be."""

    PASS = "Pass"  # noqa: S105 - no password
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """
    What one metric says of the candidate.

    :param measured: how far the candidate is from production: a fraction of production's, or in the metric's
        unit, as its margin is given; ``None`` without data.
    :param low: low end of the interval around it; ``None``: nothing is known on that side.
    :param high: high end of it.
    :param limit: where it becomes too much, with its sign.
    :param text: all that in a sentence.
    :param missing: what a decision would take, and when that can be expected at this traffic.
    :param ignored: whether it counts for nothing: its data are missing and its rule says that this may be.
    """

    metric: str
    stat: str
    label: Label
    measured: float | None
    low: float | None
    high: float | None
    limit: float | None
    text: str
    missing: str | None = None
    ignored: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For the report: JSON, so that an end that is not known is null."""
        return {
            "metric": self.metric,
            "stat": self.stat,
            "label": self.label.value,
            "measured": _known(self.measured),
            "low": _known(self.low),
            "high": _known(self.high),
            "limit": _known(self.limit),
            "text": self.text,
            "missing": self.missing,
            "ignored": self.ignored,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer of a judge."""

    label: Label
    reasons: tuple[Reason, ...]

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {"label": self.label.value, "reasons": [reason.as_dict() for reason in self.reasons]}

    def describe(self) -> str:
        """Say it in one line: the label, and the reasons that made it."""
        if not self.reasons:
            return f"{self.label.value}: nothing was judged"
        deciding = [
            reason.text for reason in self.reasons if reason.label is self.label and not reason.ignored
        ]
        return f"{self.label.value}: {'; '.join(deciding) or 'nothing that counts had enough data'}"


def combine(reasons: Iterable[Reason]) -> Verdict:
    """
    Make one verdict of *reasons*: Fail by any, Pass by all, else Inconclusive.

    Without a reason that counts nothing is known: Inconclusive.
    """
    given = tuple(reasons)
    labels = {reason.label for reason in given if not reason.ignored}
    if Label.FAIL in labels:
        return Verdict(label=Label.FAIL, reasons=given)
    return Verdict(label=Label.PASS if labels == {Label.PASS} else Label.INCONCLUSIVE, reasons=given)


def unjudged(what: str, error: Exception) -> Verdict:
    """Make the verdict of a judge that has raised *error*: nothing is known, and why."""
    reason = Reason(
        metric=what,
        stat="",
        label=Label.INCONCLUSIVE,
        measured=None,
        low=None,
        high=None,
        limit=None,
        text=f"{what} could not be judged ({error_in_words(error)})",
        missing="a judge that can read these data",
    )
    return Verdict(label=Label.INCONCLUSIVE, reasons=(reason,))


def _known(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
