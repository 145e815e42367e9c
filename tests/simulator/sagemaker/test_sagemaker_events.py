"""SageMaker's EventBridge events, delivered by a rule to an SQS queue."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation

STATE_CHANGE = "SageMaker Endpoint State Change"
DEPLOYMENT = "SageMaker Endpoint Deployment State Change"
EVERYTHING = {"source": ["aws.sagemaker"]}
START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


class Ear:
    """A queue, and the rules that deliver to it."""

    def __init__(self, aws, *, region: str = "us-east-1", queue: str = "rollouts", **attributes: str) -> None:
        self.events = aws("events", region=region)
        self.sqs = aws("sqs", region=region)
        self.url = self.sqs.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = answer["Attributes"]["QueueArn"]

    def rule(self, pattern: dict[str, Any], *, name: str = "endpoints", **target: Any) -> Ear:
        self.events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        return self.lead(name, **target)

    def lead(self, rule: str, **target: Any) -> Ear:
        targets = [{"Id": "queue", "Arn": self.arn, **target}]
        assert self.events.put_targets(Rule=rule, Targets=targets)["FailedEntryCount"] == 0
        return self

    def receive(self, *, wait: int = 0) -> list[dict[str, Any]]:
        """Return up to ten messages, and delete them."""
        answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        messages = answer.get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]

    def drain(self) -> list[dict[str, Any]]:
        heard = []
        while more := self.receive():
            heard += more
        return heard

    def told(self) -> list[tuple[str, str]]:
        """Return for each event the status of the endpoint, or the stage of its deployment."""
        return [
            ("status", event["detail"]["EndpointStatus"])
            if event["detail-type"] == STATE_CHANGE
            else ("stage", stage_of(event["detail"])["Status"])
            for event in self.drain()
        ]


def stage_of(detail: dict[str, Any]) -> dict[str, Any]:
    pending = detail.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    (stage,) = (s for v in (*pending, *detail["ProductionVariants"]) for s in v.get("VariantStatus", []))
    return stage


def milliseconds(**passed: float) -> int:
    return int((START + timedelta(**passed)).timestamp() * 1000)


@pytest.fixture
def ear(aws):
    """A queue that gets all events of SageMaker."""
    return Ear(aws).rule(EVERYTHING)


def test_a_rule_hears_each_status_and_each_stage_of_an_update_in_order(churn, ear, canary):
    churn.update("green", canary())
    churn.advance(minutes=30)

    assert ear.told() == [
        ("status", "UPDATING"),
        ("stage", "Creating"),
        ("stage", "ActivatingTraffic"),
        ("stage", "Baking"),
        ("stage", "ActivatingTraffic"),
        ("stage", "Baking"),
        ("stage", "Deleting"),
        ("status", "IN_SERVICE"),
    ]


def test_a_rolling_update_sends_events_of_its_stages_batch_by_batch(churn, ear, rolling):
    churn.update("green", rolling(percent=50))
    churn.advance(minutes=60)

    batch = ["Creating", "ActivatingTraffic", "Baking", "Deleting"]
    assert ear.told() == [
        ("status", "UPDATING"),
        *(("stage", stage) for stage in batch * 2),
        ("status", "IN_SERVICE"),
    ]


def test_an_event_comes_when_the_state_changes_and_is_not_repeated(churn, ear, canary):
    churn.update("green", canary())
    assert ear.told() == [("status", "UPDATING"), ("stage", "Creating")]

    churn.advance(seconds=179)
    assert ear.told() == []
    churn.advance(seconds=1)
    assert ear.told() == [("stage", "ActivatingTraffic")]
    churn.advance(seconds=10)
    assert ear.told() == [("stage", "Baking")]
    churn.advance(seconds=599)
    assert ear.told() == []


def test_an_endpoint_sends_events_of_its_creation_and_its_deletion(endpoint, ear):
    endpoint.create()
    endpoint.delete()
    endpoint.advance(minutes=10)

    assert ear.told() == [("status", "CREATING"), ("status", "IN_SERVICE"), ("status", "DELETING")]


def test_the_envelope_is_eventbridges(churn, ear, arn):
    churn.advance(seconds=30)
    churn.update("green")

    event = ear.drain()[0]

    assert {key: event[key] for key in event if key not in {"id", "detail"}} == {
        "version": "0",
        "detail-type": STATE_CHANGE,
        "source": "aws.sagemaker",
        "account": "123456789012",
        "time": "2026-03-02T10:10:30Z",
        "region": "us-east-1",
        "resources": [arn("endpoint", "churn")],
    }


def test_a_state_change_says_what_the_published_example_says_in_epoch_milliseconds(endpoint, ear, arn):
    endpoint.create(Tags=[{"Key": "team", "Value": "growth"}])

    *_, event = ear.drain()

    assert event["detail"] == {
        "EndpointName": "churn",
        "EndpointArn": arn("endpoint", "churn"),
        "EndpointConfigName": "blue",
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentInstanceCount": 4,
                "DesiredInstanceCount": 4,
            }
        ],
        "EndpointStatus": "IN_SERVICE",
        "CreationTime": milliseconds(),
        "LastModifiedTime": milliseconds(minutes=3),
        "Tags": {"team": "growth"},
    }


def test_a_deployment_state_change_says_what_is_pending_as_well(churn, ear, canary):
    churn.update("green", canary())
    churn.advance(seconds=190)

    *_, event = ear.drain()

    assert event["detail-type"] == DEPLOYMENT
    assert event["detail"]["EndpointStatus"] == "UPDATING"
    assert event["detail"]["EndpointConfigName"] == "blue"
    assert event["detail"]["ProductionVariants"][0]["CurrentInstanceCount"] == 4
    assert event["detail"]["PendingDeploymentSummary"] == {
        "EndpointConfigName": "green",
        "StartTime": milliseconds(minutes=10),
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentInstanceCount": 1,
                "DesiredInstanceCount": 4,
                "VariantStatus": [
                    {
                        "Status": "Baking",
                        "StatusMessage": "Baking for 600 seconds (TerminationWaitInSeconds) with traffic "
                        "enabled on canary capacity of 1 instance(s).",
                        "StartTime": milliseconds(minutes=10, seconds=190),
                    }
                ],
            }
        ],
    }


def test_a_rollback_looks_like_any_other_end_but_for_the_configuration(churn, ear, canary):
    churn.alarm("errors", "OK")
    churn.update("green", canary(alarms=["errors"]))
    churn.advance(seconds=200)
    churn.turn("errors", "ALARM")
    churn.advance(minutes=10)
    assert churn.look()["FailureReason"]

    *_, stage, end = ear.drain()

    assert stage_of(stage["detail"])["Status"] == "Deleting"
    assert (end["detail"]["EndpointStatus"], end["detail"]["EndpointConfigName"]) == ("IN_SERVICE", "blue")
    assert {"FailureReason", "PendingDeploymentSummary"}.isdisjoint(end["detail"])


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("InService", "IN_SERVICE"),
        ("OutOfService", "OUT_OF_SERVICE"),
        ("Failed", "FAILED"),
        ("UpdateRollbackFailed", "UPDATE_ROLLBACK_FAILED"),
    ],
)
def test_statuses_are_in_upper_snake_case(churn, ear, status, said):
    churn.control.script_ending("churn", status=status, after_seconds=60)
    churn.update("green")
    churn.advance(minutes=2)

    assert ear.told()[-1] == ("status", said)


def test_maintenance_in_the_middle_of_an_update_is_two_changes_of_status(churn, ear):
    churn.update("green")
    ear.drain()

    churn.control.system_update("churn", 60)
    churn.advance(seconds=60)

    assert ear.told() == [("status", "SYSTEM_UPDATING"), ("status", "UPDATING")]


def test_a_change_of_capacity_is_a_deployment_with_nothing_pending(churn, ear):
    churn.scale(instances=6)
    churn.advance(minutes=10)

    _, stage, end = ear.drain()

    assert (stage["detail-type"], stage_of(stage["detail"])["Status"]) == (DEPLOYMENT, "Updating")
    assert "PendingDeploymentSummary" not in stage["detail"]
    assert end["detail"]["EndpointStatus"] == "IN_SERVICE"


def test_a_change_of_capacity_that_fails_shows_rolling_back(churn, ear):
    churn.control.set_knobs(scaling_ends_in="rollback")
    churn.scale(instances=6)
    churn.advance(minutes=10)

    statuses = [said for kind, said in ear.told() if kind == "status"]
    assert statuses == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]


@pytest.mark.parametrize("excluded", ["inferentia", "marketplace"])
def test_endpoints_without_guardrails_send_no_deployment_events(churn, ear, canary, excluded):
    package = "arn:aws:sagemaker:us-east-1:865070037744:model-package/bought-1a2b3c"
    churn.sagemaker.create_model(ModelName="bought", PrimaryContainer={"ModelPackageName": package})
    churn.config("inferentia", churn.variant(InstanceType="ml.inf1.xlarge"))
    churn.config("marketplace", churn.variant(ModelName="bought"))

    churn.update(excluded, canary())
    churn.advance(minutes=30)

    assert churn.status() == ("InService", excluded)
    assert ear.told() == [("status", "UPDATING"), ("status", "IN_SERVICE")]


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ({"source": ["aws.sagemaker"], "detail-type": [STATE_CHANGE]}, {STATE_CHANGE: 2}),
        ({"source": ["aws.sagemaker"], "detail-type": [DEPLOYMENT]}, {DEPLOYMENT: 6}),
        ({"detail-type": [{"prefix": "SageMaker Endpoint"}]}, {STATE_CHANGE: 2, DEPLOYMENT: 6}),
        ({"detail": {"EndpointName": ["churn"], "EndpointStatus": ["IN_SERVICE"]}}, {STATE_CHANGE: 1}),
        ({"detail": {"PendingDeploymentSummary": {"EndpointConfigName": ["green"]}}}, {DEPLOYMENT: 6}),
        ({"resources": ["arn:aws:sagemaker:us-east-1:123456789012:endpoint/other"]}, {}),
        ({"detail": {"EndpointStatus": ["InService"]}}, {}),
        ({"source": ["aws.ec2"]}, {}),
    ],
    ids=[
        "statuses",
        "deployments",
        "prefix",
        "detail",
        "nested detail",
        "another endpoint",
        "DescribeEndpoint's word",
        "another source",
    ],
)
def test_a_rule_hears_what_its_pattern_matches_and_nothing_else(churn, aws, canary, pattern, heard):
    ear = Ear(aws).rule(pattern)

    churn.update("green", canary())
    churn.advance(minutes=30)

    types = [event["detail-type"] for event in ear.drain()]
    assert {name: types.count(name) for name in set(types)} == heard


def test_a_rule_that_is_disabled_or_only_has_a_schedule_hears_nothing(churn, ear):
    ear.events.disable_rule(Name="endpoints")
    ear.events.put_rule(Name="hourly", ScheduleExpression="rate(1 hours)")
    ear.lead("hourly")

    churn.update("green")
    churn.advance(minutes=1)

    assert ear.told() == []
    ear.events.enable_rule(Name="endpoints")
    churn.advance(minutes=30)
    assert ear.told()[-1] == ("status", "IN_SERVICE")


def test_a_rule_made_in_the_middle_hears_what_comes_after(churn, aws, canary):
    churn.update("green", canary())
    churn.advance(seconds=185)

    ear = Ear(aws).rule(EVERYTHING)
    churn.advance(seconds=5)

    assert ear.told() == [("stage", "Baking")]


def test_another_region_hears_nothing(churn, aws):
    ear = Ear(aws, region="eu-west-1").rule(EVERYTHING)

    churn.update("green")
    churn.advance(minutes=30)

    assert ear.told() == []


def test_a_target_that_is_not_there_harms_neither_other_rules_nor_the_endpoint(churn, ear):
    gone = ear.arn.replace("rollouts", "gone")
    for name, arn in {"a-gone": gone, "b-lambda": "arn:aws:lambda:us-east-1:123456789012:function:f"}.items():
        ear.rule(EVERYTHING, name=name, Arn=arn)
    ear.rule(EVERYTHING, name="z-last")

    churn.update("green")
    churn.advance(minutes=30)

    assert churn.status() == ("InService", "green")
    assert ear.told().count(("status", "IN_SERVICE")) == 2


def test_an_input_transformer_says_what_is_sent(churn, aws):
    transformer = {
        "InputPathsMap": {"name": "$.detail.EndpointName", "status": "$.detail.EndpointStatus"},
        "InputTemplate": '{"endpoint": "<name>", "status": "<status>"}',
    }
    ear = Ear(aws).rule({"detail-type": [STATE_CHANGE]}, InputTransformer=transformer)

    churn.update("green")

    assert ear.drain() == [{"endpoint": "churn", "status": "UPDATING"}]


def test_a_fifo_queue_takes_each_event(churn, aws, canary):
    ear = Ear(aws, queue="rollouts.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    ear.rule(EVERYTHING, SqsParameters={"MessageGroupId": "endpoints"})

    churn.update("green", canary())
    churn.advance(minutes=30)

    assert len(ear.told()) == 8


def test_an_event_may_be_sent_twice_under_two_ids(churn, ear, canary):
    churn.control.set_knobs(event_duplicate_probability=1)
    churn.update("green", canary())

    first, twin, *deployments = ear.drain()

    assert first["id"] != twin["id"]
    assert {**first, "id": ""} == {**twin, "id": ""}
    assert [event["detail-type"] for event in deployments] == [DEPLOYMENT] * 2


def test_events_may_be_late_and_still_tell_when_it_happened(churn, ear):
    churn.control.set_knobs(event_delay_seconds=45)
    churn.update("green")

    churn.advance(seconds=44)
    assert ear.drain() == []
    churn.advance(seconds=1)

    event, _ = ear.drain()
    assert event["time"] == "2026-03-02T10:10:00Z"
    assert event["detail"]["EndpointStatus"] == "UPDATING"


def test_an_event_may_be_lost(churn, ear, canary):
    churn.control.set_knobs(event_loss_probability=1)
    churn.update("green", canary())
    churn.advance(seconds=185)
    assert ear.told() == []

    churn.control.set_knobs(event_loss_probability=0)
    churn.advance(minutes=30)
    assert ear.told()[0] == ("stage", "Baking")


def test_what_is_lost_and_doubled_comes_of_the_seed(aws_at):
    def heard(seed: int) -> list[str]:
        with serve(Simulation(clock=Clock(start=START), seed=seed)) as running:
            running.client.set_knobs(event_loss_probability=0.5, event_duplicate_probability=0.5)
            ear = Ear(lambda service, **where: aws_at(running.url, service, **where)).rule(EVERYTHING)
            sagemaker = aws_at(running.url, "sagemaker")
            sagemaker.create_model(ModelName="m", PrimaryContainer={"Image": "registry/churn:1"})
            variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large"}
            variants = [{**variant, "InitialInstanceCount": 1}]
            sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=variants)
            for number in range(10):
                sagemaker.create_endpoint(EndpointName=f"e{number}", EndpointConfigName="c")
            return [event["id"] for event in ear.drain()]

    assert heard(1) == heard(1) != heard(2)
    assert 0 < len(heard(1)) < 20


def test_a_long_poll_does_not_stop_the_world(simulator, churn, ear):
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(ear.receive, wait=20)
        while not simulator.client.calls("ReceiveMessage"):
            pass
        churn.update("green")

        assert waiting.result()[0]["detail"]["EndpointStatus"] == "UPDATING"
