"""How often an analysis would have raised a false alarm, and what it would have found."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from airflow_guardrails.domain.backtest.splits import Harm, Past, split
from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.canary.schedule import ComparisonPlan
from airflow_guardrails.domain.judge import MAX_HISTORY, Evidence, Label, Series, judge
from airflow_guardrails.domain.judge.power import FOUND_CHANCE
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.interval import Interval
from airflow_guardrails.domain.judge.statistics.proportions import share_interval
from airflow_guardrails.domain.snapshots.metrics import METRICS_LAG

_MINUTE = timedelta(minutes=1)
# Trials for false alarms, and for each size of harm; looks in a trial.
TRIALS, _HARMED_TRIALS, _MOST_LOOKS = 100, 20, 15
_ADDED_ERRORS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_WORSE_BY = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    The smallest harm that is found with a chance of ``FOUND_CHANCE``.

    :param size: as in :class:`~airflow_guardrails.domain.backtest.splits.Harm`; None: none that was tried.
    :param by_minute: by which minute after the beginning of the bakes.
    """

    rule: MetricRule
    size: float | None
    by_minute: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPast:
    """
    What an analysis would have done.

    :param trials: random splits that were judged.
    :param false_alarms: how many of them were judged Fail, although both fleets are the same.
    :param passed: how many ended with a Pass.
    """

    trials: int
    false_alarms: int
    passed: int
    found: tuple[Found, ...]

    @property
    def false_alarm_interval(self) -> Interval:
        """The share of false alarms, 0 to 1, with its 95 % confidence interval."""
        return share_interval(self.false_alarms, self.trials, alpha=1 - _CONFIDENCE)

    @property
    def pass_interval(self) -> Interval:
        """The share of trials that end with a Pass, with its 95 % confidence interval."""
        return share_interval(self.passed, self.trials, alpha=1 - _CONFIDENCE)


@dataclass(frozen=True, slots=True)
class _Course:
    failed_at: int | None
    passed: bool


def judged_minutes(plan: ComparisonPlan, analysis: CanaryAnalysis) -> tuple[float, ...]:
    """Return the new fleet's share in each minute of the bakes of which a verdict would come in time."""
    length = len(plan.shares) * plan.each
    # A minute is published late, and the switch needs time to act.
    reserve = max(timedelta(0), METRICS_LAG + _MINUTE + analysis.abort_cutoff - plan.after)
    minutes = max(0, int((length - reserve) / _MINUTE))
    return tuple(
        plan.shares[min(len(plan.shares) - 1, int(number * _MINUTE / plan.each))] for number in range(minutes)
    )


def replay_analysis(
    past: Past,
    analysis: CanaryAnalysis,
    shares: Sequence[float],
    *,
    alpha: float,
    seed: int = 0,
) -> AnalysisPast:
    """
    Judge random splits of *past*, without harm and with.

    :param past: with values for the interim rules of *analysis*.
    :param shares: from :func:`judged_minutes`.
    :param alpha: the part of the analysis's alpha for this variant.
    """
    runner = _Runner(past, analysis, tuple(shares), alpha, seed)
    clean = runner.courses(TRIALS)
    return AnalysisPast(
        trials=len(clean),
        false_alarms=sum(one.failed_at is not None for one in clean),
        passed=sum(one.passed for one in clean),
        found=tuple(runner.smallest(rule) for rule in analysis.interim_rules) if clean else (),
    )


class _Runner:
    def __init__(
        self, past: Past, analysis: CanaryAnalysis, shares: tuple[float, ...], alpha: float, seed: int
    ) -> None:
        self._past = past
        self._analysis = analysis
        self._shares = shares
        self._alpha = alpha
        self._seed = seed
        self._starts = _starts(past, len(shares))

    def courses(self, trials: int, harm: Harm | None = None) -> list[_Course]:
        """Judge *trials* splits, which begin at times spread over the past."""
        rng = random.Random(self._seed)  # noqa: S311 - not for secrets
        starts = [
            self._starts[number * len(self._starts) // trials] for number in range(trials) if self._starts
        ]
        found = (self._course(start, rng, harm) for start in starts)
        return [course for course in found if course is not None]

    def smallest(self, rule: MetricRule) -> Found:
        """Return the smallest harm to *rule* that is found; larger ones are assumed to be found, too."""
        sizes = _ADDED_ERRORS if rule.counted else _WORSE_BY
        low, high, minute = 0, len(sizes), None
        while low < high:
            middle = (low + high) // 2
            found = self._found_by(Harm(rule=rule, size=sizes[middle]))
            if found is None:
                low = middle + 1
            else:
                high, minute = middle, found
        return Found(rule=rule, size=None if low == len(sizes) else sizes[low], by_minute=minute)

    def _found_by(self, harm: Harm) -> int | None:
        courses = self.courses(_HARMED_TRIALS, harm)
        failed = sorted(one.failed_at for one in courses if one.failed_at is not None)
        needed = ceil(FOUND_CHANCE * len(courses))
        return failed[needed - 1] if needed and len(failed) >= needed else None

    def _course(self, start: datetime, rng: random.Random, harm: Harm | None) -> _Course | None:
        rules = self._analysis.interim_rules
        whole = split(self._past, rules, start=start, shares=self._shares, rng=rng, harm=harm)
        if whole is None:
            return None
        every = max(int(self._analysis.every / _MINUTE), ceil(len(self._shares) / _MOST_LOOKS), 1)
        label = Label.INCONCLUSIVE
        for minutes in [*range(every, len(self._shares), every), len(self._shares)]:
            label = judge(
                _until(whole, start + minutes * _MINUTE),
                rules,
                alpha=self._alpha,
                warm_up=self._analysis.warm_up,
            ).label
            if label is Label.FAIL:
                return _Course(minutes + int(METRICS_LAG / _MINUTE) + 1, passed=False)
        return _Course(None, passed=label is Label.PASS)


def _starts(past: Past, minutes: int) -> list[datetime]:
    """Return the minutes at which a trial may begin: with traffic, and enough of the past behind it."""
    if not past.requests or not minutes:
        return []
    begin, last = min(past.requests), max(past.requests) - (minutes - 1) * _MINUTE
    # The judge uses the hours before an update. Of a short past, the second half is judged.
    first = begin + min(MAX_HISTORY, (last - begin) / 2)
    return sorted(moment for moment, count in past.requests.items() if count > 0 and first <= moment <= last)


def _until(evidence: Evidence, end: datetime) -> Evidence:
    """Return the evidence of the minutes before *end*."""
    requests = _cut(evidence.requests, end)
    old, new = sum(requests.control.values()), sum(requests.candidate.values())
    return replace(
        evidence,
        requests=requests,
        expected_share=new / old if old and new else evidence.expected_share,
        metrics={rule: _cut(series, end) for rule, series in evidence.metrics.items()},
        slow={rule: replace(one, counts=_cut(one.counts, end)) for rule, one in evidence.slow.items()},
    )


def _cut(series: Series, end: datetime) -> Series:
    return Series(
        control={at: value for at, value in series.control.items() if at < end},
        candidate={at: value for at, value in series.candidate.items() if at < end},
    )
