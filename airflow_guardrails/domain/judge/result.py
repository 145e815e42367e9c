"""What the evidence says about one rule, before it is put into words."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_guardrails.domain.judge.statistics.interval import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What the minutes say about one rule.

    :param interval: of the candidate's value minus production's, or of their ratio if the rule is relative,
        in the whole trial.
    :param fails: whether harm beyond the margin is proven, in the whole trial or since some minute.
    :param onset: index of the pair with which the harm most likely began, from 0.
    :param measured_since_onset: the difference or ratio from that pair on.
    """

    interval: Interval
    fails: bool
    onset: int
    measured_since_onset: float
