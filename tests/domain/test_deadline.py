"""How long a rollout may take before something must be wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.deadline import MARGIN, PROVISIONING, longest_rollout
from airflow_guardrails.domain.guardrails import Guardrails
from airflow_guardrails.domain.strategies import AllAtOnce, Canary, Linear, Rolling

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def longest(strategy, instances=None):
    return longest_rollout(Guardrails(strategy=strategy), instances=instances)


def test_sagemakers_own_limit_and_a_margin_where_there_is_one():
    canary = Canary(percent=25, bake=10 * MINUTE, max_duration=2 * HOUR)
    assert longest(canary) == longest(canary, instances=4) == 2 * HOUR + 15 * MINUTE


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (None, timedelta(0)),
        (AllAtOnce(), timedelta(0)),
        (AllAtOnce(termination_wait=7 * MINUTE), 7 * MINUTE),
        (Canary(percent=25, bake=10 * MINUTE, termination_wait=5 * MINUTE), 15 * MINUTE),
        (Linear(percent=20, bake=10 * MINUTE, termination_wait=5 * MINUTE), 55 * MINUTE),
        (Rolling(batch_percent=50, bake=10 * MINUTE), 20 * MINUTE),
    ],
)
def test_else_the_waits_of_the_schedule_an_hour_to_come_up_and_the_margin(strategy, waits):
    assert longest(strategy) == waits + PROVISIONING + MARGIN == waits + 75 * MINUTE


def test_a_fleet_that_is_known_counts_by_its_instances():
    linear = Linear(instances=1, bake=10 * MINUTE)
    assert longest(linear, instances=4) == 40 * MINUTE + 75 * MINUTE
    assert longest(linear) == 100 * MINUTE + 75 * MINUTE  # the most steps SageMaker allows


@pytest.mark.parametrize("instances", [None, 2, 4, 100])
@pytest.mark.parametrize(
    "strategy",
    [
        AllAtOnce(termination_wait=HOUR),
        Canary(instances=1, bake=HOUR),
        Linear(percent=10, bake=HOUR, termination_wait=HOUR),
        Rolling(batch_instances=1, bake=HOUR),
    ],
)
def test_a_rollout_is_never_given_less_than_it_bakes(strategy, instances):
    assert longest(strategy, instances) > strategy.total_bake
