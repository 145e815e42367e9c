"""Judges a candidate by the share of requests that it answers differently."""

from __future__ import annotations

from typing import Any

from airflow_guardrails.domain.judge import Label, Reason, judge_share
from airflow_guardrails.domain.predictions.comparison import Comparison
from airflow_guardrails.domain.predictions.rule import PredictionRule

_METRIC = "predictions"

# Share of the records (of the side with fewer) that must be in pairs: fewer pairs may not be representative.
_MIN_JOINED_SHARE = 0.5


def prediction_reason(comparison: Comparison | None, rule: PredictionRule, *, alpha: float) -> Reason:
    """
    Judge the share of pairs whose answers disagree against ``rule.max_disagreement``.

    Without captured predictions it is Inconclusive. If most records could not be joined, it is not a Pass.

    :param comparison: all hours merged; ``None`` if nothing was captured.
    :param alpha: above 0 and below 0.5; the probability that the label is wrong.
    """
    if comparison is None:
        return _inconclusive(
            rule,
            "no requests and answers were captured",
            missing="give the shadow test a data_storage_uri, and the judge permission to read it",
        )
    settled = comparison.settled()
    summary = settled.summary()
    reason = judge_share(
        _METRIC,
        settled.disagreements,
        settled.pairs,
        limit=rule.max_disagreement,
        min_trials=rule.min_pairs,
        alpha=alpha,
    )
    joined = _joined_share(summary)
    # A Fail stands: the pairs that were found do disagree.
    if reason.label is Label.PASS and joined is not None and joined < _MIN_JOINED_SHARE:
        return _inconclusive(
            rule,
            f"{settled.pairs} pairs ({joined:.1%} < {_MIN_JOINED_SHARE:.0%} of the captured records): "
            "the joined pairs may not be representative",
            missing="let clients send an InferenceId, and capture all requests of both variants",
        )
    return reason


def _joined_share(summary: dict[str, Any]) -> float | None:
    """Return the share of joined records on the side that has fewer; ``None`` without records."""
    fewer = min(summary["records"].values())
    return (summary["pairs"] + summary["incomparable"]) / fewer if fewer else None


def _inconclusive(rule: PredictionRule, why: str, *, missing: str) -> Reason:
    return Reason(
        metric=_METRIC,
        stat="disagreement",
        label=Label.INCONCLUSIVE,
        measured=None,
        low=None,
        high=None,
        limit=rule.max_disagreement,
        text=f"{_METRIC}: {why}",
        missing=missing,
    )
