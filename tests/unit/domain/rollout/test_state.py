"""The outcome table, as rollouts that are looked at: what was seen, in order, and what it means."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.deployment.deadline import ABORTING
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import AllAtOnce
from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome
from airflow_guardrails.domain.rollout.state import OUTCOME_BY_STATUS, Rollout, RolloutState, StageChange
from airflow_guardrails.domain.snapshots.endpoint import (
    IN_FLIGHT,
    Endpoint,
    EndpointStatus,
    MissingEndpoint,
    PendingDeployment,
    Stage,
    Variant,
    VariantStage,
)
from tests.support.churn import switch_of
from tests.support.rollouts import LAUNCH, after

LONG_AGO = LAUNCH - timedelta(days=30)
HIDDEN, SHOWN = EndpointStatus.UPDATING, EndpointStatus.ROLLING_BACK


def look(seconds, status="InService", *, serves="v1", pending=None, modified=None, stage=None, **more):
    """What DescribeEndpoint says *seconds* after the launch."""
    return Endpoint(
        name="churn",
        status=EndpointStatus(status),
        seen_at=after(seconds),
        endpoint_config_name=serves,
        last_modified_at=LONG_AGO if modified is None else after(modified),
        pending=green(pending, stage) if pending else None,
        **more,
    )


def green(config_name, stage=None, *, started=0.5):
    """The fleet on its way to *config_name*; *stage* is (stage, since, instances)."""
    name, since, instances = stage or (Stage.CREATING, 1, 0)
    mark = VariantStage(stage=name, since=None if since is None else after(since))
    fleet = Variant(name="AllTraffic", instances=instances, desired_instances=4, stages=(mark,))
    started_at = None if started is None else after(started)
    return PendingDeployment(endpoint_config_name=config_name, started_at=started_at, variants=(fleet,))


def flying(seconds, *, pending="v2", **more):
    return look(seconds, "Updating", pending=pending, modified=1, **more)


def missing(seconds):
    return MissingEndpoint(name="churn", seen_at=after(seconds))


def launched(**facts):
    """The state of the task that launched the update from v1 to v2."""
    known = {"previous": "v1", "launched_at": LAUNCH, "status_before": EndpointStatus.IN_SERVICE, **facts}
    return RolloutState(rollout=Rollout(endpoint_name="churn", target="v2", **known))


def onlooker(**facts):
    """The state of a sensor, which knows nothing from before."""
    return RolloutState(rollout=Rollout(endpoint_name="churn", target="v2", **facts))


def seeing(watch, *looks):
    for each in looks:
        assert watch.outcome is None, "looked on after the outcome"
        watch = watch.after(each)
    return watch


# In flight


@pytest.mark.parametrize("watch", [launched(), onlooker()], ids=["launched", "onlooker"])
@pytest.mark.parametrize("status", sorted(IN_FLIGHT))
@pytest.mark.parametrize("serves", ["v1", "v2", None])
@pytest.mark.parametrize("pending", ["v2", None])
def test_an_endpoint_in_flight_has_not_finished(watch, status, serves, pending):
    looks = [look(seconds, status, serves=serves, pending=pending) for seconds in (200, 230, 260)]
    assert seeing(watch, *looks).outcome is None


def test_in_service_with_the_target_still_pending_is_not_success():
    assert seeing(launched(), look(200, serves="v2", pending="v2")).outcome is None


# Success


@pytest.mark.parametrize("watch", [launched(), onlooker()], ids=["launched", "onlooker"])
def test_the_target_in_service_with_nothing_pending_is_success_at_the_first_look(watch):
    assert seeing(watch, look(3, serves="v2")).outcome is Outcome.SUCCEEDED


def test_success_is_seen_after_stale_first_looks():
    stale = [look(seconds) for seconds in (0, 30, 60, 90)]
    assert seeing(launched(), *stale, flying(120), look(900, serves="v2")).outcome is Outcome.SUCCEEDED


def test_success_is_seen_after_a_stale_look_in_the_middle():
    looks = [flying(150), look(180), flying(210), look(240), flying(270), look(900, serves="v2")]
    assert seeing(launched(), *looks).outcome is Outcome.SUCCEEDED


def test_an_update_of_sagemaker_itself_in_the_middle_changes_nothing():
    patching = [look(seconds, "SystemUpdating") for seconds in (200, 230, 260)]
    assert seeing(launched(), flying(150), *patching, look(900, serves="v2")).outcome is Outcome.SUCCEEDED


# Rolled back


@pytest.mark.parametrize("shown", [HIDDEN, SHOWN])
@pytest.mark.parametrize("watch", [launched(), onlooker()], ids=["launched", "onlooker"])
def test_the_former_config_in_service_after_the_update_was_in_flight_is_a_rollback(watch, shown):
    looks = [flying(30), look(300, shown, pending="v2"), look(400, modified=390), look(430, modified=390)]
    assert seeing(watch, *looks).outcome is Outcome.ROLLED_BACK


def test_one_look_is_not_enough_for_a_rollback():
    once = seeing(launched(), flying(30), look(400, modified=390))
    assert (once.outcome, once.suspected) == (None, Outcome.ROLLED_BACK)


def test_a_look_that_disagrees_takes_a_suspicion_back():
    watch = seeing(launched(), flying(30), look(400), flying(430), look(460))
    assert (watch.outcome, watch.suspected) == (None, Outcome.ROLLED_BACK)


def test_two_looks_that_say_different_things_confirm_neither():
    watch = seeing(launched(), flying(30), look(400), missing(430), look(460))
    assert (watch.outcome, watch.suspected) == (None, Outcome.ROLLED_BACK)


def test_a_rollback_is_seen_though_every_look_missed_the_flight():
    """UpdateEndpoint was answered, and the endpoint has changed since: the update was in flight."""
    looks = [look(400, modified=390), look(430, modified=390)]
    assert seeing(launched(), *looks).outcome is Outcome.ROLLED_BACK


def test_the_former_config_is_not_believed_within_the_grace_period():
    stale = [look(seconds) for seconds in (60, 75, 90, 105, 119)]
    watch = seeing(launched(), flying(30), *stale)
    assert (watch.outcome, watch.suspected) == (None, None)
    assert seeing(watch, look(120), look(121)).outcome is Outcome.ROLLED_BACK


def test_a_long_wait_for_the_start_does_not_keep_back_what_follows_it():
    """Else a rollback within an onlooker's start_timeout could end as a time-out, which may be skipped."""
    looks = [look(0), flying(30), look(600, modified=590), look(630, modified=590)]
    assert seeing(onlooker(grace=timedelta(hours=6)), *looks).outcome is Outcome.ROLLED_BACK


