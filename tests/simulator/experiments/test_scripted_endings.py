"""Scripted ends of inference experiments."""

from __future__ import annotations

import pytest

from airflow_guardrails.simulator.client import SimulatorError


def test_a_running_experiment_is_cancelled_as_scripted_and_takes_its_shadow_down(experiment):
    experiment.run()

    experiment.control.script_experiment(
        "trial", status="Cancelled", reason="internal error", after_seconds=900
    )
    assert experiment.status() == "Running"
    experiment.advance(minutes=6)
    assert experiment.status() == "Stopping"
    experiment.advance(minutes=10)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Cancelled", "internal error")
    assert experiment.serving() == ("InService", "blue", ["live"])


def test_an_ending_may_leave_the_shadow_on_the_endpoint(experiment):
    experiment.run()

    experiment.control.script_experiment("trial", status="Cancelled", keep_shadow=True)
    experiment.advance(seconds=1)

    assert experiment.status() == "Cancelled"
    assert "StatusReason" not in experiment.look()
    assert experiment.serving() == ("InService", "churn-trial", ["live", "candidate"])
    assert experiment.variants() == {"live": "InService", "candidate": "InService"}


def test_an_experiment_yet_to_be_created_ends_so_long_after_its_creation(experiment):
    experiment.control.script_experiment("trial", status="Completed", reason="early", after_seconds=3600)
    experiment.advance(hours=2)

    experiment.create()
    experiment.advance(minutes=59)
    assert experiment.status() == "Running"
    experiment.advance(minutes=11)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Completed", "early")


def test_one_that_is_not_started_ends_at_once(experiment):
    experiment.control.script_experiment("trial", status="Cancelled", reason="no role", after_seconds=5)
    experiment.create()

    experiment.advance(seconds=6)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Cancelled", "no role")
    experiment.advance(minutes=10)
    assert experiment.serving() == ("InService", "blue", ["live"])


def test_one_that_is_starting_ends_when_its_endpoint_lets_it(experiment):
    experiment.create()
    experiment.control.script_experiment("trial", status="Cancelled", reason="no", after_seconds=120)

    experiment.advance(minutes=3)
    assert (experiment.status(), experiment.serving()[0]) == ("Stopping", "Updating")
    experiment.advance(minutes=20)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Cancelled", "no")
    assert experiment.serving() == ("InService", "blue", ["live"])


def test_one_that_is_stopping_ends_otherwise_than_it_was_asked(experiment):
    experiment.run()
    experiment.stop(experiment.PROMOTE, DesiredState="Completed")

    experiment.control.script_experiment("trial", status="Cancelled", reason="internal error")
    experiment.advance(minutes=10)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Cancelled", "internal error")
    assert experiment.serving()[2] == ["candidate"]


def test_an_experiment_over_by_then_keeps_its_own_ending(experiment):
    experiment.run()
    experiment.control.script_experiment("trial", status="Cancelled", reason="late", after_seconds=7200)

    experiment.stop(DesiredState="Completed", Reason="done")
    experiment.advance(hours=3)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Completed", "done")


def test_an_update_of_the_endpoint_scripted_to_fail_fails_the_experiment(experiment):
    experiment.control.script_ending("churn", status="InService", failure_reason="bad luck", after_seconds=60)

    experiment.create()
    experiment.advance(minutes=10)

    assert (experiment.status(), experiment.look()["StatusReason"]) == ("Cancelled", "bad luck")


def test_a_script_that_cannot_come_true_is_refused(experiment):
    with pytest.raises(SimulatorError, match=r"status must be one of \['Cancelled', 'Completed'\]"):
        experiment.control.script_experiment("trial", status="Failed")

    experiment.run()
    experiment.stop()
    experiment.advance(minutes=10)
    with pytest.raises(SimulatorError, match="experiment trial has ended: it is Cancelled"):
        experiment.control.script_experiment("trial", status="Completed")
