"""Strategies on the wire, compared with botocore's own model of the API."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pendulum
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.aws.deployment_config import (
    as_guardrails,
    deployment_config_request,
    parse_deployment_config,
)
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.strategies import AllAtOnce, Canary, InvalidAlarms, InvalidStrategy, Linear, Rolling

MINUTE = timedelta(minutes=1)
CANARY = Canary(percent=25, bake=10 * MINUTE, termination_wait=5 * MINUTE)


@pytest.fixture(scope="session")
def update_endpoint():
    model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
    return model.operation_model("UpdateEndpoint").input_shape


def waits():
    return st.integers(0, 3600).map(lambda number: timedelta(seconds=number))


def sizes(least, most, prefix=""):
    percents = st.fixed_dictionaries({f"{prefix}percent": st.integers(least, most)})
    return percents | st.fixed_dictionaries({f"{prefix}instances": st.integers(1, 1000)})


@st.composite
def limited(draw, kind, arguments):
    """A legal strategy of *kind*, with a limit that fits where there is room for one."""
    strategy = kind(**arguments)
    least = max(600, strategy.total_bake // timedelta(seconds=1) + 1)
    if least > 28800 or not draw(st.booleans()):
        return strategy
    return kind(**arguments, max_duration=timedelta(seconds=draw(st.integers(least, 28800))))


@st.composite
def strategies(draw):
    kind = draw(st.sampled_from([AllAtOnce, Canary, Linear, Rolling]))
    arguments = {} if kind is AllAtOnce else {"bake": draw(waits())}
    if kind is not Rolling:
        arguments["termination_wait"] = draw(waits())
    if kind is Rolling:
        arguments |= draw(sizes(5, 50, "batch_")) | draw(st.just({}) | sizes(1, 100, "rollback_batch_"))
    elif kind is not AllAtOnce:
        arguments |= draw(sizes(1 if kind is Canary else 10, 50))
    return draw(limited(kind, arguments))


def all_guardrails():
    names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=255)
    alarms = st.lists(names, max_size=10, unique=True).map(tuple)
    return st.builds(Guardrails, strategy=st.none() | strategies(), alarms=alarms)


def violations(shape, value, path=""):
    """What the model forbids and botocore's validator lets pass: maxima, enums and patterns."""
    found = list(_broken_bounds(shape, value, path))
    if shape.type_name == "structure":
        for key, member in value.items():
            found += violations(shape.members[key], member, f"{path}.{key}")
    if shape.type_name == "list":
        for item in value:
            found += violations(shape.member, item, f"{path}[]")
    return found


def _broken_bounds(shape, value, path):
    size = value if shape.type_name == "integer" else len(value)
    if not shape.metadata.get("min", 0) <= size <= shape.metadata.get("max", float("inf")):
        yield f"{path} has {size}"
    if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        yield f"{path} is {value}"
    if shape.metadata.get("pattern") and not re.fullmatch(shape.metadata["pattern"], value):
        yield f"{path} is {value!r}"


def as_text(content):
    """The request with its numbers as Jinja renders them."""
    if isinstance(content, dict):
        return {key: as_text(value) for key, value in content.items()}
    if isinstance(content, list):
        return [as_text(item) for item in content]
    return f" {content}\n" if isinstance(content, int) else content


@given(all_guardrails())
def test_the_wire_form_reads_back_as_the_same_value(guardrails):
    request = deployment_config_request(guardrails)
    assert parse_deployment_config(request) == guardrails
    assert parse_deployment_config(json.loads(json.dumps(as_text(request)))) == guardrails


@given(guardrails=all_guardrails())
def test_every_request_is_one_the_service_model_accepts(update_endpoint, guardrails):
    request = deployment_config_request(guardrails)
    call = {"EndpointName": "churn", "EndpointConfigName": "churn-v2", "DeploymentConfig": request}
    assert not ParamValidator().validate(call, update_endpoint).has_errors()
    assert violations(update_endpoint, call) == []


@pytest.mark.parametrize(
    "policy",
    [
        {"RollingUpdatePolicy": {"WaitIntervalInSeconds": 3601}},
        {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "CAPACITY_PERCENTAGE", "Value": 1}}},
        {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}] * 11}},
        {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": " "}]}},
    ],
)
def test_the_comparison_with_the_model_sees_what_botocore_lets_pass(update_endpoint, policy):
    assert violations(update_endpoint, {"DeploymentConfig": policy}) != []