# Not started


def test_an_update_never_seen_in_flight_has_not_started_once_the_grace_period_is_over():
    waiting = seeing(launched(), *(look(seconds) for seconds in (30, 60, 90, 119)))
    assert (waiting.outcome, waiting.suspected) == (None, None)
    assert seeing(waiting, look(120)).outcome is None
    assert seeing(waiting, look(120), look(150)).outcome is Outcome.NOT_STARTED


def test_the_grace_period_of_an_onlooker_begins_with_its_first_look():
    watch = onlooker(grace=timedelta(seconds=600))
    waiting = seeing(watch, look(5000), look(5599))
    assert (waiting.outcome, waiting.suspected) == (None, None)
    assert seeing(waiting, look(5600), look(5630)).outcome is Outcome.NOT_STARTED


def test_a_change_no_later_than_the_launch_is_no_sign_of_the_update():
    looks = [look(seconds, modified=0) for seconds in (60, 130, 160)]
    assert seeing(launched(), *looks).outcome is Outcome.NOT_STARTED


def test_a_bare_updating_proves_nothing_to_an_onlooker():
    """Scaling shows it too, and moves LastModifiedTime."""
    scaling = [look(seconds, "Updating", modified=seconds) for seconds in (30, 60, 90)]
    scaled = [look(seconds, modified=95) for seconds in (160, 190)]
    assert seeing(onlooker(previous="v1"), *scaling, *scaled).outcome is Outcome.NOT_STARTED


def test_a_bare_updating_from_before_the_launch_proves_nothing():
    scaling = [look(seconds, "Updating", modified=-20) for seconds in (30, 60, 90)]
    assert seeing(launched(), *scaling, look(160), look(190)).outcome is Outcome.NOT_STARTED


def test_a_change_alone_makes_no_rollback_of_a_config_that_may_have_been_served_all_along():
    """Whoever knows when the update began, but not from what, cannot tell it from scaling."""
    watch = seeing(launched(previous=None), look(400, modified=390), look(430, modified=390))
    assert watch.outcome is Outcome.NOT_STARTED


# A third configuration


def test_a_third_config_in_service_has_superseded_the_update():
    looks = [flying(30), look(400, serves="v3"), look(430, serves="v3")]
    assert seeing(launched(), *looks).outcome is Outcome.SUPERSEDED


@pytest.mark.parametrize("serves", ["v1", "v2"])
def test_a_third_config_pending_has_superseded_the_update(serves):
    looks = [flying(30), *(flying(seconds, pending="v3", serves=serves) for seconds in (400, 430))]
    assert seeing(launched(), *looks).outcome is Outcome.SUPERSEDED


def test_a_third_config_pending_after_our_launch_has_superseded_it_even_if_ours_was_never_seen():
    looks = [replace(flying(seconds, pending="v3"), last_modified_at=None) for seconds in (400, 430)]
    watch = seeing(launched(), *looks)
    assert (watch.outcome, watch.seen_in_flight) == (Outcome.SUPERSEDED, False)


# The StartTime, which identifies an update


def begun(seconds, started, *, pending="v2", **more):
    """An update in flight that began *started* seconds after the launch."""
    return replace(flying(seconds, pending=pending, **more), pending=green(pending, started=started))


ASKED = {"asked_at": after(-2)}


