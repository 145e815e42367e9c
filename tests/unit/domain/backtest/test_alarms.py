"""An alarm is replayed on past values as CloudWatch would have evaluated it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.backtest.alarms import replay_alarm
from airflow_guardrails.domain.snapshots.alarms import AlarmRule

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
RULE = AlarmRule(
    namespace="AWS/SageMaker",
    metric="Invocation5XXErrors",
    statistic="Average",
    comparison="GreaterThanThreshold",
    threshold=0.01,
    period=MINUTE,
    evaluation_periods=1,
    datapoints_to_alarm=1,
)


def replayed(values, rule=RULE, *, bake=timedelta(0)):
    """Replay *rule* on one value a period; None is a period without data."""
    points = {START + number * rule.period: value for number, value in enumerate(values) if value is not None}
    return replay_alarm(rule, points, start=START, end=START + len(values) * rule.period, bake=bake)


def test_each_way_into_alarm_counts_once():
    assert replayed([0, 0.02, 0.03, 0, 0.02, 0]).times == 2


def test_a_value_at_the_threshold_breaches_only_if_the_comparison_says_so():
    at = [0.01]

    assert replayed(at).times == 0
    assert replayed(at, replace(RULE, comparison="GreaterThanOrEqualToThreshold")).times == 1
    assert replayed([0.005], replace(RULE, comparison="LessThanThreshold")).times == 1


def test_so_many_of_the_last_datapoints_must_breach():
    rule = replace(RULE, evaluation_periods=3, datapoints_to_alarm=2)

    assert replayed([0.02, 0, 0, 0.02, 0, 0, 0], rule).times == 0
    assert replayed([0.02, 0, 0.02, 0, 0], rule).times == 1


@pytest.mark.parametrize(
    ("treatment", "times"), [("missing", 2), ("notBreaching", 2), ("breaching", 1), ("ignore", 1)]
)
def test_missing_data_is_treated_as_the_alarm_says(treatment, times):
    values = [0.02, None, 0.02, None, None]

    assert replayed(values, replace(RULE, treat_missing_data=treatment)).times == times


def test_the_share_of_bakes_that_meet_the_alarm():
    quiet, bad = [0.0] * 50, [0.02]

    assert replayed([*quiet, *quiet]).rolled_back == 0
    short, long = (replayed([*quiet, *bad, *quiet], bake=bake * MINUTE).rolled_back for bake in (5, 20))
    assert 0 < short < long < 0.5
    assert replayed(bad * 50, bake=10 * MINUTE).rolled_back == 1


def test_periods_begin_at_multiples_of_their_length():
    rule = replace(RULE, period=timedelta(minutes=5))
    points = {START: 0.02, START + timedelta(minutes=5): 0.0}

    past = replay_alarm(
        rule, points, start=START + MINUTE, end=START + timedelta(minutes=11), bake=timedelta(0)
    )

    assert (past.times, past.periods) == (1, 2)
