"""Answers as proxies and odd services send them, over HTTP, read by boto3 and aiobotocore."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from airflow_guardrails.aws.errors import Unanswered, UnexpectedAnswer, is_passing
from airflow_guardrails.domain.snapshots.endpoint import EndpointStatus
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from tests.support.simulated import connection_to, forget_masked_secrets

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
DATE = "Mon, 02 Mar 2026 10:00:00 GMT"
CHURN = {
    "EndpointName": "churn",
    "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn",
    "EndpointConfigName": "churn-v1",
    "EndpointStatus": "InService",
    "LastModifiedTime": 1772445600,
}


class Odd(HTTPServer):
    """Answers each request in the same way."""

    status = 200
    dates: tuple[str, ...] = (DATE,)
    body: bytes | None = None

    def answer(self, body: Any, **how: Any) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        vars(self).update(how)


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(self.server.status)
        for date in self.server.dates:
            self.send_header("Date", date)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def odd(monkeypatch, shared_models) -> Iterator[Odd]:
    server = Odd(("127.0.0.1", 0), Answering)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection_to(f"http://127.0.0.1:{server.server_port}"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    forget_masked_secrets()


def look():
    return GuardrailsHook().describe_endpoint("churn")


async def look_async():
    async with GuardrailsHook().asynchronous() as calls:
        return await calls.describe_endpoint("churn")


@pytest.mark.parametrize(
    "dates", [(DATE, DATE), (f"{DATE}, {DATE}",), ("Mon, 02 Mar 2026 10:00:00",), ("soon", DATE)], ids=str
)
async def test_the_time_at_aws_is_read_from_whatever_date_headers_there_are(odd, dates):
    odd.answer(CHURN, dates=dates)

    assert look().seen_at == (await look_async()).seen_at == TEN


@pytest.mark.parametrize("dates", [(), ("soon",), ("",)], ids=str)
def test_without_a_date_time_goes_on_from_the_last_one(odd, dates):
    odd.answer(CHURN)
    look()
    odd.answer(CHURN, dates=dates)

    assert TEN < look().seen_at < TEN + timedelta(minutes=5)


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"", b"[]", b"5", {}], ids=repr)
def test_a_page_in_place_of_an_answer_is_no_answer_and_may_pass(odd, body):
    odd.answer(body)

    with pytest.raises(Unanswered, match="response") as caught:
        look()

    assert is_passing(caught.value)


def test_an_answer_without_a_status_is_named(odd):
    odd.answer({"EndpointName": "churn"})

    with pytest.raises(UnexpectedAnswer, match="EndpointStatus nothing of endpoint churn"):
        look()


def test_a_time_that_cannot_be_read_is_no_answer(odd):
    odd.answer({**CHURN, "LastModifiedTime": "soon"})

    with pytest.raises(Unanswered, match="Invalid timestamp") as caught:
        look()

    assert is_passing(caught.value)


async def test_a_time_that_cannot_be_read_is_no_answer_on_an_event_loop_either(odd):
    odd.answer({**CHURN, "LastModifiedTime": "soon"})

    with pytest.raises(Unanswered, match="response cannot be read"):
        await look_async()


def test_members_of_other_types_end_nothing(odd):
    variant = {"VariantName": "All", "CurrentInstanceCount": None, "VariantStatus": None}
    odd.answer(
        {**CHURN, "ProductionVariants": [variant], "FailureReason": None, "LastDeploymentConfig": None}
    )

    endpoint = look()

    assert (endpoint.status, endpoint.variants[0].instances) == (EndpointStatus.IN_SERVICE, 0)
