"""SageMaker's events, as EventBridge puts them into a queue."""

from __future__ import annotations

import json

# https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
ENDPOINT_EVENTS = frozenset({"SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"})

# Of SQS: the most messages of one answer, and seconds that it may take; shorter than a call's time-out.
MOST_MESSAGES = 10
LONG_POLL = 15


def receive_request(queue_url: str) -> dict[str, object]:
    return {"QueueUrl": queue_url, "MaxNumberOfMessages": MOST_MESSAGES, "WaitTimeSeconds": LONG_POLL}


def endpoint_of_event(body: str) -> str | None:
    """
    Name the endpoint that an event is about; None if the message is no such event.

    What else it says is not read: events come late and twice, so they are only a reason to look.
    """
    try:
        event = json.loads(body)
        name = event["detail"]["EndpointName"] if event["detail-type"] in ENDPOINT_EVENTS else None
    except (ValueError, KeyError, TypeError, RecursionError):  # whatever somebody may have put there
        return None
    return name if isinstance(name, str) else None
