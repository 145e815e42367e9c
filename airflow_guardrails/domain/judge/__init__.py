"""
Judge a candidate by what it did beside production, minute by minute.

Whatever is missing is settled first. Then each metric has an interval for how much worse the candidate is,
and the interval is compared with the rule's margin: wholly beyond it is Fail, wholly within is Pass, else
nothing can be said yet. The intervals hold at every look, so a trial may be judged each minute and stopped at
any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from airflow_guardrails.domain.arguments import check_alpha
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge.counts import dispersion_is_unknown, interval_of_counts
from airflow_guardrails.domain.judge.evidence import (
    HISTORY,
    Evidence,
    History,
    InvalidEvidence,
    Pairs,
    Series,
    history_from,
    pairs_of,
)
from airflow_guardrails.domain.judge.means import interval_of_means
from airflow_guardrails.domain.judge.missing_data import exposure_reason, lacking, missing_reason
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule
from airflow_guardrails.domain.judge.statistics.means import Interval
from airflow_guardrails.domain.judge.statistics.proportions import share_interval
from airflow_guardrails.domain.judge.verdict import (
    Label,
    Reason,
    Verdict,
    combine,
    measured_reason,
    share_reason,
)

__all__ = [
    "HISTORY",
    "Evidence",
    "History",
    "InvalidEvidence",
    "Label",
    "Reason",
    "Series",
    "Verdict",
    "combine",
    "history_from",
    "judge",
    "judge_share",
]

NO_WARM_UP = timedelta(0)

# Parts of the chance of a false alarm that a critical rule gets for each of another's.
CRITICAL_PARTS = 3


def judge(
    evidence: Evidence,
    rules: Sequence[MetricRule] = DEFAULT_RULES,
    *,
    alpha: float = 0.05,
    warm_up: timedelta = NO_WARM_UP,
) -> Verdict:
    """
    Judge the candidate by each of *rules*.

    :param alpha: above 0 and below 0.5. The chance that a candidate which is worse in nothing by more than
        its margin ever fails, over all rules and looks together; also the chance that one which is worse in
        something by more than its margin ever passes.
    :param warm_up: how long after its first request the candidate is not judged.
    :raises GuardrailsValueError: if *alpha* or *warm_up* is outside of its range.
    """
    check_alpha("alpha", alpha)
    if warm_up < NO_WARM_UP:
        raise GuardrailsValueError(f"warm_up must be at least 0 (got {warm_up!r})", field="warm_up")
    evidence = evidence.after(warm_up)
    exposure = exposure_reason(evidence)
    reasons = [
        _judge_rule(evidence, rule, _parts(rule, rules, alpha), alpha) for rule in dict.fromkeys(rules)
    ]
    if exposure.label is not Label.PASS:
        reasons = [_without_exposure(reason) for reason in reasons]
    # Where nothing else counts, the right share of requests alone proves nothing.
    exposure = replace(exposure, ignored=all(reason.ignored for reason in reasons))
    return combine([exposure, *reasons])


def judge_share(
    name: str, hits: int, trials: int, *, limit: float, min_trials: int, alpha: float = 0.05
) -> Reason:
    """
    Judge the share of *hits* among *trials*, such as answers that differ, against the *limit* it may have.

    :param limit: from 0 to 1.
    :param min_trials: fewer decide nothing.
    :param alpha: the chance that the verdict is ever wrong.
    :raises GuardrailsValueError: if a number is outside of its range.
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


def _judge_rule(evidence: Evidence, rule: MetricRule, alpha_fail: float, alpha_pass: float) -> Reason:
    pairs = pairs_of(evidence, rule)
    gap = lacking(evidence, rule, pairs) or _without_sense(rule, pairs)
    if gap:
        return missing_reason(rule, *gap)
    interval = _interval(rule, pairs, alpha_fail=alpha_fail, alpha_pass=alpha_pass)
    reason = measured_reason(rule, pairs, interval, ran=evidence.ran)
    unknown = dispersion_is_unknown(rule, pairs)
    return missing_reason(rule, *unknown) if unknown and reason.label is not Label.FAIL else reason


def _interval(rule: MetricRule, pairs: Pairs, *, alpha_fail: float, alpha_pass: float) -> Interval:
    bound = interval_of_counts if rule.counted else interval_of_means
    interval = bound(rule, pairs, alpha_fail=alpha_fail, alpha_pass=alpha_pass)
    if not rule.relative:
        return interval
    return replace(interval, measured=interval.measured - 1, low=interval.low - 1, high=interval.high - 1)


def _without_sense(rule: MetricRule, pairs: Pairs) -> tuple[str, str] | None:
    if rule.counted and min(*pairs.control, *pairs.candidate) < 0:
        return "a negative number of events", "a rule for the average"
    if not rule.counted and rule.relative and sum(pairs.control) <= 0:
        return "production's is 0 or less, which has no percentage", "a margin that is a plain number"
    return None


def _parts(rule: MetricRule, rules: Sequence[MetricRule], alpha: float) -> float:
    """Divide *alpha* among the rules (Bonferroni's inequality, weighted)."""
    parts = {one: CRITICAL_PARTS if one.critical else 1 for one in rules}
    return alpha * parts[rule] / sum(parts.values())


def _without_exposure(reason: Reason) -> Reason:
    if reason.label is not Label.PASS:
        return reason
    return replace(
        reason,
        label=Label.INCONCLUSIVE,
        text=f"{reason.text}; but the candidate did not get its share of the requests",
        missing="its share of the requests",
    )
