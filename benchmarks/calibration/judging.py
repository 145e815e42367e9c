"""Runs a judge at several looks: at which minute does it first fail a candidate, and does it ever pass it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from kayenta import judge_kayenta

from airflow_guardrails.domain.judge import Evidence, History, Label, Series, SlowRequests, Verdict, judge
from airflow_guardrails.domain.judge.rules import MetricRule
from calibration.row import Row, Trials
from calibration.series import PAST, moments

ALPHA = 0.05

Rules = tuple[MetricRule, ...]
Judge = Callable[[Evidence, Rules], Verdict]


@dataclass(frozen=True, slots=True)
class Course:
    """Minutes of the first Fail and of the first Pass before it; ``None`` if there is none."""

    failed: int | None
    passed: int | None


def ours(evidence: Evidence, rules: Rules) -> Verdict:
    """Judge with our judge."""
    return judge(evidence, rules, alpha=ALPHA)


def kayenta(evidence: Evidence, rules: Rules) -> Verdict:
    """Judge with Kayenta's judge."""
    return judge_kayenta(evidence, rules)


def our_looks(row: Row) -> Iterable[int]:
    """Return the minutes of our looks: every minute; every sixth in a trial of six hours."""
    every = max(1, row.minutes // 60)
    return range(5 * every, row.minutes + 1, every)


def kayentas_looks(row: Row) -> Iterable[int]:
    """Return the minutes of eleven looks at a growing window, as in Kayenta's canary stage."""
    every = row.minutes // 12
    return range(2 * every, row.minutes + 1, every)


def course(judge_at: Judge, row: Row, trials: Trials, looks: Iterable[int]) -> Course:
    """Judge *trials* at each of *looks*, until a Fail."""
    passed = None
    for minutes in looks:
        label = judge_at(evidence_at(row, trials, minutes), tuple(trials)).label
        if label is Label.FAIL:
            return Course(minutes, passed)
        if label is Label.PASS and passed is None:
            passed = minutes
    return Course(None, passed)


def evidence_at(row: Row, trials: Trials, minutes: int) -> Evidence:
    """Return the evidence after *minutes* of the trial, without the warm-up."""
    at = moments(minutes)
    first = next(iter(trials.values()))

    def series(control: list[float], candidate: list[float]) -> Series:
        return Series(
            control=dict(zip(at, control, strict=False)), candidate=dict(zip(at, candidate, strict=False))
        )

    share = row.share
    if share is None:
        share = sum(first.candidate_requests[:minutes]) / sum(first.control_requests[:minutes])
    evidence = Evidence(
        history=history_of(trials) if row.known else History(),
        requests=series(first.control_requests, first.candidate_requests),
        metrics={rule: series(trial.control, trial.candidate) for rule, trial in trials.items()},
        expected_share=share,
        paired=row.paired,
        slow={
            rule: SlowRequests(
                counts=series(*trial.slow), control_limit=trial.slow_limit, candidate_limit=trial.slow_limit
            )
            for rule, trial in trials.items()
            if trial.slow
        },
    )
    return evidence.without_warm_up(timedelta(minutes=row.warm_up))


def history_of(trials: Trials) -> History:
    """Return the history of production before the trial."""
    before = moments(PAST, first=-PAST)
    first = next(iter(trials.values()))
    return History(
        requests=dict(zip(before, first.past_requests, strict=True)),
        metrics={rule: dict(zip(before, trial.past, strict=True)) for rule, trial in trials.items()},
    )
