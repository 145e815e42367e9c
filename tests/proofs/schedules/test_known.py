"""Schedules whose end is known, one for each thing that random ones mix."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.strategies import Canary
from tests.proofs.schedules.model import Crash, Event, Run
from tests.proofs.schedules.plain_runs import update
from tests.proofs.schedules.play import played

LONG = {"strategy": Canary(percent=25, bake=timedelta(minutes=15))}
ABORTS = {"on_kill": "abort", "on_timeout": "abort"}


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("late", [0, 6])
def test_a_task_marked_failed_is_rolled_back(deferrable, late):
    run = Run(**update(**LONG, **ABORTS, deferrable=deferrable), supervisor_late=late)
    play = played(run, events=(Event(300, "mark_failed"),))

    assert play.throws == 1
    assert not play.account.truths["churn"].updates[0].served


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("late", [0, 6])
@pytest.mark.parametrize("crash", [None, Crash("DescribeEndpoint", 1, sent=False)])
def test_a_cleared_task_is_not_aborted_even_if_its_new_try_fails_at_once(deferrable, late, crash):
    arguments = update(**LONG, **ABORTS, deferrable=deferrable)
    run = Run(**arguments, tries=(None, crash), retry_after=0, supervisor_late=late)
    play = played(run, events=(Event(300, "clear"),))

    assert play.throws == 0
    assert len(play.account.truths["churn"].updates) == 1
    assert play.account.truths["churn"].updates[0].served


@pytest.mark.parametrize("event", [("restart", ("killed", 30)), ("restart", ("shut down", 0)), ("copy", 60)])
def test_a_triggerer_that_is_lost_or_shared_aborts_nothing(event):
    run = Run(**update(**LONG, **ABORTS, deferrable=True))
    play = played(run, events=(Event(300, *event),))

    assert play.throws == 0
    assert play.outcomes == ["Succeeded"]


# From the deferral on: the triggerer hears nothing of AWS's clock.
NEVER_DATED = (Event(10, "fault", ("DescribeEndpoint", "missing", 1000)),)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(("worker", "triggerer"), [(600, -600), (-600, 600)])
@pytest.mark.parametrize(
    "fault", [(), (Event(100, "fault", ("DescribeEndpoint", "missing", 20)),), NEVER_DATED]
)
def test_clocks_that_are_ten_minutes_off_abort_nothing(deferrable, worker, triggerer, fault):
    arguments = update(**LONG, **ABORTS, deferrable=deferrable, max_wait=timedelta(minutes=25))
    run = Run(**arguments, worker_clock=worker, triggerer_clock=triggerer)
    play = played(run, events=fault)

    assert play.throws == 0
    assert play.outcomes == ["Succeeded"]


def test_one_configuration_on_two_endpoints_is_launched_once_for_each_although_a_worker_dies():
    runs = [
        Run(**update(endpoint=number), mapped=True, tries=(Crash("UpdateEndpoint", 1, sent=True), None))
        for number in (0, 1)
    ]
    play = played(*runs)

    assert play.outcomes == ["Succeeded", "Succeeded"]
    assert [len(truth.updates) for truth in play.account.truths.values()] == [1, 1]


def test_a_lost_answer_with_reads_that_lag_is_looked_up_and_watched():
    play = played(
        Run(**update()),
        events=(Event(0, "fault", ("UpdateEndpoint", "lose", 1)),),
        knobs={"describe_lag_seconds": 90.0, "start_time_delay_seconds": 40.0},
    )

    assert play.outcomes == ["Succeeded"]
    assert len(play.account.truths["churn"].updates) == 1


def test_an_update_whose_answer_was_lost_and_that_has_ended_before_a_look_shows_it_has_run():
    play = played(
        Run(**update(), tries=(None,)),
        events=(Event(0, "fault", ("UpdateEndpoint", "lose", 1)), Event(0, "capacity", False)),
        knobs={"describe_lag_seconds": 90.0, "provisioning_seconds": 5.0},
    )

    assert play.outcomes == ["RolledBack"]
