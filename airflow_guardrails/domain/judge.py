"""Judge a candidate by what it did beside production, minute by minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from airflow_guardrails.domain.judge_verdict import Label, Reason, Verdict, combine
from airflow_guardrails.domain.metric_rules import DEFAULT_RULES, MetricRule

__all__ = ["Evidence", "Label", "Reason", "Series", "Verdict", "combine", "judge", "judge_share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric on both sides: a value for each minute that has one."""

    control: Mapping[datetime, float]
    candidate: Mapping[datetime, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What is known of a trial.

    :param requests: requests per minute.
    :param metrics: what CloudWatch has for each rule.
    :param expected_share: requests that the candidate should get for each of production's.
    :param minutes: how long the trial ran; default: as far as the requests reach.
    :param paired: whether the candidate got copies of production's requests.
    """

    requests: Series
    metrics: Mapping[MetricRule, Series] = field(default_factory=dict)
    expected_share: float = 1.0
    minutes: int | None = None
    paired: bool = True


def judge(evidence: Evidence, rules: Sequence[MetricRule] = DEFAULT_RULES, *, alpha: float = 0.05) -> Verdict:
    """Judge the candidate by each of *rules*."""
    raise NotImplementedError


def judge_share(
    name: str, hits: int, trials: int, *, limit: float, min_trials: int, alpha: float = 0.05
) -> Reason:
    """Judge the share of *hits* among *trials* against *limit*."""
    raise NotImplementedError
