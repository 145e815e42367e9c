"""
High percentiles, judged by counting: how many requests are slower than production's percentile usually is.

The percentile of a minute, such as p99, is the value of one or two requests if the minute has few. How many
requests are slower than a fixed limit is a count, and the counts of many minutes add up. CloudWatch counts
them: the trimmed count TC(limit:).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

from airflow_guardrails.domain.judge.evidence import Evidence, History, Series, SlowRequests, pairs_of
from airflow_guardrails.domain.judge.missing_data import missing_data
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.overdispersion import split_dispersion
from airflow_guardrails.domain.judge.statistics.rates import ZERO_RATE_WEIGHT, ratio_of_rates_interval
from airflow_guardrails.domain.judge.statistics.tails import tail_harm
from airflow_guardrails.domain.judge.verdict import Reason, slow_reason
from airflow_guardrails.domain.snapshots.metrics import MetricQuery, Points

# From this percentile on, requests are counted. Of lower ones, a minute mostly has enough requests.
_LEAST_QUANTILE = 0.95

# Minutes of production whose median percentile is the limit: of the history, or else the first of the trial.
_LIMIT_MINUTES = 5

_MINUTE = timedelta(minutes=1)


def is_counted_by_limit(rule: MetricRule) -> bool:
    """Say whether *rule* is judged by counting slow requests, if CloudWatch has the counts."""
    return rule.worse_is_more and rule.quantile is not None and rule.quantile >= _LEAST_QUANTILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The values above which a request counts as slow, in the metric's unit.

    The candidate's is production's and the margin: at the edge of the margin both have equal shares of slow
    requests.

    :param begin: the minute from which requests are counted, because earlier ones made the limit; ``None``:
        all of them.
    """

    control: float
    candidate: float
    begin: datetime | None

    @classmethod
    def of(cls, rule: MetricRule, history: Points, trial: Points) -> Limits | None:
        """
        Return the limits: the median of production's percentile in its minutes.

        :param history: minute -> percentile of production, before the trial.
        :param trial: the same since its start. Its first five minutes are used if the history has fewer.
        :return: ``None`` while there are too few minutes, or if the limit is not above 0.
        """
        first = sorted(trial)[:_LIMIT_MINUTES]
        from_trial = len(history) < _LIMIT_MINUTES
        values = [trial[moment] for moment in first] if from_trial else [*history.values()]
        if len(values) < _LIMIT_MINUTES or (control := _rounded(median(values))) <= 0:
            return None
        candidate = control * (1 + rule.allowed) if rule.relative else control + rule.allowed
        return cls(
            control=control,
            candidate=_rounded(candidate),
            begin=first[-1] + _MINUTE if from_trial else None,
        )

    def queries(self, control: MetricQuery, candidate: MetricQuery) -> tuple[MetricQuery, MetricQuery]:
        """Return the queries that count slow requests, from those for the percentiles of both sides."""
        return (
            replace(control, stat=stat_of_count(self.control)),
            replace(candidate, stat=stat_of_count(self.candidate)),
        )

    def slow_requests(self, control: Points, candidate: Points) -> SlowRequests | None:
        """Return the counts of both sides; ``None`` if a side has none: CloudWatch may lack the statistic."""
        if not control or not candidate:
            return None
        counts = Series(control=self._counted(control), candidate=self._counted(candidate))
        return SlowRequests(counts=counts, control_limit=self.control, candidate_limit=self.candidate)

    def _counted(self, counts: Points) -> Points:
        return {
            minute: count for minute, count in counts.items() if self.begin is None or minute >= self.begin
        }


def stat_of_count(limit: float) -> str:
    """Return CloudWatch's statistic for the number of values above *limit*: ``TC(532000:)``."""
    return f"TC({limit:.6f}".rstrip("0").rstrip(".") + ":)"


def judge_slow_requests(
    evidence: Evidence, rule: MetricRule, slow: SlowRequests, *, alpha_fail: float, alpha_pass: float
) -> Reason | None:
    """
    Judge *rule* by the counts of slow requests; ``None`` if there are too few.

    :param alpha_fail: probability, 0 to 1, of a false Fail.
    :param alpha_pass: probability, 0 to 1, of a false Pass.
    """
    if not slow.counts.control:
        return None
    # The same number of slow requests for each request is the edge of the margin.
    counted = replace(rule, stat="Sum", margin="0%")
    counts = replace(
        evidence.since(min(slow.counts.control)), metrics={counted: slow.counts}, history=History()
    )
    pairs = pairs_of(counts, counted)
    if missing_data(counts, counted, pairs, alpha=alpha_pass):
        return None
    minutes = pairs.counts(as_rate=False)
    interval = ratio_of_rates_interval(
        minutes,
        dispersion=split_dispersion(minutes),
        zero_rate_weight=ZERO_RATE_WEIGHT,
        alpha_low=alpha_fail,
        alpha_high=alpha_pass,
    )
    harm = tail_harm(minutes)
    return slow_reason(
        rule,
        slow,
        pairs,
        # Only the evidence over all onsets fails. The low end is shown.
        interval if harm.fails(alpha_fail) else replace(interval, low=min(interval.low, 1.0)),
        fails=harm.fails(alpha_fail),
        onset=harm.onset,
        minutes_run=evidence.minutes_run,
    )


def _rounded(value: float) -> float:
    """Return *value* with three digits: it stays the same if one more minute of the history is known."""
    return float(f"{value:.3g}")
