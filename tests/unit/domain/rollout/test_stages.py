"""Stages are called complete only if every bake that the strategy must have had was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary, Linear, Rolling
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.stages import are_stages_complete
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState, StageChange
from airflow_guardrails.domain.snapshots.endpoint import Stage

MINUTE = timedelta(minutes=1)
AT = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)
CANARY = Canary(percent=25, bake=10 * MINUTE, termination_wait=5 * MINUTE)


def state(strategy, *baking, outcome=Outcome.SUCCEEDED):
    stages = [(Stage.CREATING, 0), *((Stage.BAKING, instances) for instances in baking)]
    return RolloutState(
        rollout=Rollout(
            endpoint_name="churn",
            target="v2",
            guardrails=Guardrails(strategy=strategy, alarms=("errors",)) if strategy else None,
        ),
        stages=tuple(
            StageChange(stage=stage, at=AT, instances=instances, desired_instances=4)
            for stage, instances in stages
        ),
        outcome=outcome,
    )


@pytest.mark.parametrize(
    ("strategy", "bakes"),
    [
        (AllAtOnce(), []),
        (AllAtOnce(termination_wait=MINUTE), [4]),
        (CANARY, [1, 4]),
        (Canary(percent=25, bake=MINUTE), [1]),
        (Linear(percent=25, bake=MINUTE), [1, 2, 3, 4]),
        (Linear(percent=50, bake=MINUTE), [2, 4]),
        (Rolling(batch_percent=25, bake=MINUTE), [1, 2, 3, 4]),
    ],
)
def test_every_bake_of_the_strategy_must_have_been_seen(strategy, bakes):
    assert are_stages_complete(state(strategy, *bakes))
    for missed in range(len(bakes)):
        assert not are_stages_complete(state(strategy, *bakes[:missed], *bakes[missed + 1 :]))


def test_an_unknown_strategy_cannot_be_compared():
    assert not are_stages_complete(state(None, 1, 4))


@pytest.mark.parametrize(("bakes", "complete"), [([], False), ([1], True)])
def test_a_rollback_came_in_a_bake(bakes, complete):
    assert are_stages_complete(state(CANARY, *bakes, outcome=Outcome.ROLLED_BACK)) is complete


def test_a_wait_that_was_interrupted_is_not_complete():
    assert not are_stages_complete(replace(state(CANARY, 1, 4), stages_complete=False))


def test_an_update_in_flight_has_missed_nothing_so_far():
    assert are_stages_complete(state(CANARY, outcome=None))
