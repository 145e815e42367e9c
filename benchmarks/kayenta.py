"""
The judge of Kayenta (Spinnaker's canary analysis), with which our judge is compared.

For each metric it tests whether the candidate's minutes rank above production's, by the Mann-Whitney test
with the constants of Kayenta's ``NetflixACAJudge``: a 98 % interval for the shift; the shift counts if the
interval is further from 0 than a quarter of the estimate. Its known limits, measured in ``docs/judge.md``:

- It is valid for one look. Repeated looks raise false alarms.
- It assumes independent minutes. Autocorrelated minutes raise false alarms at the first look.
- It ranks minutes, so errors in one minute of six are outliers that it never finds.
- A wide interval that includes 0 is a Pass, so too little data passes.
- It does not use the number of requests, so it compares counts rather than rates.

``judge`` of ``airflow_guardrails.domain.judge`` has none of these limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, sqrt
from statistics import NormalDist, fmean

from airflow_guardrails.domain.judge.evidence import Evidence, Pairs, pairs_of
from airflow_guardrails.domain.judge.missing_data import exposure_reason, missing_data, missing_reason
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule
from airflow_guardrails.domain.judge.text import Unit, difference_in_words, interval_in_words
from airflow_guardrails.domain.judge.verdict import Label, Reason, Verdict, combine

# NetflixACAJudge.scala, literals.
CONFIDENCE = 0.98
TOLERANCE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """The shift of the candidate's values above production's, in the metric's unit, with a 98 % interval."""

    estimate: float
    low: float
    high: float

    @property
    def increased(self) -> bool:
        """Whether the candidate's values are significantly higher."""
        return self.low > TOLERANCE * abs(self.estimate)

    @property
    def decreased(self) -> bool:
        """Whether the candidate's values are significantly lower."""
        return self.high < -TOLERANCE * abs(self.estimate)


def judge_kayenta(evidence: Evidence, rules: Sequence[MetricRule] = DEFAULT_RULES) -> Verdict:
    """
    Judge the candidate as Kayenta does, except that missing data is handled first, as by ``judge``.

    A relative margin is Kayenta's allowed increase or decrease of the mean; it is not used if production's
    mean is 0. A margin in the metric's own unit is compared with the difference of the means.
    """
    reasons = [_judge_rule(evidence, rule) for rule in dict.fromkeys(rules)]
    exposure = exposure_reason(evidence)
    return combine([replace(exposure, ignored=all(reason.ignored for reason in reasons)), *reasons])


def shift_of(control: Sequence[float], candidate: Sequence[float]) -> Shift:
    """
    Estimate the shift between two samples and its interval, by the Mann-Whitney statistic.

    The statistic is the number of pairs in which the candidate's value is larger. The interval ends where the
    normal approximation rejects, with the corrections for continuity and for ties (Mann and Whitney, "On a
    test of whether one of two random variables is stochastically larger than the other", Annals of
    Mathematical Statistics 18, 1947; Hodges and Lehmann, "Estimates of location based on rank tests", Annals
    of Mathematical Statistics 34, 1963).
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
    gap = missing_data(evidence, rule, pairs, alpha=0.05)
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
    """Say whether the means differ by more than the margin; Kayenta skips this if production's mean is 0."""
    control, candidate = fmean(pairs.control), fmean(pairs.candidate)
    if rule.relative and control == 0:
        return True
    apart = candidate / control - 1 if rule.relative else candidate - control
    return apart >= rule.allowed if rule.worse_is_more else apart <= -rule.allowed
