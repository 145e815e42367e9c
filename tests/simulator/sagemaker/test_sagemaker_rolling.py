"""Rolling deployments."""

from __future__ import annotations

import pytest

ONE = {"Type": "INSTANCE_COUNT", "Value": 1}


def test_batch_by_batch_old_instances_go_as_new_ones_come(churn, rolling):
    """Launch a batch, shift traffic, bake, terminate an old batch, and repeat."""
    churn.update("green", rolling(percent=50, bake=120))

    stages, baking = [], []
    while stage := churn.stage():
        stages.append((stage["Status"], stage["StatusMessage"], stage["StartTime"]))
        if stage["Status"] == "Baking":
            baking.append((churn.green()["CurrentInstanceCount"], churn.blue()["CurrentInstanceCount"]))
        churn.advance(seconds=10)

    told = [(status, message) for status, message, _ in dict.fromkeys(stages)]
    assert [status for status, _ in told] == ["Creating", "ActivatingTraffic", "Baking", "Deleting"] * 2
    assert told[0] == ("Creating", "Launching 2 instance(s).")
    assert told[3] == told[7] == ("Deleting", "Terminating 2 instance(s).")
    assert list(dict.fromkeys(baking)) == [(2, 4), (4, 2)]
    assert churn.status() == ("InService", "green")


@pytest.mark.parametrize(
    ("instances", "percent", "counts"), [(10, 30, [3, 6, 9, 10]), (3, 33, [1, 2, 3]), (4, 50, [2, 4])]
)
def test_the_last_batch_is_what_is_left(endpoint, rolling, instances, percent, counts):
    endpoint.create()
    endpoint.config("sized", endpoint.variant(instances=instances))

    endpoint.update("sized", rolling(percent=percent, bake=60))

    seen = []
    while stage := endpoint.stage():
        if stage["Status"] == "Baking":
            seen.append(endpoint.green()["CurrentInstanceCount"])
        endpoint.advance(seconds=20)
    assert list(dict.fromkeys(seen)) == counts


def test_an_alarm_takes_all_batches_back_at_once(churn, rolling):
    churn.alarm("errors")
    churn.update("green", rolling(percent=25, bake=300, alarms=["errors"]))
    _advance_to_batch(churn, 2)

    churn.turn("errors", "ALARM")
    churn.advance(seconds=10)
    assert churn.stage()["StatusMessage"] == "Launching 2 instance(s)."
    churn.advance(seconds=180 + 60)

    assert churn.status() == ("InService", "blue")
    assert churn.look()["FailureReason"]
    assert churn.blue()["CurrentInstanceCount"] == 4


def test_an_alarm_takes_batches_back_in_the_size_that_was_asked_for(churn, rolling):
    churn.alarm("errors")
    churn.update("green", rolling(percent=25, bake=300, back=ONE, alarms=["errors"]))
    _advance_to_batch(churn, 2)
    churn.turn("errors", "ALARM")
    churn.advance(seconds=10)

    greens = []
    while churn.look()["EndpointStatus"] == "Updating":
        greens.append(churn.green()["CurrentInstanceCount"])
        churn.advance(seconds=10)

    assert list(dict.fromkeys(greens)) == [2, 1, 0]
    assert churn.status() == ("InService", "blue")


def test_a_rollback_that_fails_leaves_both_fleets_until_the_next_update(simulator, churn, rolling, canary):
    churn.control.set_knobs(rolling_rollback_ends_in="UpdateRollbackFailed")
    churn.alarm("errors")
    churn.update("green", rolling(alarms=["errors"]))
    _advance_to_batch(churn, 1)
    churn.turn("errors", "ALARM")
    churn.advance(minutes=5)

    assert churn.status() == ("UpdateRollbackFailed", "blue")
    assert "PendingDeploymentSummary" not in churn.look()
    routes = simulator.simulation.world("us-east-1").sagemaker.routes("churn")
    assert {route.endpoint_config_name: route.share for route in routes} == {"blue": 0.75, "green": 0.25}

    churn.update("green", canary())
    churn.advance(minutes=40)

    assert churn.status() == ("InService", "green")


@pytest.mark.parametrize(("percent", "accepted"), [(4, False), (5, True), (50, True), (51, False)])
def test_a_batch_is_a_twentieth_to_half_of_the_fleet(churn, rolling, percent, accepted):
    if accepted:
        churn.update("green", rolling(percent=percent))
        assert churn.look()["EndpointStatus"] == "Updating"
    else:
        message = churn.refusal(churn.update, "green", rolling(percent=percent))[1]
        assert "'deploymentConfig.rollingUpdatePolicy.maximumBatchSize.value'" in message
        assert "between 5% and 50% of the variant's total instance count (4)" in message


def test_several_variants_cannot_roll(endpoint, rolling):
    for name in ("first", "second"):
        endpoint.config(name, endpoint.variant("A"), endpoint.variant("B"))
    endpoint.create("first")

    code, message = endpoint.refusal(endpoint.update, "second", rolling())

    assert code == "ValidationException"
    assert "['A', 'B']" in message


def test_a_serverless_endpoint_cannot_roll(endpoint, rolling):
    serverless = {
        "VariantName": "AllTraffic",
        "ModelName": "churn-model",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }
    for name in ("first", "second"):
        endpoint.config(name, serverless)
    endpoint.create("first")
    assert endpoint.blue()["CurrentServerlessConfig"]["MemorySizeInMB"] == 2048

    assert endpoint.refusal(endpoint.update, "second", rolling())[0] == "ValidationException"


def test_only_one_policy_can_be_given(churn, rolling, canary):
    assert churn.refusal(churn.update, "green", {**rolling(), **canary()})[0] == "ValidationException"


def test_the_execution_timeout_ends_a_rolling_update_too(churn, rolling):
    churn.update("green", rolling(bake=3600, max_seconds=600))

    churn.advance(minutes=20)

    assert churn.status() == ("InService", "blue")


def _advance_to_batch(endpoint, batch):
    for _ in range(500):
        stage = endpoint.stage()
        if stage["Status"] == "Baking" and endpoint.green()["CurrentInstanceCount"] == batch:
            return
        endpoint.advance(seconds=10)
    raise AssertionError(f"batch {batch} never baked")


def test_a_batch_that_cannot_be_had_leaves_a_mix_where_the_old_ones_cannot_either(churn, rolling):
    """Capacity ran out after the first batch."""
    churn.update("green", rolling())
    _advance_to_batch(churn, 1)
    churn.control.set_knobs(capacity_available=False)
    churn.advance(minutes=60)

    assert churn.status() == ("UpdateRollbackFailed", "blue")
    assert "InsufficientInstanceCapacity" in churn.look()["FailureReason"]

    churn.control.set_knobs(capacity_available=True)
    churn.update("green", rolling())
    churn.advance(minutes=120)

    assert churn.status() == ("InService", "green")


@pytest.mark.parametrize(("instances", "accepted"), [(1, True), (2, True), (3, False), (4, True)])
def test_a_batch_back_may_be_bounded_too(churn, rolling, instances, accepted):
    """Only "100 %" is documented."""
    deployment = rolling(back={"Type": "INSTANCE_COUNT", "Value": instances})
    churn.update("green", deployment)
    churn.advance(minutes=120)
    churn.control.set_knobs(rolling_rollback_batch="bounded")

    if accepted:
        churn.update("blue", deployment)
    else:
        code, message = churn.refusal(churn.update, "blue", deployment)
        assert code == "ValidationException"
        assert "rollbackMaximumBatchSize" in message
