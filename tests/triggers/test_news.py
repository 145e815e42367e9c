"""News of endpoints: the simulator's events go by a rule into a queue, and make a trigger look."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from unittest.mock import create_autospec

import boto3
import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.aws import events as events_of_aws
from airflow_guardrails.hooks.guardrails import AsyncCalls
from airflow_guardrails.simulator.faults import Fault
from airflow_guardrails.triggers import news, sharing
from airflow_guardrails.triggers import poller as polling
from airflow_guardrails.triggers.connection import SharedConnection
from airflow_guardrails.triggers.kinds import ENDPOINTS
from airflow_guardrails.triggers.poller import Poller
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger

HOURS = 3600.0 * 10  # a beat and a gap that no test lives to see
QUICK = 0.05
A_MOMENT = 60  # seconds after which a test gives up waiting


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(events_of_aws, "LONG_POLL", 1)
    monkeypatch.setattr(news, "TRY_AGAIN_AFTER", QUICK)
    monkeypatch.setattr(news, "FOREIGN_PAUSE", QUICK)


@pytest.fixture
def aws(simulator):
    def client(service):
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=simulator.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    return client


class Queue:
    """A queue that a rule fills with the events of SageMaker."""

    def __init__(self, aws):
        self.sqs, self.events = aws("sqs"), aws("events")
        self.url = self.sqs.create_queue(QueueName="rollouts")["QueueUrl"]
        self.fill()

    def fill(self):
        asked = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.events.put_rule(Name="endpoints", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
        target = {"Id": "queue", "Arn": asked["Attributes"]["QueueArn"]}
        self.events.put_targets(Rule="endpoints", Targets=[target])

    def put(self, *bodies):
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def hide_nothing(self):
        """Let messages that nobody deletes be seen again at once."""
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"VisibilityTimeout": "0"})

    def size(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def drop(self):
        self.sqs.delete_queue(QueueUrl=self.url)

    def make_again(self):
        assert self.sqs.create_queue(QueueName="rollouts")["QueueUrl"] == self.url
        self.fill()
        self.put("hello")  # so that it answers at once


@pytest.fixture
def queue(churn, aws):
    return Queue(aws)


@pytest.fixture
def updating(churn, queue):
    """``churn`` is being updated; the event of that is in the queue."""
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")


@pytest.fixture
async def wait(queue):
    """Begin to wait as a triggerer would; return the task of the trigger's event."""
    tasks = []

    def begin(name="churn", *, url=None, waiter_delay=HOURS, max_describe_gap=HOURS):
        trigger = SageMakerRolloutTrigger(
            endpoint_name=name,
            endpoint_config_name="churn-v2",
            waiter_delay=waiter_delay,
            max_describe_gap=max_describe_gap,
            events_queue_url=url or queue.url,
        )
        tasks.append(asyncio.create_task(event_of(trigger)))
        return tasks[-1]

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not any(sharing._BY_LOOP.values())


async def event_of(trigger):
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    return events[0]


async def outcome(task):
    return (await asyncio.wait_for(task, A_MOMENT))["report"]["outcome"]


async def until(condition, *arguments):
    """Wait until it is so; what is asked may be the simulator, so it is asked in a thread."""
    gives_up_at = time.monotonic() + A_MOMENT
    while not await asyncio.to_thread(condition, *arguments):
        assert time.monotonic() < gives_up_at, "it never came to that"
        await asyncio.sleep(0.01)


def the_poller():
    (shared,) = sharing._BY_LOOP[asyncio.get_running_loop()].values()
    (polled,) = shared.by_beat.values()
    return polled.poller


async def at_rest(*, waits=1, told=True):
    """Wait until all have had their first look and wait for the next, and news come or do not."""

    def rests():
        due = [request.vigil.due for requests in poller._requests.values() for request in requests]
        # The first look, and one because of an event, are due at once.
        return len(due) == waits and min(due) > time.monotonic() + 60 and poller.is_told is told

    await asyncio.sleep(0)
    poller = the_poller()
    await until(rests)


async def advance(churn, **time):
    await asyncio.to_thread(lambda: churn.advance(**time))


# A look because of an event.


async def test_an_event_has_the_endpoint_looked_at_long_before_its_beat(churn, updating, wait):
    waiting = wait()
    await at_rest()
    looks = churn.calls("DescribeEndpoint")
    await advance(churn, hours=1)

    assert await outcome(waiting) == "Succeeded"
    # Some events of the same end may come apart.
    assert 1 <= churn.calls("DescribeEndpoint") - looks <= 3
    assert churn.calls("ListEndpoints") == 0


