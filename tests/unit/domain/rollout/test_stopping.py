"""What stopping a rollout would do, and when SageMaker acts on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary, Linear, Rolling
from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.rollout.stopping import stopping_of, when_an_abort_acts
from airflow_guardrails.domain.snapshots.endpoint import (
    Endpoint,
    EndpointStatus,
    MissingEndpoint,
    PendingDeployment,
    Stage,
    Variant,
    VariantStage,
)
from tests.support.churn import switch_of

MINUTE = timedelta(minutes=1)
CANARY = Canary(percent=25, bake=10 * MINUTE, termination_wait=5 * MINUTE)
LINEAR = Linear(percent=25, bake=10 * MINUTE)
ROLLING = Rolling(batch_percent=25, bake=3 * MINUTE)

NOW = "it acts now, because the update is baking"
BACK = "SageMaker is rolling the update back"
NEVER = "no bake is left, so SageMaker will finish the update"
UNKNOWN = "it acts in the next bake, if there is one"
WAITING = AllAtOnce(termination_wait=5 * MINUTE)
HASTY = Canary(percent=25, bake=10 * MINUTE)


def next_bake(minutes):
    return f"it acts in the next bake ({minutes} min)"


def standing(name, instances, desired=4):
    """An endpoint in an update whose new fleet is in a stage."""
    now = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
    marks = () if name is None else (VariantStage(stage=Stage(name), since=now),)
    fleet = Variant(name="All", instances=instances, desired_instances=desired, stages=marks)
    pending = PendingDeployment(endpoint_config_name="v2", variants=(fleet,))
    return Endpoint(name="churn", status=EndpointStatus.UPDATING, seen_at=now, pending=pending)


@pytest.mark.parametrize(
    ("strategy", "name", "instances", "says"),
    [
        (None, "Creating", 0, NEVER),
        (None, "ActivatingTraffic", 4, NEVER),
        (AllAtOnce(), "Creating", 0, NEVER),
        (AllAtOnce(), "ActivatingTraffic", 0, NEVER),
        (WAITING, "Creating", 0, next_bake(5)),
        (WAITING, "ActivatingTraffic", 0, next_bake(5)),
        (WAITING, "Baking", 4, NOW),
        (WAITING, "Deleting", 4, NEVER),
        (CANARY, None, 0, next_bake(10)),
        (CANARY, "Creating", 0, next_bake(10)),
        (CANARY, "ActivatingTraffic", 0, next_bake(10)),
        (CANARY, "Baking", 1, NOW),
        (CANARY, "ActivatingTraffic", 1, next_bake(5)),
        (CANARY, "ActivatingTraffic", 4, next_bake(5)),
        (CANARY, "Baking", 4, NOW),
        (CANARY, "Deleting", 4, NEVER),
        (CANARY, "Deleting", 0, BACK),
        (HASTY, "Creating", 0, next_bake(10)),
        (HASTY, "ActivatingTraffic", 1, NEVER),
        (HASTY, "Deleting", 4, NEVER),
        (LINEAR, "Creating", 0, next_bake(10)),
        (LINEAR, "ActivatingTraffic", 1, next_bake(10)),
        (LINEAR, "ActivatingTraffic", 4, NEVER),
        (LINEAR, "Baking", 2, NOW),
        (LINEAR, "Deleting", 4, NEVER),
        (ROLLING, "Creating", 0, next_bake(3)),
        (ROLLING, "Updating", 1, next_bake(3)),
        (ROLLING, "Baking", 1, NOW),
        # Each batch of a rolling update ends with instances that go.
        (ROLLING, "Deleting", 1, next_bake(3)),
        (Rolling(batch_percent=25, bake=0 * MINUTE), "Creating", 0, NEVER),
    ],
)
def test_an_abort_is_said_to_act_when_the_strategy_bakes_next(strategy, name, instances, says):
    look = standing(name, instances)
    assert when_an_abort_acts(look, Guardrails(strategy=strategy, alarms=("errors",))) == says


@pytest.mark.parametrize(
    ("look", "guardrails"),
    [
        (None, Guardrails(strategy=CANARY)),
        (standing("Creating", 0), None),
        (MissingEndpoint(name="churn", seen_at=standing(None, 0).seen_at), Guardrails(strategy=CANARY)),
    ],
    ids=["no look", "unknown strategy", "no endpoint"],
)
def test_nothing_is_promised_of_an_update_that_is_not_known(look, guardrails):
    assert when_an_abort_acts(look, guardrails) == UNKNOWN


def baking(**facts):
    rollout = {
        "previous": "v1",
        "guardrails": Guardrails(strategy=CANARY, alarms=("errors",)),
        "switch": switch_of(target="v2"),
        "on_kill": "abort",
        **facts,
    }
    return RolloutState(
        rollout=Rollout(endpoint_name="churn", target="v2", **rollout),
        seen_in_flight=True,
        last_look=standing("Baking", 1),
    )


def test_the_report_says_that_marking_the_task_failed_aborts_and_when():
    assert stopping_of(baking()) == {
        "aborts": True,
        "text": f"Marking this task failed aborts the update: {NOW}",
    }


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (baking(on_kill="leave"), 'leaves the update alone, because on_kill is "leave"'),
        (baking(switch=None), "cannot abort the update: the update has no abort switch"),
        (replace(baking(), last_look=standing("Deleting", 0, desired=0)), f"{BACK} already"),
        (baking(switch=None, adopted=Adopted.FOREIGN), "cannot abort the update: nothing proves"),
        (
            baking().after_abort(standing("Baking", 1).seen_at),
            "The abort switch is thrown already; it acts now",
        ),
    ],
    ids=["left alone", "no switch", "rolling back", "of somebody else", "aborted already"],
)
def test_the_report_says_why_marking_the_task_failed_aborts_nothing(state, text):
    stopping = stopping_of(state)
    assert not stopping["aborts"]
    assert text in stopping["text"]


@pytest.mark.parametrize("outcome", Outcome)
def test_what_has_ended_cannot_be_stopped(outcome):
    assert stopping_of(replace(baking(), outcome=outcome)) is None
