"""The names of what is counted."""

from __future__ import annotations

from enum import Enum

from airflow_guardrails.domain.predictions.agreement import Disagreement
from airflow_guardrails.domain.predictions.records import JoinKey, Side

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