@pytest.mark.parametrize(
    ("strategy", "request_"),
    [
        (None, {}),
        (
            AllAtOnce(),
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
                    "TerminationWaitInSeconds": 0,
                }
            },
        ),
        (
            Canary(percent=25, bake=10 * MINUTE, termination_wait=5 * MINUTE, max_duration=60 * MINUTE),
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "CANARY",
                        "WaitIntervalInSeconds": 600,
                        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
                    },
                    "TerminationWaitInSeconds": 300,
                    "MaximumExecutionTimeoutInSeconds": 3600,
                }
            },
        ),
        (
            Linear(instances=1, bake=MINUTE),
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "LINEAR",
                        "WaitIntervalInSeconds": 60,
                        "LinearStepSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                    },
                    "TerminationWaitInSeconds": 0,
                }
            },
        ),
        (
            Rolling(batch_instances=1, bake=MINUTE, rollback_batch_percent=100, max_duration=60 * MINUTE),
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                    "WaitIntervalInSeconds": 60,
                    "RollbackMaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 100},
                    "MaximumExecutionTimeoutInSeconds": 3600,
                }
            },
        ),
    ],
)
def test_each_strategy_in_the_form_of_the_api(strategy, request_):
    assert deployment_config_request(Guardrails(strategy=strategy)) == request_
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}, {"AlarmName": "slow"}]}}
    guardrails = Guardrails(strategy=strategy, alarms=("errors", "slow"))
    assert deployment_config_request(guardrails) == {**request_, **alarms}


def test_durations_of_pendulum_are_durations():
    pendulums = Linear(
        percent=20,
        bake=pendulum.duration(minutes=5),
        termination_wait=pendulum.duration(minutes=1),
        max_duration=pendulum.duration(hours=1),
    )
    plain = Linear(percent=20, bake=5 * MINUTE, termination_wait=MINUTE, max_duration=60 * MINUTE)
    assert pendulums == plain
    assert pendulums.describe() == plain.describe()
    assert pendulums.waiting_time(5) == plain.waiting_time(5)
    assert deployment_config_request(as_guardrails(pendulums)) == deployment_config_request(
        as_guardrails(plain)
    )

    with pytest.raises(InvalidStrategy, match=r"Canary\.bake must be 0 to 3600 s \(got 7200 s\)"):
        Canary(percent=10, bake=pendulum.duration(hours=2))


def test_all_at_once_is_read_as_the_documentation_writes_it():
    routing = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE"}, "TerminationWaitInSeconds": "300"}
    written = parse_deployment_config({"BlueGreenUpdatePolicy": routing})
    assert written == Guardrails(strategy=AllAtOnce(termination_wait=5 * MINUTE))


@pytest.mark.parametrize("rollback", [{}, {"Alarms": []}])
def test_no_policy_and_no_alarm_leave_it_to_sagemaker(rollback):
    assert parse_deployment_config({"AutoRollbackConfiguration": rollback}) == Guardrails(strategy=None)


def blue_green(routing, **others):
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **others}}


def canary(**changes):
    size = {"Type": "CAPACITY_PERCENT", "Value": 25}
    return {"Type": "CANARY", "WaitIntervalInSeconds": 600, "CanarySize": size, **changes}


def linear(**changes):
    size = {"Type": "CAPACITY_PERCENT", "Value": 25}
    return {"Type": "LINEAR", "WaitIntervalInSeconds": 600, "LinearStepSize": size, **changes}


def rolling(**changes):
    size = {"Type": "CAPACITY_PERCENT", "Value": 25}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": 60, **changes}}


def without(key, content):
    return {name: value for name, value in content.items() if name != key}


BLUE_GREEN = "DeploymentConfig.BlueGreenUpdatePolicy"
ROUTING = f"{BLUE_GREEN}.TrafficRoutingConfiguration"
ROLLING = "DeploymentConfig.RollingUpdatePolicy"
SIZE = {"Type": "CAPACITY_PERCENT", "Value": 25}

