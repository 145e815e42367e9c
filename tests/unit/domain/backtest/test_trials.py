"""The judge on random splits of the past: seldom a false alarm, and harm is found."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.backtest.splits import Past
from airflow_guardrails.domain.backtest.trials import judged_minutes, replay_analysis
from airflow_guardrails.domain.canary.schedule import plan_comparison
from airflow_guardrails.rules import CanaryAnalysis, MetricRule
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear

START = datetime(2026, 3, 2, tzinfo=timezone.utc)
ERRORS = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.01)
LATENCY = MetricRule("ModelLatency", margin="20%")
ANALYSIS = CanaryAnalysis(rules=[ERRORS])


def past(minutes: int = 600, *, per_minute: int = 3_000) -> Past:
    rng = random.Random(1)
    times = [START + timedelta(minutes=number) for number in range(minutes)]
    return Past(
        requests=dict.fromkeys(times, float(per_minute)),
        metrics={
            ERRORS: {at: float(rng.randint(2, 10)) for at in times},
            LATENCY: {at: rng.gauss(20_000, 100) for at in times},
        },
        spreads={LATENCY: dict.fromkeys(times, 2_000.0)},
    )


def plan(strategy, analysis=ANALYSIS):
    return plan_comparison(strategy, instances=4, needed=analysis.abort_cutoff)


def test_the_minutes_of_which_a_verdict_comes_too_late_are_not_judged():
    bake = timedelta(minutes=30)

    covered = judged_minutes(
        plan(Canary(percent=50, bake=bake, termination_wait=timedelta(minutes=10))), ANALYSIS
    )
    alone = judged_minutes(plan(Canary(percent=50, bake=bake)), ANALYSIS)

    assert covered == (1 / 3,) * 30
    # Three minutes until a minute is published, that minute, a look, and the time of the switch.
    assert len(alone) == 30 - 6


def test_each_step_has_its_share():
    shares = judged_minutes(plan(Linear(percent=25, bake=timedelta(minutes=10))), ANALYSIS)

    assert list(dict.fromkeys(shares)) == [0.25, 0.5, 0.75]


def test_without_a_bake_nothing_is_judged():
    assert judged_minutes(plan(AllAtOnce()), ANALYSIS) == ()


@pytest.mark.proof
def test_a_good_fleet_passes_and_harm_is_found():
    found = replay_analysis(past(), ANALYSIS, (0.3,) * 20, alpha=0.05)

    assert found.trials == 100
    assert found.false_alarms <= 5
    assert found.passed > 90
    assert found.false_alarm_interval.low <= 0.05
    (errors,) = found.found
    assert 0.01 < errors.size <= 0.05
    assert 5 <= errors.by_minute <= 24


@pytest.mark.proof
def test_the_same_past_gives_the_same_result():
    first, second = (replay_analysis(past(200), ANALYSIS, (0.3,) * 10, alpha=0.05) for _ in range(2))

    assert first == second


@pytest.mark.proof
def test_little_traffic_finds_less():
    busy, quiet = (
        replay_analysis(past(200, per_minute=number), ANALYSIS, (0.3,) * 15, alpha=0.05).found[0].size or 1
        for number in (3_000, 60)
    )

    assert busy < quiet


@pytest.mark.proof
def test_a_slow_down_is_found():
    analysis = CanaryAnalysis(rules=[LATENCY])

    found = replay_analysis(past(), analysis, (0.3,) * 20, alpha=0.05)

    assert found.false_alarms <= 5
    assert 0.2 < found.found[0].size <= 0.5


def test_without_a_past_there_is_no_trial():
    found = replay_analysis(Past(requests={}, metrics={}), ANALYSIS, (0.3,) * 20, alpha=0.05)

    assert (found.trials, found.found) == (0, ())
