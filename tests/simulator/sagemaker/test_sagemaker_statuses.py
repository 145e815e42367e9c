"""Statuses that are not from an update, and scripted ends."""

from __future__ import annotations

import pytest

from airflow_guardrails.simulator.client import SimulatorError


def test_a_rollback_that_fails_leaves_both_fleets_and_the_next_update_heals_it(simulator, churn, canary):
    """Here as a script; a rolling update can also end like this."""
    churn.control.script_ending(
        "churn", status="UpdateRollbackFailed", failure_reason="No capacity.", after_seconds=300
    )
    churn.update("green", canary())
    churn.advance(minutes=5)

    look = churn.look()
    assert (look["EndpointStatus"], look["EndpointConfigName"]) == ("UpdateRollbackFailed", "blue")
    assert look["FailureReason"] == "No capacity."
    assert "PendingDeploymentSummary" not in look
    routes = simulator.simulation.world("us-east-1").sagemaker.routes("churn")
    assert {route.endpoint_config_name for route in routes} == {"blue", "green"}

    churn.update("green")
    churn.advance(minutes=10)

    assert churn.status() == ("InService", "green")
    assert "FailureReason" not in churn.look()


def test_maintenance_shows_system_updating_and_ends_in_service_on_the_same_configuration(churn):
    churn.control.system_update("churn", 120)

    assert churn.status() == ("SystemUpdating", "blue")
    assert "PendingDeploymentSummary" not in churn.look()
    assert churn.refusal(churn.update)[1].startswith("Cannot update in-progress endpoint ")
    churn.advance(seconds=120)
    assert churn.status() == ("InService", "blue")


def test_maintenance_in_the_middle_of_an_update_does_not_end_it(churn, canary):
    churn.update("green", canary())
    churn.advance(minutes=4)

    churn.control.system_update("churn", 60)
    assert churn.look()["EndpointStatus"] == "SystemUpdating"
    assert churn.look()["PendingDeploymentSummary"]["EndpointConfigName"] == "green"
    churn.advance(seconds=60)
    assert churn.look()["EndpointStatus"] == "Updating"
    churn.advance(minutes=30)

    assert churn.status() == ("InService", "green")


def test_maintenances_that_overlap_end_with_the_last(churn):
    churn.control.system_update("churn", 120)
    churn.advance(seconds=60)
    churn.control.system_update("churn", 120)

    churn.advance(seconds=60)
    assert churn.status() == ("SystemUpdating", "blue")
    churn.advance(seconds=59)
    assert churn.status() == ("SystemUpdating", "blue")
    churn.advance(seconds=1)

    assert churn.status() == ("InService", "blue")


def test_scaling_out_without_capacity_shows_rolling_back_and_scaling_in_does_not(churn):
    churn.control.set_knobs(capacity_available=False)
    churn.scale(instances=8)
    churn.advance(seconds=180)
    assert churn.status() == ("RollingBack", "blue")
    churn.advance(seconds=60)
    assert churn.status() == ("InService", "blue")
    assert (churn.blue()["CurrentInstanceCount"], churn.blue()["DesiredInstanceCount"]) == (4, 4)

    churn.scale(instances=2)
    churn.advance(seconds=180)

    assert churn.status() == ("InService", "blue")
    assert (churn.blue()["CurrentInstanceCount"], churn.blue()["DesiredInstanceCount"]) == (2, 2)


def test_rolling_back_is_what_failed_scaling_shows(churn):
    churn.control.set_knobs(scaling_ends_in="rollback")
    churn.scale(instances=8)

    seen = []
    for _ in range(30):
        seen.append(churn.look()["EndpointStatus"])
        churn.advance(seconds=10)

    assert list(dict.fromkeys(seen)) == ["Updating", "RollingBack", "InService"]
    assert churn.blue()["DesiredInstanceCount"] == 4


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "InService"])
def test_a_written_ending_leaves_the_old_configuration(churn, canary, status):
    churn.update("green", canary())

    churn.control.script_ending("churn", status=status, after_seconds=60)
    churn.advance(seconds=59)
    assert churn.look()["EndpointStatus"] == "Updating"
    churn.advance(seconds=1)

    assert churn.status() == (status, "blue")
    assert "PendingDeploymentSummary" not in churn.look()
    churn.advance(minutes=60)
    assert churn.status() == (status, "blue")


@pytest.mark.parametrize("config", ["green", "third"])
def test_a_written_ending_may_leave_any_configuration(churn, canary, config):
    churn.config("third")
    churn.control.script_ending("churn", status="InService", after_seconds=60, endpoint_config_name=config)

    churn.update("green", canary())
    churn.advance(seconds=60)

    assert churn.status() == ("InService", config)


def test_a_written_ending_counts_from_the_start_of_the_update(churn, canary):
    churn.update("green", canary())
    churn.advance(seconds=100)

    churn.control.script_ending("churn", status="Failed", after_seconds=120)
    churn.advance(seconds=20)

    assert churn.look()["EndpointStatus"] == "Failed"


def test_a_written_ending_is_for_one_update(churn):
    churn.control.script_ending("churn", status="InService", after_seconds=30)
    churn.update()
    churn.advance(seconds=30)
    assert churn.status() == ("InService", "blue")

    churn.update()
    churn.advance(minutes=10)

    assert churn.status() == ("InService", "green")


def test_an_ending_that_cannot_be_is_refused(churn):
    with pytest.raises(
        SimulatorError, match=r"status must be one of .*UpdateRollbackFailed.* \(got 'Broken'\)"
    ):
        churn.control.script_ending("churn", status="Broken")
    with pytest.raises(SimulatorError, match="Could not find endpoint"):
        churn.control.script_ending("nowhere", status="Failed")


def test_an_endpoint_may_vanish_in_the_middle_of_an_update(churn, canary):
    churn.update("green", canary())
    churn.advance(minutes=5)

    churn.control.vanish("churn")

    assert churn.refusal(churn.look)[1].startswith("Could not find endpoint ")
    churn.advance(minutes=60)
    churn.create("green")
    assert churn.status() == ("InService", "green")


def test_an_endpoint_may_vanish_while_it_is_being_deleted(churn):
    churn.delete()

    churn.control.vanish("churn")
    churn.advance(minutes=5)

    assert churn.refusal(churn.look)[1].startswith("Could not find endpoint ")


def test_a_scripted_end_in_the_past_of_the_update_is_refused(churn, canary):
    churn.update("green", canary())
    churn.advance(seconds=100)

    with pytest.raises(SimulatorError, match=r"after_seconds must be at least 100 \(got 60\)"):
        churn.control.script_ending("churn", status="Failed", after_seconds=60)
    assert churn.look()["EndpointStatus"] == "Updating"


def test_a_scripted_end_after_the_update_says_that_it_was_not_used(churn, caplog):
    churn.control.script_ending("churn", status="Failed", after_seconds=7200)
    churn.update()
    churn.advance(minutes=60)

    assert churn.status()[0] == "InService"
    assert "A scripted end at 7200 s was not used" in caplog.text
