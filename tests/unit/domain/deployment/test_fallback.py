"""All at once on fleets that are too small for the strategy in the DAG."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.deployment.fallback import fell_back, strategy_for
from airflow_guardrails.domain.errors import InvalidStrategy
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling


def minutes(number):
    return timedelta(minutes=number)


INSTEAD = {"if_too_small": "all_at_once"}


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (Canary(percent=10, bake=minutes(10), **INSTEAD), 10),
        (Canary(percent=10, bake=minutes(10), termination_wait=minutes(5), **INSTEAD), 15),
        (Linear(percent=10, bake=minutes(10), termination_wait=minutes(5), **INSTEAD), 15),
        (Rolling(batch_percent=10, bake=minutes(10), **INSTEAD), 10),
        # SageMaker waits at most an hour.
        (Canary(percent=10, bake=minutes(50), termination_wait=minutes(20), **INSTEAD), 60),
    ],
    ids=str,
)
def test_one_instance_is_updated_all_at_once_with_the_same_bake(strategy, waits):
    runs = strategy_for(strategy, [1])

    assert runs == AllAtOnce(termination_wait=minutes(waits))
    assert fell_back(strategy, runs)


def test_the_limit_of_the_update_is_kept():
    strategy = Canary(percent=10, bake=minutes(30), max_duration=timedelta(hours=2), **INSTEAD)

    assert strategy_for(strategy, [1]).max_duration == timedelta(hours=2)


@pytest.mark.parametrize(
    ("strategy", "fleets", "fits"),
    [
        (Canary(percent=10, bake=minutes(10), **INSTEAD), [2], True),
        (Canary(percent=10, bake=minutes(10), **INSTEAD), [2, 1], False),
        (Canary(instances=2, bake=minutes(10), **INSTEAD), [4], True),
        (Canary(instances=2, bake=minutes(10), **INSTEAD), [3], False),
        (Linear(instances=1, bake=minutes(10), **INSTEAD), [2], True),
        (Rolling(batch_instances=3, bake=minutes(10), **INSTEAD), [5], False),
        (Rolling(batch_percent=50, bake=minutes(10), **INSTEAD), [None], False),
    ],
    ids=str,
)
def test_every_fleet_must_be_large_enough_and_a_serverless_one_never_is(strategy, fleets, fits):
    runs = strategy_for(strategy, fleets)

    assert fell_back(strategy, runs) is not fits
    assert (runs.name, "all at once" in runs.describe()) == (
        (strategy.name, isinstance(strategy, Rolling)) if fits else ("all at once", True)
    )


@pytest.mark.parametrize(
    "strategy", [Canary(percent=10, bake=minutes(10)), AllAtOnce(termination_wait=minutes(10)), None], ids=str
)
def test_what_does_not_say_so_is_left_alone(strategy):
    assert strategy_for(strategy, [1]) is strategy
    assert not fell_back(strategy, AllAtOnce())


def test_unknown_fleets_decide_nothing():
    strategy = Canary(percent=10, bake=minutes(10), **INSTEAD)

    assert strategy_for(strategy, []) is strategy


@pytest.mark.parametrize("value", ["yes", None, True])
def test_any_other_choice_is_refused(value):
    with pytest.raises(InvalidStrategy, match=r"Canary.if_too_small must be one of 'fail', 'all_at_once'"):
        Canary(percent=10, bake=minutes(10), if_too_small=value)


def test_a_strategy_says_that_it_may_fall_back():
    strategy = Canary(percent=10, bake=minutes(10), **INSTEAD)

    assert strategy.describe().endswith("; all at once if the fleet is too small")
