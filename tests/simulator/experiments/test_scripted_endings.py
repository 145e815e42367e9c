"""Endings of experiments that a test writes down."""

from __future__ import annotations

import pytest

from airflow_guardrails.simulator.client import SimulatorError


def test_a_running_experiment_is_cancelled_as_scripted_and_takes_its_shadow_down(lab):
    lab.run()

    lab.control.script_experiment("trial", status="Cancelled", reason="internal error", after_seconds=900)
    assert lab.status() == "Running"
    lab.advance(minutes=6)
    assert lab.status() == "Stopping"
    lab.advance(minutes=10)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Cancelled", "internal error")
    assert lab.serving() == ("InService", "blue", ["live"])


def test_an_ending_may_leave_the_shadow_on_the_endpoint(lab):
    lab.run()

    lab.control.script_experiment("trial", status="Cancelled", keep_shadow=True)
    lab.advance(seconds=1)

    assert lab.status() == "Cancelled"
    assert "StatusReason" not in lab.look()
    assert lab.serving() == ("InService", "churn-trial", ["live", "candidate"])
    assert lab.variants() == {"live": "InService", "candidate": "InService"}


def test_an_experiment_yet_to_be_created_ends_so_long_after_its_creation(lab):
    lab.control.script_experiment("trial", status="Completed", reason="early", after_seconds=3600)
    lab.advance(hours=2)

    lab.create()
    lab.advance(minutes=59)
    assert lab.status() == "Running"
    lab.advance(minutes=11)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Completed", "early")


def test_one_that_is_not_started_ends_at_once(lab):
    lab.control.script_experiment("trial", status="Cancelled", reason="no role", after_seconds=5)
    lab.create()

    lab.advance(seconds=6)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Cancelled", "no role")
    lab.advance(minutes=10)
    assert lab.serving() == ("InService", "blue", ["live"])


def test_one_that_is_starting_ends_when_its_endpoint_lets_it(lab):
    lab.create()
    lab.control.script_experiment("trial", status="Cancelled", reason="no", after_seconds=120)

    lab.advance(minutes=3)
    assert (lab.status(), lab.serving()[0]) == ("Stopping", "Updating")
    lab.advance(minutes=20)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Cancelled", "no")
    assert lab.serving() == ("InService", "blue", ["live"])


def test_one_that_is_stopping_ends_otherwise_than_it_was_asked(lab):
    lab.run()
    lab.stop(lab.PROMOTE, DesiredState="Completed")

    lab.control.script_experiment("trial", status="Cancelled", reason="internal error")
    lab.advance(minutes=10)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Cancelled", "internal error")
    assert lab.serving()[2] == ["candidate"]


def test_an_experiment_over_by_then_keeps_its_own_ending(lab):
    lab.run()
    lab.control.script_experiment("trial", status="Cancelled", reason="late", after_seconds=7200)

    lab.stop(DesiredState="Completed", Reason="done")
    lab.advance(hours=3)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Completed", "done")


def test_an_update_of_the_endpoint_scripted_to_fail_fails_the_experiment(lab):
    lab.control.script_ending("churn", status="InService", failure_reason="bad luck", after_seconds=60)

    lab.create()
    lab.advance(minutes=10)

    assert (lab.status(), lab.look()["StatusReason"]) == ("Cancelled", "bad luck")


def test_a_script_that_cannot_come_true_is_refused(lab):
    with pytest.raises(SimulatorError, match=r"status must be one of \['Cancelled', 'Completed'\]"):
        lab.control.script_experiment("trial", status="Failed")

    lab.run()
    lab.stop()
    lab.advance(minutes=10)
    with pytest.raises(SimulatorError, match="experiment trial has ended: it is Cancelled"):
        lab.control.script_experiment("trial", status="Completed")