REFUSED = {
    "no dict": ("canary", "DeploymentConfig must be a dict (got 'canary')"),
    "policy is no dict": ({"RollingUpdatePolicy": None}, f"{ROLLING} must be a dict (got None)"),
    "both policies": (
        {**blue_green(canary()), **rolling()},
        "DeploymentConfig must have one update policy (got BlueGreenUpdatePolicy and RollingUpdatePolicy)",
    ),
    "no routing": ({"BlueGreenUpdatePolicy": {}}, f"{ROUTING} is missing"),
    "no type": (blue_green(without("Type", canary())), f"{ROUTING}.Type is missing"),
    "wrong type": (
        blue_green(canary(Type="canary")),
        f"{ROUTING}.Type must be ALL_AT_ONCE or CANARY or LINEAR (got 'canary')",
    ),
    "type of no text": (blue_green(canary(Type=["CANARY"])), f"{ROUTING}.Type must be ALL_AT_ONCE"),
    "no bake": (
        blue_green(without("WaitIntervalInSeconds", canary())),
        f"{ROUTING}.WaitIntervalInSeconds is missing",
    ),
    "canary without size": (blue_green(without("CanarySize", canary())), f"{ROUTING}.CanarySize is missing"),
    "canary with a step": (
        blue_green(canary(LinearStepSize=SIZE)),
        f"{ROUTING}.LinearStepSize must be left out: CANARY is sized by CanarySize",
    ),
    "linear without step": (
        blue_green(without("LinearStepSize", linear())),
        f"{ROUTING}.LinearStepSize is missing",
    ),
    "linear with a canary": (
        blue_green(linear(CanarySize=SIZE)),
        f"{ROUTING}.CanarySize must be left out: LINEAR is sized by LinearStepSize",
    ),
    "all at once with a canary": (
        blue_green({"Type": "ALL_AT_ONCE", "CanarySize": SIZE}),
        f"{ROUTING}.CanarySize must be left out",
    ),
    "all at once with a step": (
        blue_green({"Type": "ALL_AT_ONCE", "LinearStepSize": SIZE}),
        f"{ROUTING}.LinearStepSize must be left out",
    ),
    "all at once with a bake between": (
        blue_green({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}),
        f"{ROUTING}.WaitIntervalInSeconds must be left out: ALL_AT_ONCE has a single step; use Termination",
    ),
    "the guide's wrong word": (
        rolling(MaximumBatchSize={"Type": "CAPACITY_PERCENTAGE", "Value": 1}),
        (
            f"{ROLLING}.MaximumBatchSize.Type must be CAPACITY_PERCENT or INSTANCE_COUNT "
            "(got 'CAPACITY_PERCENTAGE'): the API's value is CAPACITY_PERCENT"
        ),
    ),
    "another wrong word": (
        rolling(MaximumBatchSize={"Type": "PERCENT", "Value": 1}),
        f"{ROLLING}.MaximumBatchSize.Type must be CAPACITY_PERCENT or INSTANCE_COUNT (got 'PERCENT')",
    ),
    "size without value": (
        rolling(RollbackMaximumBatchSize={"Type": "INSTANCE_COUNT"}),
        f"{ROLLING}.RollbackMaximumBatchSize.Value is missing",
    ),
    "value out of bounds": (
        blue_green(canary(CanarySize={"Type": "CAPACITY_PERCENT", "Value": "60"})),
        f"{ROUTING}.CanarySize.Value: Canary.percent must be 1 to 50 (got 60): SageMaker allows at most half",
    ),
    "step out of bounds": (
        blue_green(linear(LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 9})),
        f"{ROUTING}.LinearStepSize.Value: Linear.percent must be 10 to 50 (got 9)",
    ),
    "no instance": (
        rolling(RollbackMaximumBatchSize={"Type": "INSTANCE_COUNT", "Value": 0}),
        f"{ROLLING}.RollbackMaximumBatchSize.Value: Rolling.rollback_batch_instances must be 1 or more (got",
    ),
    "bake out of bounds": (
        rolling(WaitIntervalInSeconds="-1"),
        f"{ROLLING}.WaitIntervalInSeconds: Rolling.bake must be 0 to 3600 s (got -1 s)",
    ),
    "wait out of bounds": (
        blue_green(canary(), TerminationWaitInSeconds=3601),
        f"{BLUE_GREEN}.TerminationWaitInSeconds: Canary.termination_wait must be 0 to 3600 s (got 3601 s)",
    ),
    "limit out of bounds": (
        blue_green(canary(), MaximumExecutionTimeoutInSeconds="599"),
        f"{BLUE_GREEN}.MaximumExecutionTimeoutInSeconds: Canary.max_duration must be 600 to 28800 s (got 5",
    ),
    "limit below the waits": (
        blue_green(linear(), MaximumExecutionTimeoutInSeconds=2400),
        f"{BLUE_GREEN}.MaximumExecutionTimeoutInSeconds: Linear.max_duration must be longer than the 2400 s",
    ),
    "limit of all at once": (
        blue_green({"Type": "ALL_AT_ONCE"}, MaximumExecutionTimeoutInSeconds=1),
        f"{BLUE_GREEN}.MaximumExecutionTimeoutInSeconds: AllAtOnce.max_duration must be 600 to 28800 s (",
    ),
    "more seconds than a duration holds": (
        rolling(WaitIntervalInSeconds=10**15),
        f"{ROLLING}.WaitIntervalInSeconds is out of range (got 1000000000000000)",
    ),
    "alarms are no list": (
        {"AutoRollbackConfiguration": {"Alarms": "errors"}},
        "DeploymentConfig.AutoRollbackConfiguration.Alarms must be a list (got 'errors')",
    ),
    "an alarm is no dict": (
        {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}, "slow"]}},
        "DeploymentConfig.AutoRollbackConfiguration.Alarms[1] must be a dict (got 'slow')",
    ),
    "an alarm has no name": (
        {"AutoRollbackConfiguration": {"Alarms": [{}]}},
        "DeploymentConfig.AutoRollbackConfiguration.Alarms[0].AlarmName is missing",
    ),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_dict_is_refused_with_the_path_to_what_is_wrong(content, message):
    with pytest.raises(InvalidStrategy) as caught:
        parse_deployment_config(content)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "number", [True, 600.0, "600.0", "6e2", "", "{{ params.bake }}", "1_000", "٣", "9" * 13, None]
)
def test_only_whole_numbers_and_their_text_are_numbers(number):
    with pytest.raises(InvalidStrategy) as caught:
        parse_deployment_config(rolling(WaitIntervalInSeconds=number))
    message = f"{ROLLING}.WaitIntervalInSeconds must be a whole number of seconds (got {number!r})"
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("", {"Typo": 1}),
        (".BlueGreenUpdatePolicy", blue_green(canary(), Typo=1)),
        (".BlueGreenUpdatePolicy.TrafficRoutingConfiguration", blue_green(canary(Typo=1))),
        (
            ".BlueGreenUpdatePolicy.TrafficRoutingConfiguration.CanarySize",
            blue_green(canary(CanarySize={"Typo": 1})),
        ),
        (".RollingUpdatePolicy", rolling(Typo=1)),
        (".AutoRollbackConfiguration", {"AutoRollbackConfiguration": {"Typo": 1}}),
        (".AutoRollbackConfiguration.Alarms", {"AutoRollbackConfiguration": {"Alarms": [{"Typo": 1}]}}),
    ],
)
def test_an_unknown_key_is_answered_with_exactly_the_keys_of_the_api(update_endpoint, path, content):
    shape = update_endpoint.members["DeploymentConfig"]
    for member in path.split(".")[1:]:
        shape = shape.members[member]
    structure = shape.member if shape.type_name == "list" else shape

    with pytest.raises(InvalidStrategy) as caught:
        parse_deployment_config(content)

    place = f"DeploymentConfig{path}" + ("[0]" if shape.type_name == "list" else "")
    found = re.fullmatch(r"(.*) has the unknown key 'Typo' \(known: (.*)\)", str(caught.value))
    assert found[1] == place
    assert set(found[2].split(", ")) == set(structure.members)


