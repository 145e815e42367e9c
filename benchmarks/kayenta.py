"""
The judge of Kayenta (Spinnaker's canary analysis), which ours is measured against.

It asks of each metric whether the candidate's minutes rank above production's, by the Mann-Whitney test, with
the constants of Kayenta's ``NetflixACAJudge``: a 98 % interval for the shift, and a shift counts if its
interval is further from 0 than a quarter of its estimate. Known of it, and measured in ``docs/judge.md``:

- it holds for one look; looked at again and again it raises false alarms;
- it takes minutes for independent; where they resemble each other it raises false alarms at the first look;
- it ranks minutes, so errors in one minute of six are outliers to it and are never seen;
- it takes an interval that is wide and holds 0 for a Pass: too little data passes;
- it does not know the number of requests, and so neither rates nor shares of them.

``judge`` of ``airflow_guardrails.domain.judge`` has none of these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, sqrt
from statistics import NormalDist, fmean

from airflow_guardrails.domain.judge.evidence import Evidence, Pairs, pairs_of
from airflow_guardrails.domain.judge.missing_data import exposure_reason, lacking, missing_reason
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule
from airflow_guardrails.domain.judge.text import Unit, difference_in_words, interval_in_words
from airflow_guardrails.domain.judge.verdict import Label, Reason, Verdict, combine

# NetflixACAJudge.scala, literals.
CONFIDENCE = 0.98
TOLERANCE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far the candidate's values lie above production's, in the metric's unit, with a 98 % interval."""

    estimate: float
    low: float
    high: float

    @property
    def increased(self) -> bool:
        return self.low > TOLERANCE * abs(self.estimate)

    @property
    def decreased(self) -> bool:
        return self.high < -TOLERANCE * abs(self.estimate)


def judge_kayenta(evidence: Evidence, rules: Sequence[MetricRule] = DEFAULT_RULES) -> Verdict:
    """
    Judge the candidate as Kayenta would, except that missing data are settled first, as by ``judge``.

    A relative margin is Kayenta's allowed increase or decrease of the mean; it is not looked at where
    production's mean is 0. A margin in the metric's own unit is compared with the difference of the means.
    """
    reasons = [_judge_rule(evidence, rule) for rule in dict.fromkeys(rules)]
    exposure = exposure_reason(evidence)
    return combine([replace(exposure, ignored=all(reason.ignored for reason in reasons)), *reasons])


def shift_of(control: Sequence[float], candidate: Sequence[float]) -> Shift:
    """
    Estimate the shift between two samples, by Mann and Whitney's statistic.

    The statistic is the number of pairs in which the candidate's value is larger; its ends are where it is as
    far from half of all pairs as a normal value rarely is, with the correction for continuity and for ties
    (Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the
    other", Annals of Mathematical Statistics 18, 1947; Hodges and Lehmann, "Estimates of location based on
    rank tests", Annals of Mathematical Statistics 34, 1963).
    """
    apart = sorted(one - other for one in candidate for other in control)
    pairs, half = len(apart), len(apart) / 2
    reach = _quantile() * _deviation(control, candidate) + 0.5
    first, last = max(floor(half - reach), 0), min(ceil(half + reach), pairs - 1)
    middle = (apart[(pairs - 1) // 2] + apart[pairs // 2]) / 2
    return Shift(estimate=middle, low=apart[first], high=apart[last])


def _quantile() -> float:
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def _deviation(control: Sequence[float], candidate: Sequence[float]) -> float:
    n, m = len(control), len(candidate)
    total = n + m
    ties = sum(count**3 - count for count in Counter((*control, *candidate)).values())
    return sqrt(n * m / 12 * (total + 1 - ties / (total * (total - 1))))


def _judge_rule(evidence: Evidence, rule: MetricRule) -> Reason:
    pairs = pairs_of(evidence, rule)
    gap = lacking(evidence, rule, pairs)
    if gap:
        return missing_reason(rule, *gap)
    shift = shift_of(pairs.control, pairs.candidate)
    harmed = shift.increased if rule.worse_is_more else shift.decreased
    label = Label.FAIL if harmed and _beyond(rule, pairs) else Label.PASS
    limit = rule.allowed if rule.worse_is_more else -rule.allowed
    text = (
        f"{rule.metric} {rule.stat}: shift {difference_in_words(shift.estimate, Unit.PLAIN)} "
        f"({interval_in_words(shift.low, shift.high, Unit.PLAIN)}, {len(pairs)} minutes; Mann-Whitney)"
    )
    return Reason(
        metric=rule.metric,
        stat=rule.stat,
        label=label,
        measured=shift.estimate,
        low=shift.low,
        high=shift.high,
        limit=limit,
        text=text,
    )


def _beyond(rule: MetricRule, pairs: Pairs) -> bool:
    """Say whether the means differ by more than the margin; where production's is 0, Kayenta skips that."""
    control, candidate = fmean(pairs.control), fmean(pairs.candidate)
    if rule.relative and control == 0:
        return True
    apart = candidate / control - 1 if rule.relative else candidate - control
    return apart >= rule.allowed if rule.worse_is_more else apart <= -rule.allowed
