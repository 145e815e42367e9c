"""What rolls an update back, and the state afterwards."""

from __future__ import annotations

import pytest


@pytest.fixture
def guarded(churn):
    """The endpoint, with an alarm that is OK."""
    churn.alarm("errors")
    return churn


def test_an_alarm_in_the_canary_bake_takes_all_traffic_back_to_blue(simulator, guarded, canary):
    guarded.update("green", canary(alarms=["errors"]))
    guarded.advance(minutes=5)

    guarded.turn("errors", "ALARM")
    guarded.advance(seconds=10)

    assert guarded.status() == ("Updating", "blue")
    green = guarded.green()
    assert (green["CurrentInstanceCount"], green["DesiredInstanceCount"]) == (0, 0)
    assert green["VariantStatus"][0]["Status"] == "Deleting"
    routes = simulator.simulation.world("us-east-1").sagemaker.routes("churn")
    assert [(route.endpoint_config_name, route.share) for route in routes] == [("blue", 1)]
    guarded.advance(minutes=1)
    assert guarded.status() == ("InService", "blue")


def test_an_alarm_in_the_final_bake_undoes_a_complete_shift(guarded, all_at_once):
    guarded.update("green", all_at_once(termination_wait=300, alarms=["errors"]))
    guarded.advance(minutes=5)
    assert guarded.green()["CurrentInstanceCount"] == 4

    guarded.turn("errors", "ALARM")
    guarded.advance(minutes=2)

    assert guarded.status() == ("InService", "blue")
    assert guarded.blue()["CurrentInstanceCount"] == 4


def test_an_alarm_in_any_linear_step_gives_blue_its_instances_back(guarded, linear):
    guarded.update("green", linear(percent=25, bake=300, alarms=["errors"]))
    guarded.advance(minutes=10)
    assert guarded.blue()["CurrentInstanceCount"] == 2

    guarded.turn("errors", "ALARM")
    guarded.advance(seconds=10)

    assert guarded.status() == ("Updating", "blue")
    assert guarded.blue()["CurrentInstanceCount"] == 4
    guarded.advance(minutes=1)
    assert guarded.status() == ("InService", "blue")


def test_an_alarm_about_the_old_fleet_undoes_the_update_too(guarded, canary):
    """SageMaker reads only the state of an alarm, not its metric."""
    guarded.cloudwatch.put_metric_alarm(
        AlarmName="old-fleet",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": "churn"},
            {"Name": "VariantName", "Value": "AllTraffic"},
            {"Name": "EndpointConfigName", "Value": "blue"},
        ],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.5,
        ComparisonOperator="GreaterThanThreshold",
    )
    guarded.control.profile("blue", error_rate=1.0)
    guarded.control.replay("churn", ["1,2"], per_minute=60)

    guarded.update("green", canary(bake=600, alarms=["old-fleet"]))
    guarded.advance(minutes=8)

    assert guarded.status() == ("InService", "blue")


def test_alarms_are_looked_at_in_bakes_only(guarded, canary):
    guarded.update("green", canary(bake=60, termination_wait=0, alarms=["errors"]))
    guarded.turn("errors", "ALARM")
    guarded.advance(seconds=170)
    assert guarded.green()["VariantStatus"][0]["Status"] == "Creating"
    guarded.turn("errors", "OK")

    guarded.advance(minutes=10)

    assert guarded.status() == ("InService", "green")


def test_alarms_may_be_looked_at_all_the_time(guarded, canary):
    guarded.control.set_knobs(alarms_judged="always")
    guarded.update("green", canary(alarms=["errors"]))
    guarded.turn("errors", "ALARM")

    guarded.advance(seconds=10)
    assert guarded.green()["VariantStatus"][0]["Status"] == "Deleting"
    guarded.advance(seconds=60)

    assert guarded.status() == ("InService", "blue")


def test_without_alarms_nothing_is_looked_at_and_bakes_still_take_their_time(guarded, canary):
    guarded.turn("errors", "ALARM")
    guarded.update("green", canary(bake=600, termination_wait=300))

    assert ("Baking", 600) in guarded.stages()
    assert guarded.status() == ("InService", "green")


def test_an_alarm_between_two_looks_is_missed(guarded, canary):
    guarded.control.set_knobs(alarm_poll_seconds=60)
    guarded.update("green", canary(alarms=["errors"]))
    guarded.advance(seconds=195)

    guarded.turn("errors", "ALARM")
    guarded.advance(seconds=30)
    guarded.turn("errors", "OK")
    guarded.advance(minutes=30)

    assert guarded.status() == ("InService", "green")


