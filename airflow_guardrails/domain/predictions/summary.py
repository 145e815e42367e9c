"""A settled comparison in the words of whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_guardrails.domain.predictions import classes
from airflow_guardrails.domain.predictions.agreement import Disagreement
from airflow_guardrails.domain.predictions.counts import (
    DISAGREEING_ROWS,
    INCOMPARABLE,
    NOT_CARRIED,
    RECORDS,
    ROWS,
    Lost,
    disagreements,
    joined_by,
    lost,
    of_side,
)
from airflow_guardrails.domain.predictions.examples import iso
from airflow_guardrails.domain.predictions.records import JoinKey, Side

if TYPE_CHECKING:
    from airflow_guardrails.domain.predictions.comparison import Comparison


def summarize(comparison: Comparison) -> dict[str, Any]:
    """
    Counts of pairs and of what is in none, differences of scores, the table of classes, the worst examples.

    What is not known is null: a rate without pairs, a table without labels.
    """
    counts, pairs = comparison.counts, comparison.pairs

    def count(name: str) -> int:
        return counts.get(name, 0)

    return {
        "pairs": pairs,
        "disagreements": comparison.disagreements,
        "disagreement_rate": comparison.disagreements / pairs if pairs else None,
        "disagreements_by_kind": {kind.value: count(disagreements(kind)) for kind in Disagreement},
        "rows": count(ROWS),
        "disagreeing_rows": count(DISAGREEING_ROWS),
        "score_difference": comparison.scores.summary(),
        "scores_not_finite": comparison.scores.not_finite,
        "classes": classes.as_dict(comparison.cells) if comparison.cells else None,
        "examples": list(comparison.examples),
        "joined_by": {key.value: count(joined_by(key)) for key in JoinKey},
        "incomparable": count(INCOMPARABLE),
        "records": {side.value: count(of_side(side, RECORDS)) for side in Side},
        "unjoined": {
            side.value: {reason.value: count(lost(side, reason)) for reason in Lost} for side in Side
        },
        "not_carried": {side.value: count(of_side(side, NOT_CARRIED)) for side in Side},
        "first_at": None if comparison.first_at is None else iso(comparison.first_at),
        "last_at": None if comparison.last_at is None else iso(comparison.last_at),
        "rule": comparison.rule.as_dict(),
    }