@pytest.mark.parametrize("started", [-3600, -60, -2.5])
@pytest.mark.parametrize("pending", ["v2", "v3"])
def test_an_update_that_began_before_this_one_was_asked_for_is_a_stale_read(started, pending):
    """However near: an earlier update to the same target, which has ended, may still be shown."""
    stale = [begun(seconds, started, pending=pending) for seconds in (5, 30, 60)]
    watch = seeing(launched(**ASKED), *stale)
    assert (watch.outcome, watch.suspected) == (None, None)
    assert (watch.started_at, watch.stages) == (None, ())
    assert watch.may_abort is False
    assert seeing(watch, begun(90, 0.5), look(900, serves="v2")).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("started", [-2, -1, 0, 0.5, 15, 40, 100])
def test_the_start_is_learned_at_the_first_look_whatever_its_distance_from_the_answer(started):
    """UpdateEndpoint may answer up to a minute after the update it began, and an update may begin late."""
    watch = seeing(launched(**ASKED, switch=switch_of()), begun(110, started))
    assert (watch.started_at, watch.seen_in_flight) == (after(started), True)
    assert watch.may_abort


def test_a_start_that_was_learned_is_not_learned_anew():
    watch = seeing(launched(**ASKED), begun(30, 0.5), begun(60, 0.5))
    assert watch.started_at == after(0.5)
    assert seeing(watch, begun(90, 45)).started_at == after(0.5)


@pytest.mark.parametrize("started", [0.6, 45, 5000])
def test_an_update_to_the_same_target_that_began_later_has_superseded_this_one_at_two_looks(started):
    once = seeing(launched(**ASKED), begun(30, 0.5), begun(400, started))
    assert (once.outcome, once.suspected) == (None, Outcome.SUPERSEDED)
    assert once.may_abort is False
    assert seeing(once, begun(430, started)).outcome is Outcome.SUPERSEDED


def test_an_update_to_the_same_target_that_began_earlier_is_ignored_once_the_start_is_known():
    stale = [begun(seconds, -600, stage=(Stage.BAKING, -300, 4)) for seconds in (60, 90)]
    watch = seeing(launched(), begun(30, 0.5), *stale)
    assert (watch.outcome, watch.suspected, watch.started_at) == (None, None, after(0.5))
    assert [change.stage for change in watch.stages] == [Stage.CREATING]


def test_a_stale_read_takes_back_the_suspicion_of_a_later_update():
    looks = [begun(30, 0.5), begun(400, 300), begun(430, 0.5), begun(460, 300)]
    watch = seeing(launched(**ASKED), *looks)
    assert (watch.outcome, watch.suspected) == (None, Outcome.SUPERSEDED)


def test_an_update_that_says_no_start_may_be_this_one():
    watch = seeing(launched(**ASKED), begun(30, None), begun(60, 0.5), begun(90, None))
    assert (watch.outcome, watch.suspected, watch.started_at) == (None, None, after(0.5))


def test_a_known_start_time_excludes_other_updates():
    retry = onlooker(previous="v1", started_at=after(0.5), adopted=Adopted.OWN)
    assert seeing(retry, begun(400, 0.5)).seen_in_flight
    assert seeing(retry, begun(400, 300)).seen_in_flight is False


@pytest.mark.parametrize("started", [-30, 0.5])
def test_an_onlooker_takes_the_first_update_it_sees_whenever_it_began(started):
    assert seeing(onlooker(), begun(30, started)).started_at == after(started)


def test_one_look_at_a_third_config_is_not_enough():
    looks = [flying(30), look(400, serves="v3"), flying(430), look(900, serves="v2")]
    assert seeing(launched(), *looks).outcome is Outcome.SUCCEEDED


def test_an_update_that_runs_before_the_awaited_one_is_waited_for():
    other = [flying(seconds, pending="v3") for seconds in (0, 200, 400)]
    watch = seeing(onlooker(previous="v1"), *other)
    assert (watch.outcome, watch.suspected) == (None, None)
    looks = [flying(430, serves="v3"), look(900, serves="v2")]
    assert seeing(watch, *looks).outcome is Outcome.SUCCEEDED


def test_a_third_config_in_service_is_no_rollback_where_the_former_one_was_learned():
    looks = [flying(30), look(400, serves="v3"), look(430, serves="v3")]
    assert seeing(onlooker(), *looks).outcome is Outcome.SUPERSEDED


def test_an_unknown_former_config_makes_no_config_a_third_one():
    watch = seeing(onlooker(), look(0, serves="v9"), look(130, serves="v9"), look(160, serves="v9"))
    assert watch.outcome is Outcome.NOT_STARTED


# What was served before


def test_the_former_config_is_learned_from_the_update_in_flight():
    assert seeing(onlooker(), look(0)).rollout.previous is None
    assert seeing(onlooker(), look(0), flying(30)).rollout.previous == "v1"


@pytest.mark.parametrize("serves", ["v2", None])
def test_a_former_config_that_was_not_seen_is_not_made_up(serves):
    assert seeing(onlooker(), flying(30, serves=serves)).rollout.previous is None


def test_given_guardrails_are_kept_if_the_update_in_flight_has_none():
    assert seeing(launched(), flying(30, serves=None)).rollout.previous == "v1"


