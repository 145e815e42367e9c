"""What is asked of a queue, and which of its messages are SageMaker's events of an endpoint."""

from __future__ import annotations

import json

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from airflow_guardrails.aws.events import ENDPOINT_EVENTS, endpoint_of_event, receive_request

STATE_CHANGE = "SageMaker Endpoint State Change"
DEPLOYMENT_STATE_CHANGE = "SageMaker Endpoint Deployment State Change"

# As AWS documents it, in part.
EVENT = {
    "version": "0",
    "id": "d2921b5a-b0ea-47a9-8b4f-6ad9ab7f4e11",
    "detail-type": STATE_CHANGE,
    "source": "aws.sagemaker",
    "account": "123456789012",
    "time": "2021-10-27T00:00:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn"],
    "detail": {
        "EndpointName": "churn",
        "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn",
        "EndpointConfigName": "churn-v2",
        "EndpointStatus": "IN_SERVICE",
    },
}


def changed(**changes):
    return json.dumps({**EVENT, **changes})


@pytest.mark.parametrize("detail_type", [STATE_CHANGE, DEPLOYMENT_STATE_CHANGE])
def test_both_kinds_of_event_name_their_endpoint(detail_type):
    assert endpoint_of_event(changed(**{"detail-type": detail_type})) == "churn"


def test_there_are_no_other_kinds():
    assert {STATE_CHANGE, DEPLOYMENT_STATE_CHANGE} == ENDPOINT_EVENTS


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "{",
        "null",
        "7",
        '"SageMaker Endpoint State Change"',
        "[]",
        "{}",
        json.dumps([EVENT]),
        changed(**{"detail-type": "SageMaker Training Job State Change"}),
        changed(**{"detail-type": None}),
        changed(**{"detail-type": [STATE_CHANGE]}),
        changed(**{"detail-type": {STATE_CHANGE: 1}}),
        changed(detail=None),
        changed(detail="churn"),
        changed(detail=["EndpointName"]),
        changed(detail={}),
        changed(detail={"EndpointName": None}),
        changed(detail={"EndpointName": 7}),
        changed(detail={"EndpointName": ["churn"]}),
        json.dumps({key: value for key, value in EVENT.items() if key != "detail"}),
        json.dumps({"Type": "Notification", "Message": json.dumps(EVENT)}),
        "[" * 100_000,
    ],
    ids=lambda body: body[:50] or "nothing",
)
def test_what_is_no_such_event_names_none(body):
    assert endpoint_of_event(body) is None


def test_an_events_status_is_not_read_for_events_come_late_and_twice():
    assert (
        endpoint_of_event(changed(detail={"EndpointName": "churn", "EndpointStatus": "NO_SUCH"})) == "churn"
    )


def test_a_queue_is_asked_for_as_much_and_as_long_as_sqs_allows(shared_models):
    request = receive_request("https://sqs.us-east-1.amazonaws.com/123456789012/rollouts")
    model = get_session().get_service_model("sqs")
    shape = model.operation_model("ReceiveMessage").input_shape

    assert not ParamValidator().validate(request, shape).has_errors()
    assert 1 <= request["MaxNumberOfMessages"] <= 10
    assert 0 < request["WaitTimeSeconds"] <= 20
