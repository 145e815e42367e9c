"""Bounds of a DeploymentConfig, on both sides."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ParamValidationError

ROUTING = "deploymentConfig.blueGreenUpdatePolicy.trafficRoutingConfiguration"
POLICY = "deploymentConfig.blueGreenUpdatePolicy"


@pytest.mark.parametrize(
    ("options", "value_at", "most"),
    [
        ({"bake": 3601}, f"'3601' at '{ROUTING}.waitIntervalInSeconds'", 3600),
        ({"termination_wait": 3601}, f"'3601' at '{POLICY}.terminationWaitInSeconds'", 3600),
        ({"max_seconds": 28801}, f"'28801' at '{POLICY}.maximumExecutionTimeoutInSeconds'", 28800),
    ],
)
def test_what_is_out_of_bounds_is_named_with_its_value_and_rule(churn, canary, options, value_at, most):
    code, message = churn.refusal(churn.update, "green", canary(**options))

    assert code == "ValidationException"
    assert message == (
        f"1 validation error detected: Value {value_at} failed to satisfy constraint: "
        f"Member must have value less than or equal to {most}"
    )
    assert churn.status() == ("InService", "blue")


@pytest.mark.parametrize(
    "options",
    [{"bake": 3600}, {"bake": 0}, {"termination_wait": 3600}, {"max_seconds": 600}, {"max_seconds": 28800}],
)
def test_what_is_just_within_bounds_is_accepted(churn, canary, options):
    churn.update("green", canary(**options))

    assert churn.look()["EndpointStatus"] == "Updating"


def test_a_timeout_below_its_minimum_reaches_no_endpoint(churn, canary):
    """botocore's client checks this bound, and the server does too."""
    with pytest.raises(ParamValidationError):
        churn.update("green", canary(max_seconds=599))

    message = _refusal_of_raw_update(churn, canary(max_seconds=599))
    assert f"Value '599' at '{POLICY}.maximumExecutionTimeoutInSeconds'" in message
    assert "greater than or equal to 600" in message


@pytest.mark.parametrize(("percent", "accepted"), [(1, True), (50, True), (51, False)])
def test_a_canary_is_at_most_half_of_the_fleet(churn, canary, percent, accepted):
    _expect(churn, canary(percent=percent), accepted, "at most 50% of the variant's total instance count (4)")


@pytest.mark.parametrize(("instances", "accepted"), [(1, True), (2, True), (3, False)])
def test_a_canary_in_instances_is_measured_on_the_new_fleet(churn, canary, instances, accepted):
    _expect(churn, canary(instances=instances), accepted, "at most 50%")


@pytest.mark.parametrize(("percent", "accepted"), [(9, False), (10, True), (50, True), (51, False)])
def test_a_linear_step_is_a_tenth_to_half_of_the_fleet(churn, linear, percent, accepted):
    _expect(churn, linear(percent=percent), accepted, "between 10% and 50%")


@pytest.mark.parametrize(("instances", "accepted"), [(1, False), (2, True), (10, True), (11, False)])
def test_a_linear_step_in_instances_is_measured_too(endpoint, linear, instances, accepted):
    endpoint.create()
    endpoint.config("big", endpoint.variant(instances=20))

    _expect(endpoint, linear(instances=instances), accepted, "between 10% and 50%", config="big")


def test_sizes_are_measured_on_the_count_that_is_retained(churn, canary):
    churn.config("small", churn.variant(instances=2))

    assert "(2)" in churn.refusal(churn.update, "small", canary(instances=2))[1]
    churn.update("small", canary(instances=2), RetainAllVariantProperties=True)
    assert churn.green()["DesiredInstanceCount"] == 4


def test_one_instance_cannot_be_divided_unless_the_knob_says_so(endpoint, canary):
    endpoint.create()
    endpoint.config("single", endpoint.variant(instances=1))

    assert "at most 50%" in endpoint.refusal(endpoint.update, "single", canary(percent=10))[1]
    endpoint.control.set_knobs(one_instance_percent="accept")
    endpoint.update("single", canary(percent=10))

    assert endpoint.look()["EndpointStatus"] == "Updating"