def test_the_former_config_as_seen_takes_precedence_over_the_given_one():
    """Told v0, but the update in flight starts from v1: then v1 in service again is a rollback."""
    looks = [flying(30), look(400), look(430)]
    watch = seeing(onlooker(previous="v0"), *looks)
    assert (watch.outcome, watch.rollout.previous) == (Outcome.ROLLED_BACK, "v1")


def test_the_target_as_former_config_is_not_learned_once_the_blue_fleet_goes():
    assert seeing(launched(), flying(30), flying(800, serves="v2")).rollout.previous == "v1"


def test_an_answer_without_a_config_says_nothing():
    looks = [look(seconds, serves=None) for seconds in (200, 230, 260)]
    watch = seeing(launched(), flying(30), *looks)
    assert (watch.outcome, watch.suspected) == (None, None)


# Statuses that end it


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("UpdateRollbackFailed", Outcome.ROLLBACK_FAILED),
        ("Failed", Outcome.FAILED),
        ("OutOfService", Outcome.FAILED),
        ("Deleting", Outcome.FAILED),
    ],
)
@pytest.mark.parametrize("serves", ["v1", "v2", None])
@pytest.mark.parametrize("pending", ["v2", None])
def test_a_status_that_ends_an_update_badly_is_believed_when_seen_twice(status, outcome, serves, pending):
    """Whatever configuration serves, and whether or not SageMaker still shows the one that was pending."""
    looks = [look(seconds, status, serves=serves, pending=pending) for seconds in (400, 430)]
    once = seeing(launched(), flying(30), looks[0])
    assert (once.outcome, once.suspected) == (None, outcome)
    assert seeing(once, looks[1]).outcome is outcome


def test_a_missing_endpoint_is_believed_when_seen_twice():
    once = seeing(launched(), flying(30), missing(400))
    assert once.outcome is None
    assert seeing(once, missing(430)).outcome is Outcome.FAILED
    assert seeing(once, flying(430), look(900, serves="v2")).outcome is Outcome.SUCCEEDED


class TestRepair:
    """An update of an endpoint that is UpdateRollbackFailed; the status may linger."""

    watch = launched(status_before=EndpointStatus.UPDATE_ROLLBACK_FAILED)

    def test_the_status_from_before_is_not_believed_within_the_grace_period(self):
        stale = [look(seconds, "UpdateRollbackFailed") for seconds in (0, 30, 60, 119)]
        assert seeing(self.watch, *stale, flying(120), look(900, serves="v2")).outcome is Outcome.SUCCEEDED

    def test_it_is_believed_after_it(self):
        stuck = [look(seconds, "UpdateRollbackFailed") for seconds in (119, 120, 150)]
        assert seeing(self.watch, *stuck).outcome is Outcome.ROLLBACK_FAILED

    def test_another_status_is_believed_at_once(self):
        assert seeing(self.watch, look(30, "Failed"), look(60, "Failed")).outcome is Outcome.FAILED


# The time limit, on AWS's clock

HOUR = timedelta(hours=1)


def test_a_rollout_still_in_flight_at_its_limit_has_timed_out():
    assert seeing(launched(max_wait=HOUR), flying(30), flying(3600)).outcome is None  # started at 0.5
    assert seeing(launched(max_wait=HOUR), flying(30), flying(3601)).outcome is Outcome.TIMED_OUT


def test_the_limit_counts_from_the_launch_until_the_start_is_known():
    assert seeing(launched(max_wait=HOUR), look(3599, "Updating")).outcome is None
    assert seeing(launched(max_wait=HOUR), look(3600, "Updating")).outcome is Outcome.TIMED_OUT


def test_a_later_observer_gets_no_more_time():
    retry = onlooker(max_wait=HOUR, adopted=Adopted.OWN)
    assert seeing(retry, flying(3601)).outcome is Outcome.TIMED_OUT


def test_the_limit_counts_from_the_first_look_where_nothing_else_is_known():
    waiting = seeing(onlooker(max_wait=HOUR), look(5000, "Updating"), look(8599, "Updating"))
    assert waiting.outcome is None
    assert seeing(waiting, look(8600, "Updating")).outcome is Outcome.TIMED_OUT


def test_an_end_seen_at_the_limit_counts_more_than_the_limit():
    watch = seeing(launched(max_wait=HOUR), flying(30))
    assert seeing(watch, look(4000, serves="v2")).outcome is Outcome.SUCCEEDED
    assert seeing(watch, look(4000), look(4030)).outcome is Outcome.ROLLED_BACK


def test_without_a_limit_only_the_waiting_task_gives_up():
    watch = seeing(launched(), flying(30), flying(10**6))
    assert watch.outcome is None
    assert watch.give_up().outcome is Outcome.TIMED_OUT


def test_giving_up_reports_what_was_seen_once():
    watch = seeing(launched(), flying(30), look(400))
    assert watch.give_up().outcome is Outcome.ROLLED_BACK


def test_an_aborted_rollout_gets_the_time_its_rollback_takes_and_no_second_abort():
    timed_out = seeing(launched(max_wait=HOUR), flying(30), flying(3601))
    aborting = timed_out.after_timeout_abort()
    assert (aborting.outcome, aborting.may_abort) == (None, False)
    assert seeing(aborting, flying(3700)).outcome is None
    assert seeing(aborting, flying(3700), flying(3600 + 4501)).outcome is Outcome.TIMED_OUT
    assert seeing(aborting, look(3700), look(3730)).outcome is Outcome.ROLLED_BACK


