"""The start of an update: LastDeploymentConfig, its start time, and its record."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.exceptions import ConnectionClosedError

LONG_NAMES = [f"{number}-".ljust(255, "x") for number in range(10)]


@pytest.fixture
def long_names(churn):
    for name in LONG_NAMES:
        churn.alarm(name)
    return LONG_NAMES


def test_the_last_deployment_config_is_that_of_an_update_from_its_start_on(churn, canary):
    churn.update("green", canary(bake=300))

    assert churn.look()["LastDeploymentConfig"] == canary(bake=300)


def test_or_only_once_the_update_has_ended(endpoint, canary, all_at_once):
    endpoint.control.set_knobs(last_deployment_config="at_end")
    endpoint.create(DeploymentConfig=all_at_once())
    endpoint.config("third")

    endpoint.update("green", canary(bake=300))
    assert endpoint.look()["LastDeploymentConfig"] == all_at_once()
    endpoint.advance(minutes=30)
    assert endpoint.look()["LastDeploymentConfig"] == canary(bake=300)

    endpoint.update("third", canary(bake=600))
    assert endpoint.look()["LastDeploymentConfig"] == canary(bake=300)
    endpoint.advance(hours=1)
    assert endpoint.status() == ("InService", "third")
    assert endpoint.look()["LastDeploymentConfig"] == canary(bake=600)


def test_before_the_end_of_the_first_update_there_may_be_none(churn, canary):
    churn.control.set_knobs(last_deployment_config="at_end")

    churn.update("green", canary())
    churn.advance(minutes=5)

    assert "LastDeploymentConfig" not in churn.look()


@pytest.mark.parametrize("shown", ["at_start", "at_end"])
def test_a_rolled_back_update_leaves_its_deployment_config_to_be_retained(churn, canary, shown):
    churn.control.set_knobs(last_deployment_config=shown)
    churn.alarm("errors")
    churn.update("green", canary(alarms=["errors"]))
    churn.advance(minutes=5)
    churn.turn("errors", "ALARM")
    churn.advance(minutes=30)
    assert churn.status() == ("InService", "blue")
    assert churn.look()["LastDeploymentConfig"] == canary(alarms=["errors"])

    churn.turn("errors", "OK")
    churn.update("green", RetainDeploymentConfig=True)

    assert churn.look()["LastDeploymentConfig"] == canary(alarms=["errors"])
    assert [update["alarms"] for update in churn.control.accepted_updates()] == [["errors"]] * 2


@pytest.mark.parametrize("ending", ["Failed", "UpdateRollbackFailed"])
def test_so_does_one_that_ends_in_another_way(churn, canary, ending):
    churn.control.set_knobs(last_deployment_config="at_end")
    churn.control.script_ending("churn", status=ending, after_seconds=400)

    churn.update("green", canary())
    churn.advance(seconds=399)
    assert "LastDeploymentConfig" not in churn.look()
    churn.advance(seconds=1)

    assert churn.look()["EndpointStatus"] == ending
    assert churn.look()["LastDeploymentConfig"] == canary()


def test_a_change_of_capacity_is_no_end_of_an_update(churn, canary):
    churn.control.set_knobs(last_deployment_config="at_end")
    churn.update("green", canary())
    churn.advance(hours=1)

    churn.scale(instances=2)
    churn.advance(hours=1)

    assert churn.look()["LastDeploymentConfig"] == canary()


@pytest.mark.parametrize("shown", ["at_start", "at_end"])
def test_ten_alarms_of_the_longest_names_are_kept_whole(churn, canary, long_names, shown):
    churn.control.set_knobs(last_deployment_config=shown)

    churn.update("green", canary(alarms=long_names))
    churn.advance(hours=1)

    assert churn.status() == ("InService", "green")
    assert churn.look()["LastDeploymentConfig"] == canary(alarms=long_names)
    assert churn.control.accepted_updates()[0]["alarms"] == long_names


def test_the_last_of_ten_alarms_undoes_an_update(churn, canary, long_names):
    churn.update("green", canary(alarms=long_names))
    churn.advance(minutes=5)
    churn.turn(long_names[-1], "ALARM")
    churn.advance(minutes=10)

    assert churn.status() == ("InService", "blue")


@pytest.mark.parametrize("delay", [0, 40, 100])
def test_an_update_starts_so_long_after_it_was_accepted(churn, canary, delay):
    churn.control.set_knobs(start_time_delay_seconds=delay)
    accepted = churn.control.now()

    churn.update("green", canary())

    pending = churn.look()["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "green"
    assert pending["StartTime"] - accepted == timedelta(seconds=delay)
    churn.advance(seconds=delay)
    assert churn.look()["PendingDeploymentSummary"]["StartTime"] == pending["StartTime"]
    assert churn.stages() == [
        ("Creating", 180),
        ("ActivatingTraffic", 10),
        ("Baking", 600),
        ("ActivatingTraffic", 10),
        ("Baking", 300),
        ("Deleting", 60),
    ]
    assert churn.status() == ("InService", "green")


def test_nothing_is_launched_before_the_start(churn, rolling):
    churn.control.set_knobs(start_time_delay_seconds=100)

    churn.update("green", rolling())
    churn.advance(seconds=99)
    assert churn.stage() is None
    churn.advance(seconds=1)

    assert churn.stage()["Status"] == "Creating"
    assert churn.stage()["StartTime"] == churn.look()["PendingDeploymentSummary"]["StartTime"]


def test_the_pending_deployment_may_be_hidden_until_the_start(churn, canary):
    churn.control.set_knobs(start_time_delay_seconds=40, pending_before_start="hidden")

    churn.update("green", canary())
    churn.advance(seconds=39)
    assert churn.status() == ("Updating", "blue")
    assert "PendingDeploymentSummary" not in churn.look()
    churn.advance(seconds=1)

    assert churn.look()["PendingDeploymentSummary"]["StartTime"] == churn.control.now()


def test_an_endpoint_can_be_described_with_unknown_words(churn, canary):
    changes = {
        "PendingDeploymentSummary.ProductionVariants.*.VariantStatus.*.Status": "Warming",
        "EndpointStatus": "Preparing",
    }
    churn.update("green", canary())
    churn.control.fault("DescribeEndpoint", kind="alter", changes=changes)

    look = churn.look()
    stages = look["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"]
    assert (look["EndpointStatus"], [stage["Status"] for stage in stages]) == ("Preparing", ["Warming"])
    assert churn.status() == ("Updating", "blue")


def test_metrics_of_the_new_configuration_begin_after_the_late_start(churn, canary):
    churn.control.set_knobs(start_time_delay_seconds=100)
    churn.control.replay("churn", ["1"], per_minute=600)
    accepted = churn.control.now()

    churn.update("green", canary())
    churn.advance(minutes=15)

    first = min(point["Timestamp"] for point in _invocations(churn, "green", since=accepted))
    traffic_began = accepted + timedelta(seconds=100 + 180 + 10)
    assert first == traffic_began.replace(second=0)


def test_the_time_out_of_an_update_counts_from_its_start(churn, canary):
    churn.control.set_knobs(start_time_delay_seconds=100)

    churn.update("green", canary(bake=3000, max_seconds=600))
    churn.advance(seconds=699)
    assert churn.stage()["Status"] == "Baking"
    churn.advance(seconds=1)
    assert churn.stage()["Status"] == "Deleting"
    churn.advance(seconds=60)

    assert churn.status() == ("InService", "blue")


@pytest.mark.parametrize("strategy", ["canary", "rolling"])
def test_an_alarm_may_undo_an_update_before_its_start(churn, strategy, request):
    config = request.getfixturevalue(strategy)
    churn.control.set_knobs(start_time_delay_seconds=100, alarms_judged="always")
    churn.alarm("errors", "ALARM")

    churn.update("green", config(alarms=["errors"]))
    churn.advance(seconds=61)

    assert churn.status() == ("InService", "blue")
    assert churn.stage() is None


def test_accepted_updates_are_listed_with_their_alarms_and_their_start(churn, canary):
    churn.control.set_knobs(start_time_delay_seconds=40)
    churn.alarm("errors")
    accepted = churn.control.now()

    churn.update("green", canary(alarms=["errors"]))
    churn.refusal(churn.update, "green", canary())  # it is in progress

    assert churn.control.accepted_updates() == [
        {
            "endpoint_name": "churn",
            "endpoint_config_name": "green",
            "alarms": ["errors"],
            "accepted_at": accepted,
            "start_time": accepted + timedelta(seconds=40),
        }
    ]
    (update,) = churn.simulator.simulation.world("us-east-1").sagemaker.accepted_updates
    assert (update.alarms, update.start_time) == (("errors",), accepted + timedelta(seconds=40))
    churn.advance(seconds=40)
    assert churn.look()["PendingDeploymentSummary"]["StartTime"] == update.start_time


def test_they_are_listed_by_endpoint_without_creation_and_scaling(churn):
    churn.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="blue")
    churn.advance(minutes=10)
    churn.scale(instances=2)
    churn.advance(minutes=10)
    assert churn.control.accepted_updates() == []

    churn.sagemaker.update_endpoint(EndpointName="other", EndpointConfigName="green")

    assert churn.control.accepted_updates("churn") == []
    assert [update["endpoint_config_name"] for update in churn.control.accepted_updates("other")] == ["green"]


def test_an_update_whose_answer_was_lost_was_accepted(churn):
    churn.control.fault("UpdateEndpoint", kind="lose")

    with pytest.raises(ConnectionClosedError):
        churn.update("green")

    assert [update["endpoint_config_name"] for update in churn.control.accepted_updates("churn")] == ["green"]


def _invocations(churn, config, *, since):
    dimensions = {"EndpointName": "churn", "VariantName": "AllTraffic", "EndpointConfigName": config}
    return churn.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=since,
        EndTime=since + timedelta(hours=1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
