"""Whether the candidate got the requests that it should have got: else its metrics tell of others."""

from __future__ import annotations

from math import sqrt

from airflow_guardrails.domain.judge_evidence import Evidence
from airflow_guardrails.domain.judge_verdict import Label, Reason

# A twentieth fewer may be the edges of the trial; more are requests of a kind that may be missing.
TOLERANCE = 0.05

# Beyond so many standard deviations it is not chance, at any of the looks of a trial.
DEVIATIONS = 4.0


def exposure_reason(evidence: Evidence) -> Reason:
    """
    Compare the candidate's requests with its expected share of production's.

    Chance explains the binomial deviation of a sampled copy, sqrt(n p (1 - p)), or of requests that were
    divided, sqrt(m (1 + m / n)). Too few or too many beyond that and :data:`TOLERANCE`: Inconclusive.
    """
    control = sum(evidence.requests.control.values())
    candidate = sum(evidence.requests.candidate.values())
    expected = control * evidence.expected_share
    if control == 0:
        return _reason(Label.INCONCLUSIVE, "production had no requests", missing="requests to production")
    measured, room = (
        candidate / expected - 1,
        TOLERANCE + DEVIATIONS * _deviation(evidence, control) / expected,
    )
    fits = candidate > 0 and abs(measured) <= room
    text = (
        f"the candidate got {candidate:,.0f} requests, {measured:+.1%} of the {expected:,.0f} expected "
        f"({evidence.expected_share:.4g} x {control:,.0f}; limit +-{room:.1%})"
    )
    missing = None if fits else "its share of the requests; what it has seen is not what production has seen"
    return _reason(
        Label.PASS if fits else Label.INCONCLUSIVE, text, measured=measured, limit=room, missing=missing
    )


def _deviation(evidence: Evidence, control: float) -> float:
    expected = control * evidence.expected_share
    if evidence.paired:
        return sqrt(expected * (1 - evidence.expected_share))
    return sqrt(expected * (1 + evidence.expected_share))


def _reason(
    label: Label,
    text: str,
    *,
    measured: float | None = None,
    limit: float | None = None,
    missing: str | None = None,
) -> Reason:
    return Reason(
        metric="Invocations",
        stat="Sum",
        label=label,
        measured=measured,
        low=None,
        high=None,
        limit=limit,
        text=f"Invocations: {text}",
        missing=missing,
    )
