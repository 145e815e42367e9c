"""
The judge: Pass, Fail or Inconclusive from the metrics of production and candidate, one value a minute.

Missing data is settled first. Then each metric has evidence that the candidate is worse than the margin, in
the whole trial or since some minute: enough of it is Fail. If the confidence interval of the whole trial lies
within the margin, it is Pass, otherwise Inconclusive. A trial may be judged every minute and stopped at any
look.

Here belong rules, evidence, verdicts and their texts; ``statistics/`` has the formulas. Calls to AWS, clocks,
and when to judge do not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from airflow_guardrails.domain.arguments import check_alpha
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge.counts import judge_counts, unknown_dispersion
from airflow_guardrails.domain.judge.evidence import (
    MAX_HISTORY,
    Evidence,
    History,
    InvalidEvidence,
    Pairs,
    Series,
    SlowRequests,
    history_start,
    pairs_of,
)
from airflow_guardrails.domain.judge.means import judge_means
from airflow_guardrails.domain.judge.missing_data import exposure_reason, missing_data, missing_reason
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, Direction, MetricRule
from airflow_guardrails.domain.judge.statistics.interval import Interval
from airflow_guardrails.domain.judge.statistics.proportions import share_interval
from airflow_guardrails.domain.judge.tails import judge_slow_requests
from airflow_guardrails.domain.judge.verdict import (
    Label,
    Reason,
    Requests,
    Verdict,
    both_within,
    combine,
    measured_reason,
    share_reason,
)

__all__ = [
    "MAX_HISTORY",
    "Evidence",
    "History",
    "InvalidEvidence",
    "Label",
    "Reason",
    "Requests",
    "Series",
    "SlowRequests",
    "Verdict",
    "combine",
    "history_start",
    "judge",
    "judge_share",
    "requests_in",
]

_NO_WARM_UP = timedelta(0)

# Of the labels of both directions, the first of these is the label of the rule.
_MOST_DECISIVE = {Label.FAIL: 0, Label.INCONCLUSIVE: 1, Label.PASS: 2}

# A critical rule's part of alpha, where any other rule has 1.
CRITICAL_WEIGHT = 3


def judge(
    evidence: Evidence,
    rules: Sequence[MetricRule] = DEFAULT_RULES,
    *,
    alpha: float = 0.05,
    warm_up: timedelta = _NO_WARM_UP,
) -> Verdict:
    """
    Judge the candidate by each of *rules*.

    :param alpha: above 0 and below 0.5. The probability that a candidate ever fails which is not worse than
        its margins, over all rules and looks together; also the probability that a candidate ever passes
        which is worse than a margin.
    :param warm_up: time after the candidate's first request that is not judged.
    :raises GuardrailsValueError: if *alpha* or *warm_up* is out of range.
    """
    check_alpha("alpha", alpha)
    if warm_up < _NO_WARM_UP:
        raise GuardrailsValueError(f"warm_up must be at least 0 (got {warm_up!r})", field="warm_up")
    evidence = evidence.without_warm_up(warm_up)
    exposure = exposure_reason(evidence)
    # A rule that is given twice is judged once, so it gets one part of alpha.
    reasons = [
        _judge_rule(evidence, rule, alpha_of(rule, rules, alpha), alpha) for rule in dict.fromkeys(rules)
    ]
    if exposure.label is not Label.PASS:
        reasons = [_without_exposure(reason) for reason in reasons]
    # The right share of requests alone proves nothing, so it does not count if no rule does.
    exposure = replace(exposure, ignored=all(reason.ignored for reason in reasons))
    return combine([exposure, *reasons], requests=requests_in(evidence))


def judge_share(
    name: str, hits: int, trials: int, *, limit: float, min_trials: int, alpha: float = 0.05
) -> Reason:
    """
    Judge the share of *hits* among *trials* (for example, of answers that differ) against its *limit*.

    :param limit: share, 0 to 1.
    :param min_trials: with fewer trials the label is Inconclusive.
    :param alpha: above 0 and below 0.5; the probability that the label is ever wrong.
    :raises GuardrailsValueError: if a number is out of range.
    """
    check_alpha("alpha", alpha)
    if not 0 <= hits <= trials:
        raise GuardrailsValueError(
            f"hits must be from 0 to trials (got {hits!r} of {trials!r})", field="hits"
        )
    if not 0 <= limit <= 1:
        raise GuardrailsValueError(f"limit must be a share from 0 to 1 (got {limit!r})", field="limit")
    interval = share_interval(hits, trials, alpha=alpha)
    return share_reason(name, hits, trials, interval, limit=limit, min_trials=min_trials)


def requests_in(evidence: Evidence) -> Requests:
    """Return the requests of both sides."""
    return Requests(
        new=sum(evidence.requests.candidate.values()), old=sum(evidence.requests.control.values())
    )


def _judge_rule(evidence: Evidence, rule: MetricRule, alpha_fail: float, alpha_pass: float) -> Reason:
    if rule.direction is Direction.BOTH:
        return _judge_both_directions(evidence, rule, alpha_fail, alpha_pass)
    slow = evidence.slow.get(rule)
    counted = slow and judge_slow_requests(
        evidence, rule, slow, alpha_fail=alpha_fail, alpha_pass=alpha_pass / 2
    )
    if not counted:
        return _judge_values(evidence, rule, alpha_fail, alpha_pass)
    if counted.label is Label.INCONCLUSIVE:
        # With many requests a minute, the percentiles themselves may sooner show that they are within the
        # margin.
        by_values = _judge_values(evidence, rule, alpha_fail, alpha_pass / 2)
        return by_values if by_values.label is Label.PASS else counted
    return counted


def _judge_both_directions(
    evidence: Evidence, rule: MetricRule, alpha_fail: float, alpha_pass: float
) -> Reason:
    increase, decrease = (
        # Only one of the two can be beyond the margin, so a Pass of both needs no part of alpha for each.
        _judge_values(evidence.renamed(rule, one), one, alpha_fail / 2, alpha_pass)
        for one in (
            replace(rule, direction=direction) for direction in (Direction.INCREASE, Direction.DECREASE)
        )
    )
    deciding = min((increase, decrease), key=lambda reason: _MOST_DECISIVE[reason.label])
    return deciding if deciding.label is not Label.PASS else both_within(rule, increase, decrease)


def _judge_values(evidence: Evidence, rule: MetricRule, alpha_fail: float, alpha_pass: float) -> Reason:
    pairs = pairs_of(evidence, rule)
    gap = missing_data(evidence, rule, pairs, alpha=alpha_pass) or _invalid_values(rule, pairs)
    if gap:
        return missing_reason(rule, *gap)
    reason = _reason(
        rule, pairs, alpha_fail=alpha_fail, alpha_pass=alpha_pass, minutes_run=evidence.minutes_run
    )
    # A Fail stands: the interval already allows for the largest bursts that the data permit.
    unknown = unknown_dispersion(rule, pairs, minutes_run=evidence.minutes_run)
    return missing_reason(rule, *unknown) if unknown and reason.label is not Label.FAIL else reason


def _reason(
    rule: MetricRule, pairs: Pairs, *, alpha_fail: float, alpha_pass: float, minutes_run: int
) -> Reason:
    compare = judge_counts if rule.counted else judge_means
    result = compare(rule, pairs, alpha_fail=alpha_fail, alpha_pass=alpha_pass)
    since = (result.onset, result.measured_since_onset - (1 if rule.relative else 0))
    return measured_reason(
        rule,
        pairs,
        _as_percentage(rule, result.interval),
        minutes_run=minutes_run,
        harm_since=since if result.fails else None,
    )


def _as_percentage(rule: MetricRule, interval: Interval) -> Interval:
    # A ratio of 1.1 is shown and compared as +10 %.
    if not rule.relative:
        return interval
    return replace(interval, measured=interval.measured - 1, low=interval.low - 1, high=interval.high - 1)


def _invalid_values(rule: MetricRule, pairs: Pairs) -> tuple[str, str] | None:
    if rule.counted and min(*pairs.control, *pairs.candidate) < 0:
        return "a negative number of events", "a rule for the average"
    if not rule.counted and rule.relative and sum(pairs.control) <= 0:
        return "production's mean is 0 or less, so there is no percentage", "a margin that is a plain number"
    return None


def alpha_of(rule: MetricRule, rules: Sequence[MetricRule], alpha: float) -> float:
    """Return the rule's part of *alpha* (weighted Bonferroni correction)."""
    weights = {one: CRITICAL_WEIGHT if one.critical else 1 for one in rules}
    return alpha * weights[rule] / sum(weights.values())


# A Fail stays: missing requests can hide harm, so they only rule out a Pass.
def _without_exposure(reason: Reason) -> Reason:
    if reason.label is not Label.PASS:
        return reason
    return replace(
        reason,
        label=Label.INCONCLUSIVE,
        text=f"{reason.text}; but the candidate did not get its share of the requests",
        missing="its share of the requests",
    )