async def test_what_was_taken_from_the_queue_is_deleted(churn, updating, queue, wait):
    waiting = wait()
    await at_rest()
    await until(lambda: queue.size() == 0)

    await advance(churn, hours=1)
    await outcome(waiting)


async def test_a_late_event_is_as_good(churn, queue, wait):
    churn.simulator.client.set_knobs(event_delay_seconds=600)
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    queue.put("hello")  # so that the queue answers at once
    waiting = wait()
    await at_rest()
    looks = churn.calls("DescribeEndpoint")
    await advance(churn, minutes=9)
    assert churn.calls("DescribeEndpoint") == looks
    assert churn.describe()["EndpointConfigName"] == "churn-v2"
    await advance(churn, minutes=20)

    assert await outcome(waiting) == "Succeeded"


async def test_events_that_come_twice_tell_once(churn, queue, wait):
    churn.simulator.client.set_knobs(event_duplicate_probability=1)
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    waiting = wait()
    await at_rest()
    await advance(churn, hours=1)

    assert await outcome(waiting) == "Succeeded"


async def test_an_end_whose_event_is_lost_is_seen_within_the_gap(churn, updating, wait):
    waiting = wait(max_describe_gap=0.3)
    await until(lambda: churn.calls("ReceiveMessage") > 0)
    churn.simulator.client.set_knobs(event_loss_probability=1)
    await advance(churn, hours=1)

    assert await outcome(waiting) == "Succeeded"


async def test_events_of_endpoints_nobody_waits_for_cost_no_look(churn, updating, queue, wait):
    waiting = wait()
    await at_rest()
    looks = churn.calls("DescribeEndpoint")
    for name in ("other", "another"):
        await asyncio.to_thread(
            churn.sagemaker.create_endpoint, EndpointName=name, EndpointConfigName="churn-v1"
        )
    await until(lambda: queue.size() == 0 and churn.calls("DeleteMessageBatch") > 1)
    assert churn.calls("DescribeEndpoint") == looks

    await advance(churn, hours=1)
    assert await outcome(waiting) == "Succeeded"


async def test_each_event_has_its_own_endpoint_looked_at(churn, queue, wait):
    names = [f"churn-{number}" for number in range(6)]
    for name in names:
        churn.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="churn-v1")
    churn.advance(hours=1)
    for name in names:
        churn.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="churn-v2")
    waiting = [wait(name) for name in names]
    await at_rest(waits=len(names))
    await advance(churn, hours=1)

    assert [await outcome(task) for task in waiting] == ["Succeeded"] * len(names)
    assert churn.calls("ListEndpoints") == 0


# The queue and what else is in it.


async def test_many_waits_share_one_long_poll(churn, updating, wait, monkeypatch):
    poll, under_way, most = AsyncCalls.endpoints_in_events, [], []

    async def counted(calls, url):
        under_way.append(url)
        most.append(len(under_way))
        try:
            return await poll(calls, url)
        finally:
            under_way.remove(url)

    monkeypatch.setattr(AsyncCalls, "endpoints_in_events", counted)
    waiting = [wait() for _ in range(30)]
    await at_rest(waits=30)
    await advance(churn, hours=1)

    assert {await outcome(task) for task in waiting} == {"Succeeded"}
    assert max(most) == 1


async def test_messages_that_are_no_events_are_left_and_hide_no_event(churn, updating, queue, wait):
    foreign = ["hello", "{}", "[]", json.dumps({"detail-type": "SageMaker Endpoint State Change"})]
    queue.put(*foreign)
    waiting = wait()
    await at_rest()
    await advance(churn, hours=1)

    assert await outcome(waiting) == "Succeeded"
    await until(lambda: queue.size() == len(foreign))


async def test_foreign_messages_that_come_again_at_once_are_not_read_without_a_pause(
    churn, updating, queue, wait, monkeypatch
):
    pauses = []

    async def pause(seconds):
        if seconds:
            pauses.append(seconds)
            await asyncio.sleep(QUICK)

    monkeypatch.setattr(news, "_pause", pause)
    queue.hide_nothing()
    queue.put("hello")
    waiting = wait()
    await at_rest()
    await until(lambda: len(pauses) >= 3)
    reads = churn.calls("ReceiveMessage")

    assert reads <= len(pauses) + churn.calls("DeleteMessageBatch") + 1
    await advance(churn, hours=1)
    assert await outcome(waiting) == "Succeeded"