@pytest.mark.parametrize(("count", "accepted"), [(10, True), (11, False)])
def test_an_update_has_at_most_ten_alarms(churn, canary, count, accepted):
    names = [f"alarm-{number}" for number in range(count)]

    _expect(churn, canary(alarms=names), accepted, "Member must have length less than or equal to 10")


def test_an_update_that_names_alarms_names_at_least_one(churn, canary):
    config = {**canary(), "AutoRollbackConfiguration": {"Alarms": []}}

    message = _refusal_of_raw_update(churn, config)

    assert "'deploymentConfig.autoRollbackConfiguration.alarms'" in message
    assert "length greater than or equal to 1" in message


def test_an_unknown_type_of_routing_is_refused_with_the_known_ones(churn, canary):
    config = canary()
    config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] = "SOMEHOW"

    message = churn.refusal(churn.update, "green", config)[1]

    assert f"Value 'SOMEHOW' at '{ROUTING}.type'" in message
    assert "enum value set: [ALL_AT_ONCE, CANARY, LINEAR]" in message


def test_all_violations_are_reported_at_once(churn, canary):
    message = churn.refusal(churn.update, "green", canary(bake=9999, termination_wait=9999))[1]

    assert message.startswith("2 validation errors detected: ")


def test_the_wait_interval_is_required_even_all_at_once(churn, all_at_once):
    config = all_at_once()
    del config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]

    with pytest.raises(ParamValidationError, match='"WaitIntervalInSeconds"'):
        churn.update("green", config)
    message = _refusal_of_raw_update(churn, config)
    assert f"Value null at '{ROUTING}.waitIntervalInSeconds'" in message
    assert "Member must not be null" in message


@pytest.mark.parametrize("kind", ["CANARY", "LINEAR"])
def test_a_shift_needs_its_size(churn, canary, kind):
    config = canary()
    routing = config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    routing["Type"] = kind
    del routing["CanarySize"]

    assert "Member must not be null" in churn.refusal(churn.update, "green", config)[1]


def test_a_size_of_another_type_of_routing_is_refused_or_ignored(churn, canary):
    config = canary()
    routing = config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    routing["LinearStepSize"] = {"Type": "CAPACITY_PERCENT", "Value": 20}

    assert "linearStepSize" in churn.refusal(churn.update, "green", config)[1]
    churn.control.set_knobs(foreign_size="ignore")
    churn.update("green", config)
    assert churn.look()["EndpointStatus"] == "Updating"


def test_a_config_is_given_or_retained_but_not_both(churn, canary, all_at_once):
    def update():
        churn.update("green", canary(), RetainDeploymentConfig=True)

    assert churn.refusal(update)[0] == "ValidationException"
    churn.control.set_knobs(retain_with_config="given")
    update()
    assert ("Baking", 600) in churn.stages()


@pytest.mark.parametrize("name", ["under_score", "-leading", "x" * 64])
def test_names_follow_their_pattern(endpoint, name):
    create = endpoint.sagemaker.create_endpoint

    code, message = endpoint.refusal(create, EndpointName=name, EndpointConfigName="blue")

    assert code == "ValidationException"
    assert f"Value '{name}' at 'endpointName' failed to satisfy constraint" in message


def _expect(endpoint, deployment, accepted, rule, config="green"):
    if accepted:
        endpoint.update(config, deployment)
        assert endpoint.look()["EndpointStatus"] == "Updating"
    else:
        code, message = endpoint.refusal(endpoint.update, config, deployment)
        assert code == "ValidationException"
        assert message.startswith("1 validation error detected: ")
        assert rule in message


def _refusal_of_raw_update(endpoint, deployment):
    """Call UpdateEndpoint with a client that checks nothing."""
    body = {"EndpointName": "churn", "EndpointConfigName": "green", "DeploymentConfig": deployment}
    credential = "Credential=testing/20260302/us-east-1/sagemaker/aws4_request"
    request = urllib.request.Request(
        endpoint.simulator.url,
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "SageMaker.UpdateEndpoint",
            "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0",
        },
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    answer = json.loads(caught.value.read())
    assert (caught.value.code, answer["__type"]) == (400, "ValidationException")
    return answer["message"]
