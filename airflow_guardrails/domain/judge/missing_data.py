"""Missing data: it is checked before anything is computed, and is never a Pass."""

from __future__ import annotations

from datetime import datetime
from math import ceil, sqrt

from airflow_guardrails.domain.judge.counts import requests_to_pass
from airflow_guardrails.domain.judge.evidence import (
    Evidence,
    Pairs,
    is_comparable,
    is_similar,
    requests_needed,
)
from airflow_guardrails.domain.judge.rules import MetricRule, OnMissing
from airflow_guardrails.domain.judge.text import traffic_in_words, unit_of, wait_in_words
from airflow_guardrails.domain.judge.verdict import Label, Reason
from airflow_guardrails.domain.text import count_in_words

# 5 % may be missing at the edges of the trial. If more are missing, it may be requests of one kind.
SHARE_TOLERANCE = 0.05

# Standard deviations that chance explains, over all looks of a trial.
_CHANCE = 4.0


def exposure_reason(evidence: Evidence) -> Reason:
    """
    Compare the candidate's requests with its expected share of production's.

    Chance explains a standard deviation of sqrt(n p (1 - p)) for sampled copies (binomial) and of
    sqrt(m (1 + m / n)) for divided requests; n is production's requests, m the expected ones, p the share. If
    the difference is larger than that and :data:`SHARE_TOLERANCE`, the label is Inconclusive.
    """
    control = sum(evidence.requests.control.values())
    candidate = sum(evidence.requests.candidate.values())
    expected = control * evidence.expected_share
    if control == 0:
        return _reason(Label.INCONCLUSIVE, "production had no requests", missing="requests to production")
    measured = candidate / expected - 1
    limit = SHARE_TOLERANCE + _CHANCE * _standard_deviation(evidence, control) / expected
    fits = candidate > 0 and abs(measured) <= limit
    text = (
        f"the candidate got {candidate:,.0f} requests, {measured:+.1%} against the {expected:,.0f} expected "
        f"({evidence.expected_share:.4g} x {control:,.0f}; limit +-{limit:.1%})"
    )
    missing = "its share of the requests; its metrics are about other requests than production's"
    return _reason(
        Label.PASS if fits else Label.INCONCLUSIVE,
        text,
        measured=measured,
        limit=limit,
        missing=None if fits else missing,
    )


def _standard_deviation(evidence: Evidence, control: float) -> float:
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


# Share of the minutes with requests that must have data. SageMaker publishes its metrics for each of them.
MIN_COVERAGE = 0.8


def missing_data(
    evidence: Evidence, rule: MetricRule, pairs: Pairs, *, alpha: float
) -> tuple[str, str] | None:
    """
    Return what is missing before *rule* can be judged, or ``None``.

    :param alpha: probability, 0 to 1, of a false Pass.
    :return: the text of the reason, and what a decision needs.
    """
    # The order matters: each check may rely on those before it, and the first one names the cause.
    busy = evidence.minutes_of(rule)
    return (
        _no_requests(evidence, rule)
        or _no_denominator(rule, busy)
        or _no_data(evidence, rule, busy)
        # Before the number of requests: a longer trial has more of them, but not more in a minute.
        or _too_few_for_percentile(evidence, rule, busy)
        or _too_few_requests(evidence, rule, alpha)
        or _gaps(evidence, rule, busy)
        or _too_few_minutes(evidence, rule, pairs)
    )


def missing_reason(rule: MetricRule, text: str, missing: str) -> Reason:
    """Return the reason for missing data: Inconclusive, Fail or ignored, as ``rule.on_missing`` says."""
    return Reason(
        metric=rule.metric,
        stat=rule.shown_stat,
        label=Label.FAIL if rule.on_missing is OnMissing.FAIL else Label.INCONCLUSIVE,
        measured=None,
        low=None,
        high=None,
        limit=rule.allowed if rule.worse_is_more else -rule.allowed,
        text=f"{rule.metric} {rule.shown_stat}: {text}",
        missing=missing,
        ignored=rule.on_missing is OnMissing.IGNORE,
        unit=unit_of(rule),
    )


def _no_requests(evidence: Evidence, rule: MetricRule) -> tuple[str, str] | None:
    if evidence.busy_minutes:
        return None
    minutes_run = evidence.minutes_run
    sides = evidence.requests.control, evidence.requests.candidate
    shares = [sum(1 for count in side.values() if count > 0) / minutes_run for side in sides]
    missing = "requests to both sides"
    if all(shares):
        # Each side had requests, but never in the same minute.
        wait = wait_in_words(
            _least_requests(evidence), minutes_run, rule.min_minutes / (shares[0] * shares[1])
        )
        missing = f"requests to both sides in the same {rule.min_minutes} minutes: {wait}"
    return "there is no minute in which both sides had requests", missing