# A queue that gives no answer.


def said(caplog):
    return [record for record in caplog.records if "No events come from" in record.getMessage()]


async def test_a_queue_that_does_not_exist_is_said_once_and_beats_go_on(churn, updating, queue, wait, caplog):
    queue.drop()
    with caplog.at_level(logging.INFO, logger=news.__name__):
        waiting = wait(waiter_delay=QUICK)
        await until(lambda: churn.calls("ReceiveMessage") >= 4)
        await advance(churn, hours=1)

        assert await outcome(waiting) == "Succeeded"

    (record,) = said(caplog)
    assert record.levelno == logging.WARNING
    assert queue.url in record.getMessage()
    assert "NonExistentQueue" in record.getMessage()


async def test_news_are_used_again_when_the_queue_answers_and_said_again_when_it_does_not(
    churn, updating, queue, wait, caplog
):
    queue.drop()
    with caplog.at_level(logging.INFO, logger=news.__name__):
        waiting = wait()
        await at_rest(told=False)
        await asyncio.to_thread(queue.make_again)
        await at_rest(told=True)
        assert len(said(caplog)) == 1
        queue.drop()
        await at_rest(told=False)
        assert len(said(caplog)) == 2
        await asyncio.to_thread(queue.make_again)
        await at_rest(told=True)
        await advance(churn, hours=1)

        assert await outcome(waiting) == "Succeeded"


async def test_answers_that_are_lost_on_the_way_cost_no_wait(churn, updating, queue, wait, caplog):
    # What was in such an answer comes again when SQS sees that nobody deletes it: here at once.
    queue.hide_nothing()
    churn.simulator.simulation.faults.add(Fault(operation="ReceiveMessage", kind="lose", times=3))
    with caplog.at_level(logging.INFO, logger=news.__name__):
        waiting = wait()
        await at_rest(told=True)
        assert len(said(caplog)) == 1
        await advance(churn, hours=1)

        assert await outcome(waiting) == "Succeeded"


# What cannot be had from the simulator: it lets everybody do everything.


def failure(code):
    return ClientError({"Error": {"Code": code, "Message": code}}, "ReceiveMessage")


async def heard(answers, *, tries):
    """Listen to a queue that gives *answers*, then nothing more; return the poller and the connection."""
    calls = create_autospec(AsyncCalls, instance=True)
    over, remaining = asyncio.Event(), list(answers)

    async def answer(url):
        if not remaining:
            over.set()
            await asyncio.Event().wait()
        found = remaining.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    calls.endpoints_in_events.side_effect = answer
    connection = create_autospec(SharedConnection, instance=True)
    connection.calls.return_value = calls
    poller = Poller(connection, ENDPOINTS)
    poller.start(news.listen("https://sqs.example/rollouts", connection, poller))
    try:
        await asyncio.wait_for(over.wait(), A_MOMENT)
    finally:
        await poller.close()
    assert calls.endpoints_in_events.await_count == tries
    return poller, connection


@pytest.mark.parametrize("error", [failure("AccessDenied"), RuntimeError("the vault is sealed")], ids=str)
async def test_whatever_fails_is_said_once_and_tried_again(error, caplog):
    with caplog.at_level(logging.INFO, logger=news.__name__):
        poller, connection = await heard([error, error, error], tries=4)

    assert poller.is_told is False
    (record,) = caplog.records
    assert str(error) in record.getMessage()
    connection.refused.assert_not_called()


async def test_an_answer_after_failures_is_news_again():
    poller, _ = await heard([failure("AccessDenied"), []], tries=3)

    assert poller.is_told is True


async def test_credentials_that_the_queue_refuses_have_the_connection_looked_up():
    _, connection = await heard([failure("ExpiredToken"), failure("InvalidClientTokenId")], tries=3)

    assert connection.refused.call_count == 2


async def test_a_queue_that_falls_silent_gives_those_who_rest_their_beat_again(
    churn, updating, queue, wait, monkeypatch
):
    monkeypatch.setattr(polling, "RESTLESS_FOR", 0.0)
    waiting = wait(waiter_delay=QUICK)
    await at_rest()
    queue.drop()
    await advance(churn, hours=1)

    assert await outcome(waiting) == "Succeeded"
