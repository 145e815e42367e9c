"""What a rule lacks before anything can be computed: it is settled first, and is never a pass."""

from __future__ import annotations

from datetime import datetime
from math import ceil, sqrt

from airflow_guardrails.domain.judge.evidence import Evidence, Pairs, alike, enough_for, requests_needed
from airflow_guardrails.domain.judge.rules import MetricRule, OnMissing
from airflow_guardrails.domain.judge.text import minutes_in_words
from airflow_guardrails.domain.judge.verdict import Label, Reason

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


# CloudWatch has a datum for each minute with requests; a metric that lacks more of them lacks data.
LEAST_COVERAGE = 0.8


def lacking(evidence: Evidence, rule: MetricRule, pairs: Pairs) -> tuple[str, str] | None:
    """Say what there is too little of, and what a decision would take; ``None``: nothing is lacking."""
    busy = evidence.busy()
    return (
        _no_requests(busy)
        or _no_data(evidence, rule, busy)
        or _too_few_requests(evidence, rule)
        or _too_thin(evidence, rule, busy)
        or _gaps(evidence, rule, busy)
        or _too_short(evidence, rule, pairs)
    )


def missing_reason(rule: MetricRule, text: str, missing: str) -> Reason:
    return Reason(
        metric=rule.metric,
        stat=rule.stat,
        label=Label.FAIL if rule.on_missing is OnMissing.FAIL else Label.INCONCLUSIVE,
        measured=None,
        low=None,
        high=None,
        limit=rule.allowed if rule.worse_is_more else -rule.allowed,
        text=f"{rule.metric} {rule.stat}: {text}",
        missing=missing,
        ignored=rule.on_missing is OnMissing.IGNORE,
    )


def _no_requests(busy: list[datetime]) -> tuple[str, str] | None:
    if busy:
        return None
    return "there is no minute in which both sides had requests", "requests to both sides"


def _no_data(evidence: Evidence, rule: MetricRule, busy: list[datetime]) -> tuple[str, str] | None:
    series = evidence.metrics.get(rule)
    sides = {
        "production": bool(series and any(moment in series.control for moment in busy)),
        "the candidate": bool(series and any(moment in series.candidate for moment in busy)),
    }
    without = [side for side, has in sides.items() if not has]
    if not without:
        return None
    names = " and ".join(without)
    return f"no data for {names}, though there were requests", f"{rule.metric} of {names}"


def _too_few_requests(evidence: Evidence, rule: MetricRule) -> tuple[str, str] | None:
    requests = evidence.requests
    least = min(sum(requests.control.values()), sum(requests.candidate.values()))
    if least >= rule.min_requests:
        return None
    wait = evidence.ran * (rule.min_requests / least - 1)
    more = f"{rule.min_requests - least:,.0f} more requests to each side, about {minutes_in_words(wait)}"
    return f"too few requests ({least:,.0f} < {rule.min_requests})", more


def _too_thin(evidence: Evidence, rule: MetricRule, busy: list[datetime]) -> tuple[str, str] | None:
    if rule.quantile is None:
        return None
    control, candidate = evidence.requests.control, evidence.requests.candidate
    by_requests = sorted(busy, key=lambda moment: min(control[moment], candidate[moment]))
    enough = [moment for moment in busy if enough_for(rule.quantile, control[moment], candidate[moment])]
    if len(enough) * 2 > len(busy):
        return None
    usual = by_requests[len(busy) // 2]
    sides = control[usual], candidate[usual]
    needed = ceil(requests_needed(rule.quantile, alike=alike(*sides)))
    return (
        f"too few requests a minute for it (usually {min(sides):,.0f} < {needed} on one side)",
        f"{needed} requests a minute to each side, or a rule for a mean",
    )


def _gaps(evidence: Evidence, rule: MetricRule, busy: list[datetime]) -> tuple[str, str] | None:
    series = evidence.metrics[rule]
    there = sum(1 for moment in busy if moment in series.control and moment in series.candidate)
    if there >= LEAST_COVERAGE * len(busy):
        return None
    part = f"{there / len(busy):.0%} < {LEAST_COVERAGE:.0%}"
    return (
        f"only {there} of {len(busy)} minutes with requests have data ({part})",
        f"{rule.metric} of both sides for the same minutes",
    )


def _too_short(evidence: Evidence, rule: MetricRule, pairs: Pairs) -> tuple[str, str] | None:
    if len(pairs) >= rule.min_minutes:
        return None
    share = max(len(pairs), 1) / evidence.ran
    wait = (rule.min_minutes - len(pairs)) / min(share, 1)
    return (
        f"too few minutes with data on both sides ({len(pairs)} < {rule.min_minutes})",
        f"{rule.min_minutes - len(pairs)} more minutes with requests, about {minutes_in_words(wait)}",
    )
