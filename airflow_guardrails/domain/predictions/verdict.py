"""Judges a candidate by the share of requests that it answers differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.domain.judge import Label, Reason, judge_share
from airflow_guardrails.domain.predictions.comparison import Comparison
from airflow_guardrails.domain.predictions.rule import PredictionRule

_METRIC = "predictions"

# Share of the records (of the side with fewer) that must be in pairs: fewer pairs may not be representative.
MIN_JOINED_SHARE = 0.5

# Share of the joined pairs that the rule must be able to compare, and of the lines that must be records. What
# cannot be read may be just what differs.
MIN_READ_SHARE = 0.99


def prediction_reason(comparison: Comparison | None, rule: PredictionRule, *, alpha: float) -> Reason:
    """
    Judge the share of pairs whose answers disagree against ``rule.max_disagreement``.

    Without captured predictions it is Inconclusive. It is not a Pass if most records could not be joined, or
    if more than 1 % of the joined pairs or of the lines could not be read.

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
    reason = judge_share(
        _METRIC,
        settled.disagreements,
        settled.pairs,
        limit=rule.max_disagreement,
        min_trials=rule.min_pairs,
        alpha=alpha,
    )
    # A Fail stands: the pairs that were found do disagree.
    if reason.label is Label.FAIL:
        return reason
    summary = settled.summary()
    gap = _unread_answers(summary, rule) or _unread_lines(summary)
    if reason.label is Label.PASS or settled.pairs < rule.min_pairs:
        gap = gap or _unjoined(summary)
    return _inconclusive(rule, gap[0], missing=gap[1]) if gap else reason


def _unread_answers(summary: Mapping[str, Any], rule: PredictionRule) -> tuple[str, str] | None:
    unread, joined = summary["incomparable"], summary["incomparable"] + summary["pairs"]
    if not joined or summary["pairs"] / joined >= MIN_READ_SHARE:
        return None
    shapes = " or ".join(summary["unread_answers"])
    why = (
        f"{rule.described()} reads neither answer of {unread:,} of {joined:,} joined requests "
        f"(compared: {summary['pairs'] / joined:.1%} < {MIN_READ_SHARE:.0%}); answers look like {shapes}"
    )
    return why, "a rule that reads these answers"


def _unread_lines(summary: Mapping[str, Any]) -> tuple[str, str] | None:
    for side, lines in summary["records"].items():
        broken = summary["unjoined"][side]["broken"]
        if broken and 1 - broken / lines < MIN_READ_SHARE:
            faults = {name: number for name, number in summary["unreadable_lines"][side].items() if number}
            listed = ", ".join(f"{number:,} {name}" for name, number in faults.items())
            why = (
                f"{broken:,} of {lines:,} captured lines of {side} are no records: {listed} "
                f"(read: {1 - broken / lines:.1%} < {MIN_READ_SHARE:.0%})"
            )
            return why, "captured files as SageMaker writes them"
    return None


def _unjoined(summary: Mapping[str, Any]) -> tuple[str, str] | None:
    fewer = min(summary["records"].values())
    joined = (summary["pairs"] + summary["incomparable"]) / fewer if fewer else 1.0
    if joined >= MIN_JOINED_SHARE:
        return None
    reused = sum(summary["reused_inference_ids"].values())
    missing = "let clients send an InferenceId, and capture all requests of both variants"
    if reused:
        missing = (
            f"let clients send an InferenceId that is unique for each request ({reused:,} records have one "
            "that other requests have, too), or capture the inputs"
        )
    share = f"{joined:.1%} < {MIN_JOINED_SHARE:.0%} of the captured records"
    return f"{summary['pairs']:,} pairs ({share}): the joined pairs may not be representative", missing


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