def test_alarms_of_a_dict_break_the_same_rules():
    with pytest.raises(InvalidAlarms) as caught:
        parse_deployment_config({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}] * 2}})
    path = "DeploymentConfig.AutoRollbackConfiguration.Alarms"
    assert str(caught.value) == f"{path}: alarms must be different (got 'a' twice)"


def test_a_strategy_takes_the_alarms_given_beside_it():
    assert as_guardrails(CANARY, ["errors", "slow"]) == Guardrails(strategy=CANARY, alarms=("errors", "slow"))
    assert as_guardrails(None) == Guardrails(strategy=None)


def test_alarms_beside_a_dict_join_its_own_without_counting_one_twice():
    request = deployment_config_request(Guardrails(strategy=CANARY, alarms=("errors", "slow")))
    merged = as_guardrails(request, iter(["slow", "full"]))
    assert merged == Guardrails(strategy=CANARY, alarms=("errors", "slow", "full"))


def test_an_alarm_given_twice_by_hand_is_a_mistake():
    with pytest.raises(InvalidAlarms, match="'full' twice"):
        as_guardrails(deployment_config_request(Guardrails(strategy=CANARY)), ["full", "full"])


@pytest.mark.parametrize("alarms", ["errors", b"errors", None, 3])
def test_alarms_that_are_no_list_are_refused(alarms):
    with pytest.raises(InvalidAlarms, match="alarms must be a list of alarm names"):
        as_guardrails(CANARY, alarms)


@pytest.mark.parametrize("strategy", ["{{ var.json.strategy }}", Canary, []])
def test_what_is_neither_strategy_nor_dict_is_refused(strategy):
    with pytest.raises(InvalidStrategy, match=r"or a dict in the form of the API's DeploymentConfig \(got"):
        as_guardrails(strategy)