def test_an_abort_long_after_the_time_was_up_gets_the_time_its_rollback_takes():
    retry = seeing(launched(max_wait=HOUR, adopted=Adopted.OWN), flying(6 * 3600))
    assert retry.outcome is Outcome.TIMED_OUT
    assert seeing(retry.after_timeout_abort(), flying(6 * 3600 + 4499)).outcome is None
    assert seeing(retry.after_timeout_abort(), flying(6 * 3600 + 4500)).outcome is Outcome.TIMED_OUT


def test_an_abort_without_a_limit_sets_none():
    aborting = seeing(launched(), flying(30)).give_up().after_timeout_abort()
    assert (aborting.rollout.max_wait, aborting.rollout.deadline, aborting.deadline) == (None, None, None)


@pytest.mark.parametrize(
    ("facts", "deadline"),
    [
        ({}, None),
        ({"max_wait": HOUR}, after(3600.5)),
        ({"deadline": after(5000)}, after(5000)),
        ({"max_wait": HOUR, "deadline": after(5000)}, after(3600.5)),
        ({"max_wait": HOUR, "deadline": after(2000)}, after(2000)),
    ],
)
def test_the_deadline_is_the_earlier_of_the_limit_from_its_start_and_the_time_to_stop_waiting(
    facts, deadline
):
    watch = seeing(launched(**facts), flying(30))
    assert watch.deadline == deadline
    if deadline is not None:
        assert watch.after(flying((deadline - LAUNCH).total_seconds() - 1)).outcome is None
        assert watch.after(flying((deadline - LAUNCH).total_seconds())).outcome is Outcome.TIMED_OUT


def test_before_the_first_look_the_limit_counts_from_the_launch_if_that_is_known():
    assert launched(max_wait=HOUR).deadline == after(3600)
    assert onlooker(max_wait=HOUR).deadline is None
    assert onlooker(deadline=after(10)).deadline == after(10)


@pytest.mark.parametrize("facts", [{"max_wait": HOUR}, {"deadline": after(3600)}], ids=["limit", "deadline"])
@pytest.mark.parametrize("thrown", [60, 3600, 20_000], ids=["early", "at the end", "long after"])
def test_a_thrown_switch_gives_the_time_that_a_rollback_takes(facts, thrown):
    watch = replace(seeing(launched(**facts), flying(30)).after_abort(after(thrown)), outcome=None)
    assert (watch.thrown_at, watch.timed_out) == (after(thrown), False)
    assert watch.deadline >= after(max(thrown, 3600)) + ABORTING
    assert watch.deadline <= after(max(thrown, 3601)) + ABORTING
    assert watch.after(flying(thrown + 4000)).outcome is None


# Stages


def stages(watch):
    return [(change.stage, (change.at - LAUNCH).total_seconds(), change.instances) for change in watch.stages]


CREATING, TRAFFIC, BAKING = (Stage.CREATING, 1, 0), (Stage.ACTIVATING_TRAFFIC, 200, 0), (Stage.BAKING, 210, 1)


def test_each_stage_is_kept_once_with_the_time_sagemaker_gives():
    looks = [flying(when, stage=stage) for when, stage in enumerate([CREATING, CREATING, TRAFFIC, BAKING])]
    assert stages(seeing(launched(), *looks, flying(220, stage=BAKING))) == [CREATING, TRAFFIC, BAKING]


def test_a_stage_is_kept_again_where_it_took_on_more_instances():
    more = (Stage.BAKING, 900, 2)
    watch = seeing(launched(), flying(220, stage=BAKING), flying(910, stage=more))
    assert stages(watch) == [BAKING, more]


def test_a_stale_look_does_not_bring_a_stage_back():
    looks = [flying(201, stage=TRAFFIC), flying(211, stage=BAKING), flying(230, stage=TRAFFIC)]
    assert stages(seeing(launched(), *looks, flying(240, stage=BAKING))) == [TRAFFIC, BAKING]


def test_a_stale_look_does_not_bring_up_a_stage_that_was_missed():
    assert stages(seeing(launched(), flying(211, stage=BAKING), flying(230, stage=TRAFFIC))) == [BAKING]


def test_a_stale_look_does_not_bring_back_fewer_instances_of_the_same_stage():
    fewer, more = (Stage.CREATING, 1, 0), (Stage.CREATING, 1, 1)
    looks = [flying(seconds, stage=stage) for seconds, stage in enumerate([fewer, more, fewer, more])]
    assert stages(seeing(launched(), *looks)) == [fewer, more]


def test_a_stage_without_a_time_is_kept_with_the_time_it_was_seen():
    watch = seeing(launched(), flying(220, stage=(Stage.BAKING, None, 1)))
    assert stages(watch) == [(Stage.BAKING, 220, 1)]


