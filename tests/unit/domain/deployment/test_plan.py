"""The planned steps of each strategy."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.deployment.plan import planned_steps
from airflow_guardrails.domain.deployment.strategies import AllAtOnce, Canary, Linear, Rolling

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("strategy", "fleet", "steps"),
    [
        (AllAtOnce(), 4, [(0, 1.0, 0)]),
        (AllAtOnce(termination_wait=5 * MINUTE), 4, [(0, 1.0, 5)]),
        (
            Canary(percent=25, bake=30 * MINUTE, termination_wait=10 * MINUTE),
            4,
            [(0, 0.25, 30), (30, 1.0, 10)],
        ),
        (Canary(percent=10, bake=30 * MINUTE), 4, [(0, 0.25, 30), (30, 1.0, 0)]),
        (Canary(instances=1, bake=30 * MINUTE), 5, [(0, 0.2, 30), (30, 1.0, 0)]),
        (Linear(percent=50, bake=10 * MINUTE), 4, [(0, 0.5, 10), (10, 1.0, 10)]),
        (
            Linear(percent=33, bake=10 * MINUTE, termination_wait=5 * MINUTE),
            3,
            [(0, 1 / 3, 10), (10, 2 / 3, 10), (20, 1.0, 15)],
        ),
        (Rolling(batch_instances=2, bake=5 * MINUTE), 5, [(0, 0.4, 5), (5, 0.8, 5), (10, 1.0, 5)]),
    ],
)
def test_each_step_has_its_begin_its_share_and_its_bake(strategy, fleet, steps):
    assert [
        (step.begins / MINUTE, step.share, step.bake / MINUTE)
        for step in planned_steps(strategy, fleet=fleet)
    ] == [(begins, pytest.approx(share, abs=1e-5), bake) for begins, share, bake in steps]


def test_steps_in_instances_have_no_share_while_the_size_of_the_fleet_is_unknown():
    strategy = Canary(instances=1, bake=MINUTE)
    assert [step.share for step in planned_steps(strategy, fleet=None)] == [None, 1.0]


def test_steps_in_percent_have_their_share_also_without_the_size_of_the_fleet():
    assert [step.share for step in planned_steps(Linear(percent=40, bake=MINUTE), fleet=0)] == [0.4, 0.8, 1.0]


def test_an_unknown_strategy_plans_nothing():
    assert planned_steps(None, fleet=4) == ()


@pytest.mark.parametrize("percent", range(5, 51))
@pytest.mark.parametrize("fleet", [2, 3, 7, 10, 100])
def test_the_shares_rise_to_the_whole_fleet(percent, fleet):
    shares = [step.share for step in planned_steps(Rolling(batch_percent=percent, bake=MINUTE), fleet=fleet)]
    assert shares == sorted(set(shares))
    assert shares[-1] == 1.0
