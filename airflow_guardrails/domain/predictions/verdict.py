"""What joined predictions say of a candidate."""

from __future__ import annotations

from typing import Any

from airflow_guardrails.domain.judge import Label, Reason, judge_share
from airflow_guardrails.domain.predictions.comparison import Comparison
from airflow_guardrails.domain.predictions.rule import PredictionRule

METRIC = "predictions"

# Of the records of the side that has fewer, the share that must be in pairs: what could be joined must not be
# a chosen few.
LEAST_JOINED = 0.5


def prediction_reason(comparison: Comparison | None, rule: PredictionRule, *, alpha: float) -> Reason:
    """
    Judge the share of requests that the two variants answered differently against ``rule.max_disagreement``.

    Without captured predictions, or where most of them could not be joined, nothing is known: Inconclusive.
    """
    if comparison is None:
        return _unknown(
            rule,
            "no requests and answers were kept",
            missing="give the shadow test a data_storage_uri, and the judge permission to read it",
        )
    settled = comparison.settled()
    summary = settled.summary()
    reason = judge_share(
        METRIC,
        settled.disagreements,
        settled.pairs,
        limit=rule.max_disagreement,
        min_trials=rule.min_pairs,
        alpha=alpha,
    )
    joined = _joined_share(summary)
    if reason.label is Label.PASS and joined is not None and joined < LEAST_JOINED:
        return _unknown(
            rule,
            f"{settled.pairs} pairs ({joined:.1%}) < {LEAST_JOINED:.0%} of what was captured: those that "
            "could be joined may be a chosen few",
            missing="let clients send an InferenceId, and capture all requests of both variants",
        )
    return reason


def _joined_share(summary: dict[str, Any]) -> float | None:
    """Of the records of the side that has fewer, the share that is in pairs."""
    fewer = min(summary["records"].values())
    return (summary["pairs"] + summary["incomparable"]) / fewer if fewer else None


def _unknown(rule: PredictionRule, what: str, *, missing: str) -> Reason:
    return Reason(
        metric=METRIC,
        stat="disagreement",
        label=Label.INCONCLUSIVE,
        measured=None,
        low=None,
        high=None,
        limit=rule.max_disagreement,
        text=f"{METRIC}: {what}",
        missing=missing,
    )