@pytest.mark.parametrize("order", [1, -1])
def test_the_latest_stage_counts_where_several_show(order):
    marks = (
        VariantStage(stage=Stage.CREATING, since=after(9)),
        VariantStage(stage=Stage.UPDATING, since=after(5)),
    )
    fleet = Variant(name="AllTraffic", instances=0, desired_instances=4, stages=marks[::order])
    watch = seeing(launched(), replace(flying(30), pending=replace(green("v2"), variants=(fleet,))))
    assert stages(watch) == [(Stage.CREATING, 9, 0)]


def test_the_stage_of_the_blue_fleet_counts_once_it_goes():
    going = Variant(
        name="AllTraffic",
        instances=4,
        desired_instances=0,
        stages=(VariantStage(stage=Stage.DELETING, since=after(900)),),
    )
    watch = seeing(launched(), flying(910, stage=(Stage.BAKING, 600, 4), variants=(going,)))
    assert watch.stages[-1] == StageChange(
        stage=Stage.DELETING, at=after(900), instances=4, desired_instances=4
    )


def test_stages_of_another_update_are_not_ours():
    assert seeing(launched(), flying(30, pending="v3", stage=BAKING)).stages == ()


# When


def test_a_rollout_began_when_sagemaker_says_so():
    watch = seeing(launched(), look(10), flying(30))
    assert (watch.started_at, watch.origin) == (after(0.5), after(0.5))


def test_without_a_start_it_began_with_the_launch_or_the_first_look():
    assert seeing(launched(), look(10)).origin == LAUNCH
    assert seeing(onlooker(), look(10), look(20)).origin == after(10)
    unsaid = replace(flying(30), pending=green("v2", started=None))
    assert seeing(launched(), unsaid).origin == LAUNCH


def test_a_start_once_seen_is_kept_if_a_later_response_lacks_it():
    unsaid = replace(flying(60), pending=green("v2", started=None))
    assert seeing(launched(), flying(30), unsaid).started_at == after(0.5)


def test_it_ended_when_the_endpoint_last_changed():
    looks = [flying(30), look(400, modified=390), look(430, modified=390)]
    assert seeing(launched(), *looks).ended_at == after(390)


def test_it_did_not_end_before_its_last_stage():
    """If the last change that SageMaker shows is the one that began the update."""
    looks = [flying(220, stage=BAKING), look(400, modified=1), look(430, modified=1)]
    assert seeing(launched(), *looks).ended_at == after(430)


def test_it_ended_at_the_last_look_if_there_is_no_time_of_change():
    assert seeing(launched(), flying(30), missing(400), missing(430)).ended_at == after(430)
    assert seeing(launched(max_wait=HOUR), flying(30), flying(3700)).ended_at == after(3700)


def test_nothing_ended_long_before_it_began():
    """A rollout that never started left the endpoint as it was: its last change is from before."""
    watch = seeing(launched(), look(60), look(130), look(160))
    assert (watch.outcome, watch.ended_at) == (Outcome.NOT_STARTED, after(160))
    looks = [look(seconds, "UpdateRollbackFailed") for seconds in (130, 160)]
    stuck = seeing(launched(status_before=EndpointStatus.UPDATE_ROLLBACK_FAILED), *looks)
    assert (stuck.outcome, stuck.ended_at) == (Outcome.ROLLBACK_FAILED, after(160))


def test_an_update_that_never_started_ended_when_that_was_seen():
    watch = seeing(onlooker(), look(0), look(130), look(160))
    assert (watch.outcome, watch.ended_at) == (Outcome.NOT_STARTED, after(160))


def test_nothing_has_ended_without_an_outcome():
    assert seeing(launched(), flying(30), look(400)).ended_at is None


@pytest.mark.parametrize(
    ("last", "is_settled"),
    [
        (look(430), True),
        (look(430, "Failed"), True),
        (look(430, "UpdateRollbackFailed", pending="v2"), True),
        (missing(430), True),
        (flying(430, pending="v3"), False),
    ],
)
def test_an_ended_rollout_is_at_rest_unless_another_update_flies(last, is_settled):
    watch = seeing(launched(), flying(30), last, last)
    assert watch.outcome is not None
    assert watch.is_settled is is_settled


def test_a_rollout_given_up_on_is_not_at_rest_whatever_was_seen_last():
    watch = seeing(launched(max_wait=timedelta(seconds=60)), look(60))
    assert (watch.outcome, watch.is_settled) == (Outcome.TIMED_OUT, False)
    assert not seeing(launched(), look(60)).is_settled


# The alarms, and the switch among them

SWITCH = switch_of()
GUARDED = Guardrails(strategy=AllAtOnce(), alarms=("errors", SWITCH.alarm_name))


def test_the_alarms_are_the_given_ones_or_else_those_of_sagemaker():
    told = flying(30, guardrails=Guardrails(strategy=None, alarms=("theirs",)), rollback_alarms=("theirs",))
    assert seeing(launched(guardrails=GUARDED), told).alarms == ("errors", SWITCH.alarm_name)
    assert seeing(launched(), told).alarms == ("theirs",)
    assert seeing(launched(), flying(30)).alarms == ()


def test_alarms_once_seen_are_kept_if_a_later_response_lacks_them():
    watch = seeing(launched(), flying(30, rollback_alarms=("errors",)), flying(60))
    assert watch.alarms == ("errors",)


