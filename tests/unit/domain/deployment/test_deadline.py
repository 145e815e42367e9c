"""How long a rollout may take before something must be wrong, and what time it is on AWS's clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.deployment.deadline import (
    ABORTING,
    LONGEST_STARTUP,
    LONGEST_UPDATE,
    MARGIN,
    PROVISIONING,
    longest_rollout,
    longest_update_and_rollback,
    rollback_time,
)
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, AllAtOnce, Canary, Linear, Rolling
from airflow_guardrails.domain.times import AwsClock

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def longest(strategy, instances=None, **more):
    return longest_rollout(Guardrails(strategy=strategy), instances=instances, **more)


def test_max_duration_and_the_rollback_are_the_limit_if_it_is_set():
    canary = Canary(percent=25, bake=10 * MINUTE, max_duration=2 * HOUR)
    assert longest(canary) == longest(canary, instances=4) == 2 * HOUR + 15 * MINUTE
    rolling = Rolling(batch_percent=50, bake=10 * MINUTE, max_duration=2 * HOUR)
    # The old instances, all at once, have to come up again.
    assert longest(rolling) == 2 * HOUR + HOUR + 15 * MINUTE


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (None, timedelta(0)),
        (AllAtOnce(), timedelta(0)),
        (AllAtOnce(termination_wait=7 * MINUTE), 7 * MINUTE),
        (Canary(percent=25, bake=10 * MINUTE, termination_wait=5 * MINUTE), 15 * MINUTE),
        (Linear(percent=20, bake=10 * MINUTE, termination_wait=5 * MINUTE), 55 * MINUTE),
    ],
)
@pytest.mark.parametrize(
    ("startup", "startup_time"), [(MINUTE, PROVISIONING), (HOUR, HOUR), (None, LONGEST_STARTUP)]
)
def test_a_blue_green_update_starts_its_fleet_once(strategy, waits, startup, startup_time):
    given = {} if startup is None else {"startup": startup}
    # Margins: for the old fleet to go, and for the new one if it is rolled back.
    assert longest(strategy, **given) == waits + startup_time + 2 * MARGIN


@pytest.mark.parametrize(
    ("back", "comes_up"), [({}, 1), ({"rollback_batch_percent": 50}, 2), ({"rollback_batch_instances": 1}, 2)]
)
def test_a_rolling_update_starts_instances_for_each_batch_and_again_in_the_rollback(back, comes_up):
    rolling = Rolling(batch_percent=50, bake=10 * MINUTE, **back)
    assert longest(rolling) == 20 * MINUTE + 2 * HOUR + MARGIN + comes_up * HOUR + MARGIN


def test_batches_follow_from_the_instances_of_a_known_fleet():
    linear = Linear(instances=1, bake=10 * MINUTE)
    assert longest(linear, instances=4) == 40 * MINUTE + HOUR + 2 * MARGIN
    assert longest(linear) == 100 * MINUTE + HOUR + 2 * MARGIN  # the most steps SageMaker allows


STRATEGIES = [
    AllAtOnce(termination_wait=HOUR),
    Canary(instances=1, bake=HOUR),
    Linear(percent=10, bake=HOUR, termination_wait=HOUR),
    Rolling(batch_instances=1, bake=HOUR),
    Rolling(batch_percent=5, bake=HOUR, rollback_batch_percent=1),
    Linear(instances=1, bake=HOUR),
]


@pytest.mark.parametrize("instances", [None, 2, 4, 100])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_rollout_may_take_its_bakes_up_to_sagemakers_limit(strategy, instances):
    assert longest(strategy, instances) > min(strategy.total_bake, LONGEST_UPDATE)


@pytest.mark.parametrize("instances", [None, 2, 4, 100])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_rollout_may_take_more_than_eight_hours_and_a_rollback(strategy, instances):
    guardrails = Guardrails(strategy=strategy)
    batches = strategy.max_batches(instances) if isinstance(strategy, Rolling) else 1
    back = rollback_time(guardrails, startup=LONGEST_STARTUP, batches=batches)
    assert back <= 8 * HOUR + MARGIN
    assert longest(strategy, instances) <= 8 * HOUR + back


# Ten batches of two of twenty instances; each takes eight minutes to come up.
TEN_BATCHES = [
    Rolling(batch_percent=10, bake=NO_WAIT),
    Rolling(batch_percent=10, bake=5 * MINUTE),
    Rolling(batch_percent=10, bake=10 * MINUTE),
    Rolling(batch_percent=10, bake=30 * MINUTE),
    Rolling(batch_instances=2, bake=5 * MINUTE),
    Rolling(batch_percent=10, bake=5 * MINUTE, rollback_batch_percent=10),
    Rolling(batch_percent=10, bake=5 * MINUTE, rollback_batch_instances=2),
]


@pytest.mark.parametrize("startup", [5 * MINUTE, LONGEST_STARTUP])
@pytest.mark.parametrize("strategy", TEN_BATCHES, ids=str)
def test_a_rolling_update_of_ten_slow_batches_does_not_time_out(strategy, startup):
    assert strategy.max_batches(20) == 10
    healthy = 10 * (8 * MINUTE + strategy.bake)
    # One that is rolled back after its last batch takes the whole way back too.
    back = 10 if strategy.rollback_batch_percent or strategy.rollback_batch_instances else 1
    assert longest(strategy, instances=20, startup=startup) > healthy + back * 8 * MINUTE


def test_a_wait_without_a_limit_lasts_as_long_as_an_update_and_its_rollback_can():
    assert longest_update_and_rollback(Guardrails(strategy=None)) == 8 * HOUR + ABORTING
    limited = AllAtOnce(termination_wait=5 * MINUTE, max_duration=30 * MINUTE)
    assert longest_update_and_rollback(Guardrails(strategy=limited)) == 30 * MINUTE + ABORTING


# AWS's clock


class Machine:
    """Seconds since this machine was started, whatever the day."""

    def __init__(self, seconds=12_345.0):
        self.seconds = seconds

    def __call__(self):
        return self.seconds

    def passes(self, seconds):
        self.seconds += seconds


@pytest.mark.parametrize("off", [timedelta(0), 10 * MINUTE, -10 * MINUTE], ids=["exact", "fast", "slow"])
def test_the_clock_of_this_machine_has_no_effect_once_aws_has_answered(off):
    machine = Machine()
    clock = AwsClock(machine, as_of=TEN + off)
    machine.passes(30)
    clock.answered(TEN + 30 * timedelta(seconds=1))
    machine.passes(30)
    assert clock.now() == TEN + MINUTE
    assert clock.seconds_until(TEN + 2 * MINUTE) == 60


@pytest.mark.parametrize("started", [0.0, 5.0, 1e7])
def test_the_origin_of_the_monotonic_clock_has_no_effect(started):
    machine = Machine(started)
    clock = AwsClock(machine, as_of=TEN)
    machine.passes(90)
    assert clock.now() == TEN + 90 * timedelta(seconds=1)


def test_time_on_this_machine_counts_while_aws_does_not_answer():
    machine = Machine()
    clock = AwsClock(machine, as_of=TEN)
    for _ in range(4):
        machine.passes(15)
    assert clock.seconds_until(TEN + MINUTE) == 0
    machine.passes(3600)
    assert clock.seconds_until(TEN + MINUTE) == 0


def test_the_time_of_a_response_replaces_the_time_counted_here():
    """A process that was paused counted too little; one on another machine, too much."""
    machine = Machine()
    clock = AwsClock(machine, as_of=TEN)
    machine.passes(3600)
    clock.answered(TEN + MINUTE)
    assert clock.now() == TEN + MINUTE
    clock.answered(TEN + HOUR)
    assert clock.now() == TEN + HOUR


def test_without_a_deadline_the_wait_never_ends():
    assert AwsClock(Machine(), as_of=TEN).seconds_until(None) == float("inf")
