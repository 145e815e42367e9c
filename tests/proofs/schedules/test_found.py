"""What schedules have found, each as the shortest one that shows it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.strategies import AllAtOnce
from tests.proofs.schedules.model import Crash, Event, Run
from tests.proofs.schedules.plain_runs import update
from tests.proofs.schedules.play import played


def abort(target=None, *, begins):
    return Run(kind="abort", begins=begins, arguments={"endpoint_config_name": target, "deferrable": False})


@pytest.mark.parametrize("retry_after", range(150, 210, 4))
def test_an_update_that_is_undone_between_two_looks_at_its_adoption_was_in_flight(retry_after):
    run = Run(**update(), tries=(Crash("UpdateEndpoint", 1, sent=True), None), retry_after=retry_after)
    play = played(run, events=(Event(240, "trip"),), knobs={"alarms_judged": "always"}, latency=4.0)

    assert play.outcomes == ["RolledBack"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_that_begins_out_of_time_aborts_what_its_dead_try_has_launched(deferrable):
    arguments = update(on_timeout="abort", max_wait=timedelta(minutes=4), deferrable=deferrable)
    run = Run(**arguments, tries=(Crash("AddTags", 2, sent=True), None), retry_after=300)
    play = played(run)

    assert play.outcomes == ["RolledBack"]
    assert play.throws == 1


@pytest.mark.parametrize("kill", [(), (Event(420, "mark_failed"),)])
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_aborts_nothing_that_is_somebody_elses(deferrable, kill):
    """Its first try meant to launch, and died; meanwhile somebody else did, to the same target."""
    arguments = update(
        on_timeout="abort", on_kill="abort", max_wait=timedelta(minutes=8), deferrable=deferrable
    )
    run = Run(**arguments, tries=(Crash("UpdateEndpoint", 1, sent=False), None))
    play = played(run, events=(Event(45, "update", ("v2", "canary")), *kill))

    (only,) = play.account.truths["churn"].updates
    assert only.by == "somebody"
    assert only.served


def test_a_switch_is_not_reset_within_the_period_of_10_seconds_in_which_it_was_thrown():
    arguments = update(
        strategy=AllAtOnce(),
        allow_unguarded=True,
        on_timeout="abort",
        max_wait=timedelta(seconds=250),
        waiter_delay=5,
    )
    play = played(Run(**arguments), knobs={"provisioning_seconds": 185.0})

    assert play.outcomes == ["Succeeded"]
    assert play.throws == 1
    (switch,) = play.account.switches()
    assert play.account.world.alarms.state(switch.alarm_name) == "OK"


def test_an_abort_does_not_throw_a_switch_that_the_update_was_launched_without():
    play = played(Run(**update(abort_switch=False)), abort(begins=100))

    assert play.throws == 0
    assert any("AbortRefused" in line for line in play.account.story)


@pytest.mark.parametrize("task_state", ["absent", "failing"])
def test_a_retry_leaves_the_switch_to_the_update_of_a_try_that_could_note_nothing(task_state):
    """Reads lag, so that the retry asks again, and is refused: the update in flight is its own."""
    run = Run(
        **update(),
        tries=(Crash("UpdateEndpoint", 1, sent=True), None, None, None),
        retry_after=5,
        tags="denied",
        task_state=task_state,
    )
    play = played(run, knobs={"describe_lag_seconds": 90.0})

    (switch,) = play.account.switches()
    assert switch.alarm_name in play.account.truths["churn"].updates[0].alarms


def test_a_retry_that_is_refused_before_it_asks_leaves_the_switch_of_the_try_before():
    """The tags are full, so the retry does not know of the update in flight; an alarm has gone off since."""
    run = Run(
        **update(),
        tries=(Crash("UpdateEndpoint", 1, sent=True), None),
        retry_after=5,
        tags="full",
        task_state="absent",
    )
    play = played(run, events=(Event(12, "trip"),), knobs={"describe_lag_seconds": 90.0})

    (switch,) = play.account.switches()
    assert switch.alarm_name in play.account.truths["churn"].updates[0].alarms


def test_a_start_that_no_look_has_shown_counts_from_the_acceptance():
    """A system update hides how the update goes; until the time is up nothing changes in the list."""
    run = Run(
        **update(
            strategy=AllAtOnce(),
            allow_unguarded=True,
            abort_switch=False,
            deferrable=True,
            waiter_delay=30,
            max_wait=timedelta(minutes=4),
        )
    )
    play = played(
        run,
        events=(Event(0, "system_update", 300), Event(0, "ending", ("UpdateRollbackFailed", 60))),
        knobs={
            "activation_seconds": 0.0,
            "pending_before_start": "hidden",
            "start_time_delay_seconds": 40.0,
        },
    )

    assert play.outcomes == ["TimedOut"]


def test_a_worker_whose_clock_is_wrong_takes_the_time_from_any_response():
    """The first looks have no Date header, and the machine is ten minutes ahead: the time is not up."""
    run = Run(
        **update(
            strategy=AllAtOnce(),
            allow_unguarded=True,
            deferrable=True,
            begins=182,
            max_wait=timedelta(minutes=20),
            on_timeout="abort",
        ),
        worker_clock=1200,
    )
    play = played(
        run,
        events=(
            Event(181, "update", ("v2", "plain")),
            Event(181, "fault", ("DescribeEndpoint", "missing", 4)),
        ),
    )

    assert play.outcomes == ["Succeeded"]