def _least_requests(evidence: Evidence) -> float:
    return min(sum(evidence.requests.control.values()), sum(evidence.requests.candidate.values()))


def _no_denominator(rule: MetricRule, busy: list[datetime]) -> tuple[str, str] | None:
    if busy:
        return None
    return f"there is no minute in which both sides had {rule.per}", f"{rule.per} of both sides"


def _no_data(evidence: Evidence, rule: MetricRule, busy: list[datetime]) -> tuple[str, str] | None:
    series = evidence.series_of(rule)
    sides = {
        "production": any(moment in series.control for moment in busy),
        "the candidate": any(moment in series.candidate for moment in busy),
    }
    without = [side for side, has in sides.items() if not has]
    if not without:
        return None
    names = " and ".join(without)
    return f"no data for {names}, although there were requests", f"{_metrics_of(rule)} of {names}"


def _metrics_of(rule: MetricRule) -> str:
    return f"{rule.metric} and {rule.per}" if rule.per else rule.metric


def _too_few_requests(evidence: Evidence, rule: MetricRule, alpha: float) -> tuple[str, str] | None:
    least, minutes_run = _least_requests(evidence), evidence.minutes_run
    if least >= rule.min_requests:
        return None
    times, more = rule.min_requests / least, f"{rule.min_requests - least:,.0f} more requests to each side"
    candidate = sum(evidence.requests.candidate.values())
    share = candidate / sum(evidence.requests.control.values())
    # A margin for errors may need far more requests than min_requests.
    to_pass = requests_to_pass(rule, share=share, alpha=alpha)
    if to_pass / candidate > times:
        times = to_pass / candidate
        more = f"{to_pass - candidate:,.0f} more requests to the candidate, for a Pass if none fails"
    wait = wait_in_words(least, minutes_run, minutes_run * (times - 1))
    return f"too few requests ({least:,.0f} < {rule.min_requests})", f"{more}: {wait}"


def _too_few_for_percentile(
    evidence: Evidence, rule: MetricRule, busy: list[datetime]
) -> tuple[str, str] | None:
    if rule.quantile is None:
        return None
    control, candidate = evidence.requests.control, evidence.requests.candidate
    by_requests = sorted(busy, key=lambda moment: min(control[moment], candidate[moment]))
    enough = [moment for moment in busy if is_comparable(rule.quantile, control[moment], candidate[moment])]
    # A few quiet minutes may be left out, but not the usual ones.
    if len(enough) * 2 > len(busy):
        return None
    median_minute = by_requests[len(busy) // 2]
    sides = control[median_minute], candidate[median_minute]
    needed = ceil(requests_needed(rule.quantile, similar=is_similar(*sides)))
    return (
        f"too few requests a minute for a percentile (median {min(sides):,.0f} < {needed})",
        (
            f"{needed} requests a minute to each side, or a rule for the average: "
            f"{traffic_in_words(min(sides), 1)} no trial is long enough"
        ),
    )


def _gaps(evidence: Evidence, rule: MetricRule, busy: list[datetime]) -> tuple[str, str] | None:
    series = evidence.series_of(rule)
    covered = sum(1 for moment in busy if moment in series.control and moment in series.candidate)
    if covered >= MIN_COVERAGE * len(busy):
        return None
    share = f"{covered / len(busy):.0%} < {MIN_COVERAGE:.0%}"
    return (
        f"only {covered} of {len(busy)} minutes with requests have data ({share})",
        f"{_metrics_of(rule)} of both sides for the same minutes",
    )


def _too_few_minutes(evidence: Evidence, rule: MetricRule, pairs: Pairs) -> tuple[str, str] | None:
    if len(pairs) >= rule.min_minutes:
        return None
    # Minutes without requests do not count, so the wait is longer in proportion.
    share = max(len(pairs), 1) / evidence.minutes_run
    missing = rule.min_minutes - len(pairs)
    wait = wait_in_words(_least_requests(evidence), evidence.minutes_run, missing / min(share, 1))
    return (
        f"too few minutes with data on both sides ({len(pairs)} < {rule.min_minutes})",
        f"{count_in_words(missing, 'more minute')} with requests: {wait}",
    )
