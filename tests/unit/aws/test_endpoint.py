"""Endpoints on the wire, compared with botocore's own model of the API."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from botocore.parsers import JSONParser
from botocore.validate import ParamValidator

from airflow_guardrails.aws import endpoint
from airflow_guardrails.aws.deployment_config import deployment_config_request, parse_deployment_config
from airflow_guardrails.aws.endpoint import (
    missing_endpoint,
    parse_endpoint,
    parse_endpoint_list,
    update_endpoint_request,
)
from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.snapshots.endpoint import (
    EndpointStatus,
    ListedEndpoint,
    MissingEndpoint,
    PendingDeployment,
    Stage,
    Variant,
    VariantStage,
)
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling

TEN_MINUTES = timedelta(minutes=10)
DATE = {"HTTPHeaders": {"date": "Mon, 02 Mar 2026 10:07:00 GMT"}}
BAKING = (
    "Baking for 600 seconds (TerminationWaitInSeconds) with traffic enabled on canary capacity of "
    "1 instance(s)."
)


@pytest.fixture
def wire(sagemaker):
    """What botocore makes of the JSON that SageMaker answers to DescribeEndpoint."""
    shape = sagemaker.operation_model("DescribeEndpoint").output_shape

    def parse(**members):
        body = {
            "EndpointName": "churn",
            "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn",
            "EndpointConfigName": "config-1",
            "EndpointStatus": "InService",
            "CreationTime": 1772400000,
            "LastModifiedTime": 1772445600,
            **members,
        }
        response = {"status_code": 200, "headers": {}, "body": json.dumps(body).encode()}
        answer = JSONParser().parse(response, shape)
        return {**answer, "ResponseMetadata": DATE}

    return parse


@pytest.fixture
def published_canary(wire):
    """The example of a canary in "Automating Amazon SageMaker with Amazon EventBridge"."""
    fleet = {"VariantName": "AllTraffic", "CurrentWeight": 1, "DesiredWeight": 1, "DesiredInstanceCount": 3}
    baking = {"Status": "Baking", "StatusMessage": BAKING, "StartTime": 1772446020}
    return wire(
        EndpointStatus="Updating",
        ProductionVariants=[{**fleet, "CurrentInstanceCount": 3}],
        PendingDeploymentSummary={
            "EndpointConfigName": "config-2",
            "StartTime": 1772445600,
            "ProductionVariants": [{**fleet, "CurrentInstanceCount": 1, "VariantStatus": [baking]}],
        },
    )


# Words that SageMaker says.


@pytest.mark.parametrize("status", ["Hibernating", "IN_SERVICE", "inservice", ""])
def test_an_unknown_status_is_an_error_that_names_the_known_ones(wire, status):
    with pytest.raises(UnexpectedAnswer, match="It is treated as an error") as caught:
        parse_endpoint(wire(EndpointStatus=status))

    assert f"EndpointStatus {status!r}" in str(caught.value)
    assert "UpdateRollbackFailed" in str(caught.value)


@pytest.mark.parametrize("where", ["ProductionVariants", "PendingDeploymentSummary"])
def test_an_unknown_stage_is_left_out_and_ends_nothing(wire, where):
    marks = [{"Status": "Simmering"}, {"Status": "Baking", "StartTime": 1772446020}]
    variants = [{"VariantName": "AllTraffic", "VariantStatus": marks}]
    pending = {"EndpointConfigName": "config-2", "ProductionVariants": variants}

    endpoint = parse_endpoint(
        wire(
            EndpointStatus="Updating",
            **{where: variants if where == "ProductionVariants" else pending},
        )
    )

    assert endpoint.current_stage == VariantStage(
        stage=Stage.BAKING, since=datetime(2026, 3, 2, 10, 7, tzinfo=timezone.utc)
    )


def test_an_endpoint_in_service_must_say_what_it_is_on_its_way_to(wire):
    with pytest.raises(UnexpectedAnswer, match="EndpointConfigName of PendingDeploymentSummary"):
        parse_endpoint(wire(PendingDeploymentSummary={"StartTime": 1772445600}))


def test_a_failure_reason_is_always_one_line(wire):
    endpoint = parse_endpoint(wire(FailureReason="Could not pull\n\x1b[1m  https://me:secret@registry/x"))

    assert endpoint.failure_reason == "Could not pull https://***@registry/x"


def test_a_listed_endpoint_with_an_unknown_status_is_left_out_alone():
    rows = [
        {"EndpointName": "odd", "EndpointStatus": "Hibernating"},
        {"EndpointStatus": "Updating"},
        None,
        {"EndpointName": "churn", "EndpointStatus": "Updating"},
    ]

    assert parse_endpoint_list({"Endpoints": rows}) == [ListedEndpoint("churn", EndpointStatus.UPDATING)]


# What is asked for.


@pytest.mark.parametrize(
    "guardrails",
    [
        Guardrails(strategy=None),
        Guardrails(strategy=None, alarms=("errors",)),
        Guardrails(strategy=AllAtOnce(termination_wait=TEN_MINUTES), alarms=("errors", "latency")),
        Guardrails(strategy=Canary(percent=25, bake=TEN_MINUTES), alarms=("errors",)),
        Guardrails(strategy=Linear(instances=1, bake=TEN_MINUTES, max_duration=timedelta(hours=8))),
        Guardrails(strategy=Rolling(batch_percent=50, bake=TEN_MINUTES, rollback_batch_percent=100)),
    ],
    ids=str,
)
def test_the_request_is_what_botocore_accepts(sagemaker, guardrails):
    request = update_endpoint_request(
        endpoint_name="churn", endpoint_config_name="churn-v2", guardrails=guardrails
    )

    shape = sagemaker.operation_model("UpdateEndpoint").input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert set(request) <= set(shape.members)


def test_an_update_without_guardrails_sends_no_deployment_config():
    request = update_endpoint_request(
        endpoint_name="churn", endpoint_config_name="churn-v2", guardrails=Guardrails(strategy=None)
    )

    assert request == {"EndpointName": "churn", "EndpointConfigName": "churn-v2"}


# What is answered.


def test_a_canary_as_published_is_read(published_canary):
    endpoint = parse_endpoint(published_canary)

    assert endpoint.status is EndpointStatus.UPDATING
    assert endpoint.endpoint_config_name == "config-1"
    assert endpoint.variants == (
        Variant(name="AllTraffic", instances=3, desired_instances=3, desired_weight=1.0),
    )
    baking = VariantStage(stage=Stage.BAKING, since=datetime(2026, 3, 2, 10, 7, tzinfo=timezone.utc))
    assert endpoint.pending == PendingDeployment(
        endpoint_config_name="config-2",
        started_at=datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc),
        variants=(
            Variant(
                name="AllTraffic", instances=1, desired_instances=3, stages=(baking,), desired_weight=1.0
            ),
        ),
    )


def test_the_share_of_a_canary_is_in_its_instances_not_in_the_weights(published_canary):
    pending = parse_endpoint(published_canary).pending

    assert (pending.instances, pending.desired_instances) == (1, 3)


def test_the_stage_is_read_from_the_status_and_never_from_its_message(published_canary):
    # The published message names the wrong wait.
    assert parse_endpoint(published_canary).current_stage.stage is Stage.BAKING


def test_scaling_shows_a_stage_but_nothing_pending(wire):
    scaling = {"Status": "Updating", "StatusMessage": "Launching 2 instance(s)."}
    endpoint = parse_endpoint(
        wire(
            EndpointStatus="Updating",
            ProductionVariants=[{"VariantName": "AllTraffic", "VariantStatus": [scaling]}],
        )
    )

    assert endpoint.pending is None
    assert endpoint.pending_config_name is None
    assert endpoint.current_stage == VariantStage(stage=Stage.UPDATING)


def test_an_endpoint_is_read_that_has_only_what_the_model_requires(wire):
    answer = wire()
    del answer["EndpointConfigName"]

    endpoint = parse_endpoint(answer)

    assert endpoint.name == "churn"
    assert endpoint.endpoint_config_name is None
    assert endpoint.variants == ()
    assert endpoint.guardrails is None
    assert endpoint.rollback_alarms == ()


@pytest.mark.parametrize(("said", "kept"), [("", None), ("No capacity.", "No capacity.")])
def test_an_empty_reason_is_no_reason(wire, said, kept):
    assert parse_endpoint(wire(FailureReason=said)).failure_reason == kept


# Guardrails of the last update, as SageMaker has them.


def test_the_guardrails_of_the_last_update_are_read_back(wire):
    guardrails = Guardrails(strategy=Canary(percent=25, bake=TEN_MINUTES), alarms=("errors", "latency"))
    request = update_endpoint_request(
        endpoint_name="churn", endpoint_config_name="config-1", guardrails=guardrails
    )

    endpoint = parse_endpoint(wire(LastDeploymentConfig=request["DeploymentConfig"]))

    assert endpoint.guardrails == guardrails
    assert endpoint.rollback_alarms == ("errors", "latency")


@pytest.mark.parametrize(
    "policy",
    [
        {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "SPIRAL"}}},
        {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "CANARY"}}},
        {"TidalUpdatePolicy": {"Moon": "full"}},
    ],
    ids=["unknown type", "a member left out", "unknown policy"],
)
def test_guardrails_this_version_cannot_read_keep_their_alarms(wire, policy):
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
    answer = {**wire(EndpointStatus="Updating"), "LastDeploymentConfig": {**policy, **alarms}}

    endpoint = parse_endpoint(answer)

    assert endpoint.status is EndpointStatus.UPDATING
    assert endpoint.guardrails is None
    assert endpoint.rollback_alarms == ("errors",)


# AWS's clock.


def test_a_look_carries_the_time_of_the_answer_on_awss_clock(wire):
    assert parse_endpoint(wire()).seen_at == datetime(2026, 3, 2, 10, 7, tzinfo=timezone.utc)


def test_an_error_answer_carries_the_time_too():
    look = missing_endpoint("churn", {"Error": {}, "ResponseMetadata": DATE})

    assert look == MissingEndpoint(name="churn", seen_at=datetime(2026, 3, 2, 10, 7, tzinfo=timezone.utc))


def test_the_same_deployment_config_is_parsed_once_for_all_looks(wire, monkeypatch):
    parsed = []

    def counted(config):
        parsed.append(config)
        return parse_deployment_config(config)

    monkeypatch.setattr(endpoint, "parse_deployment_config", counted)
    endpoint._parse_guardrails.cache_clear()
    guardrails = Guardrails(strategy=Canary(percent=25, bake=TEN_MINUTES), alarms=("errors",))
    looks = [
        parse_endpoint(wire(LastDeploymentConfig=deployment_config_request(guardrails))) for _ in range(3)
    ]

    assert [look.guardrails for look in looks] == [guardrails] * 3
    assert len(parsed) == 1