def test_the_switch_is_among_the_alarms_once_even_if_sagemaker_lists_it():
    assert launched(switch=SWITCH).alarms == (SWITCH.alarm_name,)
    assert launched(switch=SWITCH, guardrails=GUARDED).alarms == ("errors", SWITCH.alarm_name)
    told = flying(30, rollback_alarms=("theirs",))
    assert seeing(launched(switch=SWITCH), told).alarms == ("theirs", SWITCH.alarm_name)


SWITCHED = {"switch": SWITCH, "guardrails": GUARDED, "asked_at": after(-1)}
NO_SWITCH = "the update has no abort switch (abort_switch=False)"
NOT_PROVEN = "nothing proves that the update to v2 in flight has this task's abort switch"
ANOTHER = "the update to v2 in flight is not the one that this task started"
NONE_IN_FLIGHT = "no update of endpoint churn is in flight"


@pytest.mark.parametrize(
    ("watch", "last", "refusal"),
    [
        (launched(**SWITCHED), flying(60), None),
        (launched(**SWITCHED, adopted=Adopted.OWN), flying(60), None),
        # The answer to UpdateEndpoint was lost, so nobody knows when it was accepted.
        (launched(**{**SWITCHED, "launched_at": None}, adopted=Adopted.OWN), flying(60), None),
        (launched(**SWITCHED), replace(flying(60), pending=green("v2", started=None)), None),
        (launched(**SWITCHED), replace(flying(60), pending=green("v2", started=40)), None),
        (launched(**SWITCHED, started_at=after(0.5)), flying(60), None),
        (launched(**SWITCHED, started_at=after(40)), flying(60), ANOTHER),
        (launched(**{**SWITCHED, "asked_at": after(1)}), flying(60), ANOTHER),
        # Reads may lag: the update does not show yet, and the switch can hit nothing else.
        (launched(**SWITCHED), look(60), None),
        (launched(**SWITCHED), look(60, "Updating"), None),
        (launched(**SWITCHED), flying(119, pending="v3"), None),
        (launched(**SWITCHED), look(120), NONE_IN_FLIGHT),
        (launched(**SWITCHED), look(120, "Updating"), NONE_IN_FLIGHT),
        (
            launched(**SWITCHED),
            flying(120, pending="v3"),
            "endpoint churn is being updated to v3, not to v2",
        ),
        (launched(**SWITCHED), missing(60), "endpoint churn does not exist"),
        (launched(), look(60), NO_SWITCH),
        (launched(), flying(60), NO_SWITCH),
        (launched(guardrails=replace(GUARDED, alarms=("errors",))), flying(60), NO_SWITCH),
        (launched(adopted=Adopted.FOREIGN), flying(60), NOT_PROVEN),
        (onlooker(adopted=Adopted.FOREIGN), flying(60, rollback_alarms=(SWITCH.alarm_name,)), NOT_PROVEN),
    ],
)
def test_the_switch_may_be_thrown_only_where_it_stops_this_rollout(watch, last, refusal):
    seen = watch.after(last)
    assert seen.why_not_abort == refusal
    assert seen.may_abort is (refusal is None)


def test_missing_responses_of_sagemaker_prevent_no_abort():
    """The switch is this rollout's alone: whatever goes on meanwhile, it hits nothing else."""
    assert launched(**SWITCHED).may_abort
    silent = replace(seeing(launched(**SWITCHED), flying(60)), unanswered=True)
    assert silent.may_abort
    assert replace(silent, last_look=look(600)).may_abort
    assert replace(seeing(launched(), flying(60)), unanswered=True).why_not_abort == NO_SWITCH


def test_a_switch_is_thrown_once():
    thrown = seeing(launched(**SWITCHED), flying(60)).after_abort()
    assert (thrown.thrown_at, thrown.may_abort, thrown.why_not_abort) == (after(60), False, None)
    assert seeing(thrown, flying(90)).after_abort().thrown_at == after(60)


# What no look is needed for


@pytest.mark.parametrize(
    ("watch", "looks", "expected"),
    [
        (launched(), [], None),
        (replace(launched(), seen_in_flight=True), [], "Updating"),
        (launched(), [flying(60)], "Updating"),
        (launched(), [look(60, "SystemUpdating")], "SystemUpdating"),
        (launched(), [look(60)], None),
        (launched(), [flying(60), look(600)], None),
        (launched(), [look(200, pending="v2")], None),
        (launched(), [missing(200)], None),
        (launched(), [flying(60), look(600, serves="v2")], None),
        (onlooker(), [look(60)], "InService"),
        (onlooker(grace=HOUR, launched_at=LAUNCH), [look(60)], None),
        (onlooker(grace=HOUR, launched_at=LAUNCH), [look(121)], "InService"),
    ],
)
def test_a_status_is_expected_only_where_seeing_it_in_a_list_would_tell_nothing(watch, looks, expected):
    assert seeing(watch, *looks).expected == expected


def test_a_look_that_was_not_answered_changes_nothing_about_what_is_expected():
    assert replace(seeing(launched(), flying(60)), unanswered=True).expected is EndpointStatus.UPDATING


