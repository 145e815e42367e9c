"""Stages are called complete only if every bake that the strategy must have had was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary, Linear, Rolling
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.stages import (
    are_stages_complete,
    bake_ends_at,
    stages_with_unseen,
    traffic_course,
)
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState, StageChange
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointStatus,
    PendingDeployment,
    Stage,
    Variant,
)

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


def stages_of(strategy, *baking, outcome=None):
    """The stages in the report: their names, and in brackets the bakes that nobody has seen."""
    return [
        f"{stage.stage.value} {stage.instances}"
        if isinstance(stage, StageChange)
        else f"({stage.stage.value} {stage.instances})"
        for stage in stages_with_unseen(state(strategy, *baking, outcome=outcome))
    ]


@pytest.mark.parametrize(
    ("baking", "outcome", "stages"),
    [
        ([1], None, ["Creating 0", "Baking 1"]),
        ([4], None, ["Creating 0", "(Baking 1)", "Baking 4"]),
        ([], Outcome.SUCCEEDED, ["Creating 0", "(Baking 1)", "(Baking 4)"]),
        ([1], Outcome.SUCCEEDED, ["Creating 0", "Baking 1", "(Baking 4)"]),
        # It may have been rolled back in the first bake, or before it.
        ([], Outcome.ROLLED_BACK, ["Creating 0"]),
        ([4], Outcome.ROLLED_BACK, ["Creating 0", "(Baking 1)", "Baking 4"]),
    ],
)
def test_a_bake_that_must_have_happened_and_was_not_seen_is_named(baking, outcome, stages):
    assert stages_of(CANARY, *baking, outcome=outcome) == stages


def test_the_removal_of_the_old_fleet_comes_after_the_last_bake():
    removing = StageChange(stage=Stage.DELETING, at=AT, instances=4, desired_instances=4)
    ended = state(CANARY, 1)
    stages = stages_with_unseen(replace(ended, stages=(*ended.stages, removing)))
    assert [stage.stage for stage in stages] == [Stage.CREATING, Stage.BAKING, Stage.BAKING, Stage.DELETING]


def test_without_instances_no_bake_is_made_up():
    serverless = state(CANARY)
    creating = replace(serverless.stages[0], desired_instances=0)
    assert stages_with_unseen(replace(serverless, stages=(creating,))) == (creating,)


def in_flight(strategy, *baking):
    green = Variant(name="live", instances=baking[-1], desired_instances=4)
    look = Endpoint(
        name="churn",
        status=EndpointStatus.UPDATING,
        seen_at=AT + MINUTE,
        pending=PendingDeployment(endpoint_config_name="v2", started_at=AT, variants=(green,)),
    )
    return replace(state(strategy, *baking, outcome=None), last_look=look)


@pytest.mark.parametrize(("baking", "minutes"), [([1], 10), ([1, 4], 5)])
def test_a_bake_ends_after_its_planned_time(baking, minutes):
    assert bake_ends_at(in_flight(CANARY, *baking)) == AT + minutes * MINUTE


def test_what_does_not_bake_has_no_planned_end():
    assert bake_ends_at(state(CANARY, outcome=None)) is None
    assert bake_ends_at(state(CANARY, 1)) is None
    assert bake_ends_at(in_flight(None, 1)) is None


def test_the_traffic_is_a_staircase_that_ends_where_the_endpoint_does():
    seen = in_flight(CANARY, 1)
    rollout = replace(seen.rollout, started_at=AT - MINUTE)
    assert traffic_course(replace(seen, rollout=rollout)) == [(AT - MINUTE, 0.0), (AT, 0.25)]
    look = Endpoint(name="churn", status=EndpointStatus.IN_SERVICE, seen_at=AT + 20 * MINUTE)
    for outcome, share in ((Outcome.SUCCEEDED, 1.0), (Outcome.ROLLED_BACK, 0.0)):
        ended = replace(seen, rollout=rollout, last_look=look, outcome=outcome)
        assert traffic_course(ended)[-1] == (AT + 20 * MINUTE, share)
    failed = replace(seen, rollout=rollout, last_look=look, outcome=Outcome.ROLLBACK_FAILED)
    assert traffic_course(failed)[-1] == (AT, 0.25), "which share it has now is unknown"