@pytest.mark.parametrize("reason", ["An alarm went off.", "", None])
def test_a_rolled_back_endpoint_is_in_service_on_its_old_configuration(guarded, canary, reason):
    """There is no pending deployment, and FailureReason is present, empty or absent."""
    guarded.control.set_knobs(rollback_failure_reason=reason)
    guarded.update("green", canary(alarms=["errors"]))
    guarded.turn("errors", "ALARM")

    guarded.advance(minutes=10)

    look = guarded.look()
    assert (look["EndpointStatus"], look["EndpointConfigName"]) == ("InService", "blue")
    assert "PendingDeploymentSummary" not in look
    assert look.get("FailureReason") == reason
    assert guarded.stage() is None


def test_the_status_of_a_rollback_stays_updating(guarded, canary):
    """RollingBack is for weights and capacities."""
    assert _statuses_of_a_rollback(guarded, canary) == ["Updating", "InService"]


def test_a_rollback_may_show_rolling_back(guarded, canary):
    guarded.control.set_knobs(show_rolling_back=True)

    assert _statuses_of_a_rollback(guarded, canary) == ["Updating", "RollingBack", "InService"]


def test_a_container_that_never_passes_its_ping_undoes_the_update_without_any_alarm(endpoint, canary):
    endpoint.create()
    endpoint.model("bad-model")
    endpoint.config("bad", endpoint.variant(ModelName="bad-model"))
    endpoint.control.profile("bad-model", never_healthy=True)

    endpoint.update("bad", canary())
    endpoint.advance(seconds=180 + 240 - 1)
    assert endpoint.stage()["Status"] == "Creating"
    endpoint.advance(seconds=1 + 60)

    assert endpoint.status() == ("InService", "blue")
    assert endpoint.look()["FailureReason"] == (
        "The primary container for production variant AllTraffic did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )


def test_a_variant_says_how_long_its_container_may_take_to_pass_its_ping(endpoint):
    endpoint.create()
    endpoint.model("bad-model")
    patient = endpoint.variant(ModelName="bad-model", ContainerStartupHealthCheckTimeoutInSeconds=3600)
    endpoint.config("bad", patient)
    endpoint.control.profile("bad-model", never_healthy=True)

    endpoint.update("bad")
    endpoint.advance(minutes=60)
    assert endpoint.status() == ("Updating", "blue")
    endpoint.advance(minutes=5)

    assert endpoint.status() == ("InService", "blue")


def test_instances_that_cannot_be_had_undo_the_update(churn, canary):
    churn.control.set_knobs(capacity_available=False)
    churn.update("green", canary())

    churn.advance(seconds=180 + 60)

    assert churn.status() == ("InService", "blue")
    assert "InsufficientInstanceCapacity" in churn.look()["FailureReason"]


@pytest.mark.parametrize(("ends_in", "status"), [("rollback", "InService"), ("Failed", "Failed")])
def test_the_execution_timeout_ends_an_update(churn, canary, ends_in, status):
    """How such an update ends is not documented, so it is a knob."""
    churn.control.set_knobs(timeout_ends_in=ends_in)
    churn.update("green", canary(bake=3600, max_seconds=600))

    churn.advance(seconds=599)
    assert churn.green()["CurrentInstanceCount"] == 1
    churn.advance(seconds=61)

    assert churn.status() == (status, "blue")
    assert churn.look()["FailureReason"]


def test_the_execution_timeout_leaves_a_finished_shift_alone(churn, all_at_once):
    """When the old fleet is being terminated, there is no rollback."""
    churn.control.set_knobs(deleting_seconds=900)
    churn.update("green", all_at_once(termination_wait=60, max_seconds=600))

    churn.advance(minutes=30)

    assert churn.status() == ("InService", "green")


def test_an_alarm_that_is_in_alarm_already_rolls_back_or_is_ignored(guarded, canary):
    guarded.turn("errors", "ALARM")
    guarded.update("green", canary(alarms=["errors"]))
    guarded.advance(minutes=30)
    assert guarded.status() == ("InService", "blue")

    guarded.control.set_knobs(alarm_already_in_alarm="ignored")
    guarded.update("green", canary(alarms=["errors"]))
    guarded.advance(minutes=30)

    assert guarded.status() == ("InService", "green")


def test_an_alarm_without_data_lets_an_update_pass_or_not(guarded, canary):
    guarded.alarm("new", "INSUFFICIENT_DATA")
    guarded.update("green", canary(alarms=["new"]))
    guarded.advance(minutes=30)
    assert guarded.status() == ("InService", "green")

    guarded.control.set_knobs(insufficient_data="rolls_back")
    guarded.update("blue", canary(alarms=["new"]))
    guarded.advance(minutes=30)

    assert guarded.status() == ("InService", "green")
    assert guarded.look()["FailureReason"]


def test_an_alarm_that_does_not_exist_never_trips_or_is_refused(churn, canary):
    churn.update("green", canary(alarms=["nowhere"]))
    churn.advance(minutes=30)
    assert churn.status() == ("InService", "green")

    churn.control.set_knobs(missing_alarm="reject")

    code, message = churn.refusal(churn.update, "blue", canary(alarms=["nowhere"]))
    assert code == "ValidationException"
    assert "nowhere" in message


def _statuses_of_a_rollback(endpoint, canary):
    endpoint.update("green", canary(alarms=["errors"]))
    endpoint.turn("errors", "ALARM")
    seen = []
    for _ in range(40):
        seen.append(endpoint.look()["EndpointStatus"])
        endpoint.advance(seconds=15)
    return list(dict.fromkeys(seen))


def test_an_alarm_that_does_not_exist_may_undo_an_update(churn, canary):
    churn.control.set_knobs(missing_alarm="rolls_back")
    churn.update("green", canary(alarms=["nowhere"]))
    churn.advance(seconds=180 + 10 + 60)

    assert churn.status() == ("InService", "blue")


@pytest.mark.parametrize(
    ("missing_alarm", "config"), [("ignore", "green"), ("reject", "green"), ("rolls_back", "blue")]
)
def test_an_alarm_deleted_while_an_update_names_it_no_longer_exists(guarded, canary, missing_alarm, config):
    guarded.control.set_knobs(missing_alarm=missing_alarm)
    guarded.update("green", canary(alarms=["errors"]))
    guarded.advance(minutes=5)
    guarded.turn("errors", "ALARM")

    guarded.cloudwatch.delete_alarms(AlarmNames=["errors"])
    guarded.advance(hours=1)

    assert guarded.status() == ("InService", config)
    assert guarded.look()["LastDeploymentConfig"] == canary(alarms=["errors"])


@pytest.mark.parametrize(
    ("missing_alarm", "config"), [("ignore", "green"), ("rolls_back", "blue"), ("reject", None)]
)
def test_a_role_that_may_not_describe_alarms_sees_none(guarded, canary, missing_alarm, config):
    """Undocumented, as is an alarm that does not exist."""
    guarded.control.set_knobs(alarms_readable=False, missing_alarm=missing_alarm)
    if config is None:
        assert guarded.refusal(guarded.update, "green", canary(alarms=["errors"]))[0] == "ValidationException"
        return
    guarded.update("green", canary(alarms=["errors"]))
    guarded.advance(minutes=5)
    guarded.turn("errors", "ALARM")
    guarded.advance(minutes=60)

    assert guarded.status() == ("InService", config)


@pytest.mark.parametrize(("composite_alarm", "config"), [("accept", "blue"), ("ignore", "green")])
def test_a_composite_alarm_guards_or_is_ignored(guarded, canary, composite_alarm, config):
    """Whether SageMaker accepts composite alarms is not documented."""
    guarded.control.set_knobs(composite_alarm=composite_alarm)
    guarded.composite("any-trouble", "errors")
    guarded.update("green", canary(alarms=["any-trouble"]))
    guarded.advance(minutes=5)
    guarded.turn("errors", "ALARM")
    guarded.advance(minutes=60)

    assert guarded.status() == ("InService", config)


def test_a_composite_alarm_may_be_refused(guarded, canary):
    guarded.control.set_knobs(composite_alarm="reject")
    guarded.composite("any-trouble", "errors")

    assert guarded.refusal(guarded.update, "green", canary(alarms=["any-trouble"])) == (
        "ValidationException",
        "Composite alarms are not supported: ['any-trouble'].",
    )
    guarded.update("green", canary(alarms=["errors"]))


def test_an_update_without_alarms_may_skip_its_bakes(guarded, canary):
    guarded.control.set_knobs(bakes_without_alarms=False)

    guarded.update("green", canary())
    assert "Baking" not in dict(guarded.stages())

    guarded.update("blue", canary(alarms=["errors"]))
    assert [seconds for stage, seconds in guarded.stages() if stage == "Baking"] == [600, 300]
