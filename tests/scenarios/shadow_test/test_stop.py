"""A shadow test is stopped as somebody wants it, and the task ends only once that is so."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.exceptions import (
    InvalidArgument,
    ShadowTestNotFound,
    ShadowTestNotStopped,
    ShadowTestTimedOut,
)
from tests.support.metrics import counted

STOP = "StopInferenceExperiment"


@pytest.fixture
def running(create, context):
    return create(wait_until="Running").execute(context)["name"]


def served(churn):
    look = churn.describe()
    shadows = [variant["VariantName"] for variant in look.get("ShadowProductionVariants", ())]
    return look["EndpointStatus"], [variant["VariantName"] for variant in look["ProductionVariants"]], shadows


def test_production_is_kept_and_serves_alone(stop, running, context, candidate, experiment):
    report = stop(running, reason="the judge has seen enough").execute(context)

    assert served(candidate) == ("InService", ["AllTraffic"], [])
    assert (report["status"], report["reason"]) == ("Completed", "the judge has seen enough")
    assert experiment(running)["StatusReason"] == "the judge has seen enough"


def test_the_end_of_a_test_is_counted_by_the_stop_alone(stop, create, context, monkeypatch, candidate):
    tags_of = counted(monkeypatch)
    name = create(wait_until="Completed").execute(context)["name"]
    assert tags_of("guardrails.shadow_test.finished") == []

    stop(name).execute(context)

    assert tags_of("guardrails.shadow_test.finished") == [{"status": "Completed", "endpoint": "churn"}]


def test_a_promoted_shadow_serves_in_productions_place(stop, running, context, candidate):
    stop(running, action="promote").execute(context)

    assert served(candidate) == ("InService", ["shadow"], [])


def test_both_can_be_kept(stop, running, context, candidate):
    stop(running, action="keep_both").execute(context)

    status, production, shadows = served(candidate)
    assert status == "InService"
    assert sorted(production + shadows) == ["AllTraffic", "shadow"]


def test_a_test_that_is_over_is_not_stopped_again(stop, create, context, candidate):
    name = create(wait_until="Completed").execute(context)["name"]

    assert stop(name).execute(context)["status"] == "Completed"
    assert candidate.calls(STOP) == 0


def test_a_retry_of_the_stop_asks_no_second_time(stop, running, context, candidate):
    stop(running).execute(context)
    stop(running).execute(context)

    assert candidate.calls(STOP) == 1


def test_a_test_that_ended_without_promotion_is_no_promotion(stop, create, context):
    name = create(wait_until="Completed").execute(context)["name"]

    with pytest.raises(ShadowTestNotStopped, match=r"not by promote: .* shadow is Deleted"):
        stop(name, action="promote").execute(context)


def test_a_shadow_that_is_left_after_an_error_is_reported(stop, running, context, candidate):
    candidate.simulator.client.script_experiment(running, status="Cancelled", keep_shadow=True)
    candidate.advance(minutes=10)

    with pytest.raises(ShadowTestNotStopped, match="shadow variant shadow is InService"):
        stop(running).execute(context)


def test_a_test_that_does_not_take_a_stop_yet_is_waited_for(stop, create, context, candidate):
    name = create().execute(context)["name"]

    report = stop(name).execute(context)

    assert report["status"] in {"Completed", "Cancelled"}
    assert served(candidate) == ("InService", ["AllTraffic"], [])


def test_a_stop_that_is_not_taken_in_time_says_where_the_test_stands(stop, create, context, candidate):
    candidate.simulator.client.set_knobs(experiment_step_seconds=100_000)
    name = create().execute(context)["name"]

    with pytest.raises(ShadowTestTimedOut, match="still Creating"):
        stop(name).execute(context)


def test_a_name_that_no_test_has_is_an_error(stop, context, candidate):
    with pytest.raises(ShadowTestNotFound, match="no shadow test ghost"):
        stop("ghost").execute(context)


def test_an_action_that_there_is_not_is_refused(stop, running, context, candidate):
    with pytest.raises(InvalidArgument, match="'keep_production', 'promote', 'keep_both'"):
        stop(running, action="delete").execute(context)

    assert candidate.calls(STOP) == 0


def test_a_deferrable_stop_asks_first_and_waits_in_the_triggerer(stop, running, context, candidate):
    with pytest.raises(TaskDeferred):
        stop(running, deferrable=True).execute(context)

    assert candidate.calls(STOP) == 1