@pytest.mark.parametrize(
    ("watch", "looks", "seconds"),
    [
        (launched(), [], None),
        (launched(), [flying(60)], None),
        (launched(), [look(50)], 70),
        (launched(), [look(130)], None),
        (onlooker(grace=HOUR), [look(50)], 3600),
        (onlooker(grace=HOUR), [look(50), look(80)], 3570),
    ],
)
def test_time_alone_ends_a_watch_of_an_update_that_never_begins(watch, looks, seconds):
    grace_left = seeing(watch, *looks).grace_left
    assert grace_left == (None if seconds is None else timedelta(seconds=seconds))


# Whatever is seen

config_names = st.sampled_from(["v1", "v2", "v3", None])
moments = st.integers(1, 400)


@st.composite
def anything_seen(draw, *, target_serves):
    """Looks at growing times, with every status and configuration SageMaker could show."""
    seconds, looks = 0, []
    for gap in draw(st.lists(moments, min_size=1, max_size=8)):
        seconds += gap
        status, serves = draw(st.sampled_from(EndpointStatus)), draw(config_names)
        if not target_serves and (status, serves) == (EndpointStatus.IN_SERVICE, "v2"):
            serves = "v1"
        seen = look(
            seconds,
            status,
            serves=serves,
            pending=draw(config_names),
            modified=draw(st.sampled_from([None, 1, seconds])),
        )
        looks.append(draw(st.sampled_from([seen, seen, seen, missing(seconds)])))
    return looks


watches = st.builds(
    lambda kind, previous, max_wait, before: kind(previous=previous, max_wait=max_wait, status_before=before),
    st.sampled_from([launched, onlooker]),
    st.sampled_from(["v1", "v3", None]),
    st.sampled_from([None, timedelta(minutes=10)]),
    st.sampled_from([None, *EndpointStatus]),
)


def until_it_ends(watch, looks):
    history = [watch]
    for each in looks:
        history.append(history[-1].after(each))
        if history[-1].outcome is not None:
            break
    return history


@settings(max_examples=30)
@given(watches, anything_seen(target_serves=False))
def test_no_rollout_succeeds_whose_target_never_serves_in_service(watch, looks):
    last = until_it_ends(watch, looks)[-1]
    assert last.outcome is not Outcome.SUCCEEDED
    assert last.give_up().outcome is not Outcome.SUCCEEDED


@settings(max_examples=30)
@given(watches, anything_seen(target_serves=True))
def test_success_means_that_the_last_look_shows_the_target_in_service_and_nothing_pending(watch, looks):
    last = until_it_ends(watch, looks)[-1]
    seen = last.last_look
    serves = (
        isinstance(seen, Endpoint)
        and seen.status is EndpointStatus.IN_SERVICE
        and seen.endpoint_config_name == "v2"
        and seen.pending is None
    )
    assert (last.outcome is Outcome.SUCCEEDED) is serves


@settings(max_examples=30)
@given(watches, anything_seen(target_serves=True))
def test_every_bad_end_was_seen_at_two_looks_in_a_row(watch, looks):
    *_, before, last = until_it_ends(watch, looks)
    if last.outcome not in {None, Outcome.SUCCEEDED, Outcome.TIMED_OUT}:
        assert before.suspected is last.outcome


def test_no_status_outside_the_table_ends_a_rollout():
    assert set(EndpointStatus) == {*IN_FLIGHT, *OUTCOME_BY_STATUS, EndpointStatus.IN_SERVICE}
    assert Outcome.SUCCEEDED not in OUTCOME_BY_STATUS.values()


# The creation of an endpoint.


def created():
    """The state of the task that has called CreateEndpoint for v2."""
    return launched(previous=None, status_before=None, creates=True)


def test_a_creation_succeeds_when_the_endpoint_serves():
    watch = seeing(created(), look(30, "Creating", serves="v2"), look(300, serves="v2", modified=299))

    assert watch.outcome is Outcome.SUCCEEDED
    assert watch.seen_in_flight


def test_a_creation_that_fails_is_confirmed_by_a_second_look():
    watch = seeing(created(), look(30, "Creating", serves="v2"), look(60, "Failed", serves="v2"))
    assert watch.outcome is None

    assert seeing(watch, look(90, "Failed", serves="v2")).outcome is Outcome.FAILED


def test_a_new_endpoint_may_be_invisible_for_a_while():
    watch = seeing(created(), missing(5), missing(40))
    assert (watch.outcome, watch.suspected) == (None, None)

    assert seeing(watch, missing(130), missing(160)).outcome is Outcome.FAILED


def test_an_endpoint_that_was_seen_and_is_gone_has_failed():
    watch = seeing(created(), look(30, "Creating", serves="v2"), missing(60), missing(90))

    assert watch.outcome is Outcome.FAILED


def test_an_endpoint_of_somebody_else_is_no_creation_of_ours():
    assert seeing(created(), look(300, serves="v9"), look(330, serves="v9")).outcome is Outcome.SUPERSEDED


def test_a_creation_cannot_be_aborted():
    assert created().why_not_abort == "a first deployment has nothing to go back to"
