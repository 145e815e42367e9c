"""The clients of one Airflow connection: opened once, and opened anew when somebody has changed it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
from collections import Counter
from functools import partial
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from botocore.exceptions import ClientError

from airflow_guardrails.aws.errors import ConnectionNotFound, Unanswered, is_passing
from airflow_guardrails.domain.snapshots.abort_switch import THROWN
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.hooks.guardrails import AsyncCalls, GuardrailsHook
from airflow_guardrails.triggers._polling import connection as connections
from airflow_guardrails.triggers._polling.alarms import AlarmReader
from airflow_guardrails.triggers._polling.connection import (
    LOOK_UP_EVERY,
    LOOK_UP_REFUSED_EVERY,
    SharedConnection,
)
from airflow_guardrails.triggers._polling.poller import Poller
from airflow_guardrails.triggers._polling.subscription import EndpointSubscription
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from tests.support.churn import switch_of
from tests.support.warped_loop import end_what_is_left, warped

A_MOMENT = 60  # seconds after which a test gives up waiting
OLD, NEW = "AKIAOLD", "AKIANEW"
SECRETS = ("secret-of-old", "secret-of-new", "token-of-old", "token-of-new", OLD, NEW)
EXPIRED = {"kind": "error", "code": "ExpiredTokenException", "message": "expired", "status": 400}


@pytest.fixture
def clock(monkeypatch):
    """The clock by which connections are looked up; tests move it on."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def connect(monkeypatch, simulator):
    """Make aws_default what is said, or change it to that."""

    def make(key=OLD, **extra):
        name = "old" if key == OLD else "new"
        extra = {
            "endpoint_url": simulator.url,
            "region_name": "us-east-1",
            "config_kwargs": {"retries": {"total_max_attempts": 1}},
            "aws_session_token": f"token-of-{name}",
            **extra,
        }
        made = {"conn_type": "aws", "login": key, "password": f"secret-of-{name}", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(made))

    make()
    return make


@pytest.fixture
def looked_up(monkeypatch, connect):
    """Count the look-ups; whatever is put into ``error`` happens to them."""
    found = AwsBaseHook.get_connection
    looks = SimpleNamespace(times=0, error=None)

    def look_up(cls, conn_id):
        looks.times += 1
        if looks.error is not None:
            raise looks.error
        return found(conn_id)

    monkeypatch.setattr(AwsBaseHook, "get_connection", classmethod(look_up))
    return looks


@pytest.fixture
async def shared(looked_up, clock):
    shared = SharedConnection(GuardrailsHook)
    yield shared
    await shared.close()


async def client_of(calls):
    return await calls._client(calls._hook)


async def key_of(calls):
    frozen = await (await client_of(calls))._request_signer._credentials.get_frozen_credentials()
    return frozen.access_key


async def renewed(shared):
    """Begin the look-up that is due, wait for it, and return the calls there are then."""
    await shared.calls()
    await shared.settled()
    return await shared.calls()


def is_closed(client):
    return client._endpoint.http_session._sessions is None


# Opened once.


async def test_many_first_calls_at_once_open_one_set_of_clients(churn, shared, looked_up, monkeypatch):
    built = []
    build = GuardrailsHook.get_client_type
    monkeypatch.setattr(
        GuardrailsHook,
        "get_client_type",
        lambda self, *args, **kwargs: built.append(self.client_type) or build(self, *args, **kwargs),
    )

    async def look():
        return await (await shared.calls()).describe_endpoint("churn")

    looks = await asyncio.gather(*[look() for _ in range(20)])

    assert {look.name for look in looks} == {"churn"}
    assert built == ["sagemaker"]
    assert looked_up.times == 1


async def test_an_unchanged_connection_keeps_its_clients_and_is_looked_up_once_in_a_while(
    shared, looked_up, clock
):
    first = await shared.calls()
    client = await client_of(first)
    for _ in range(10):
        clock.now += LOOK_UP_EVERY / 2
        assert await renewed(shared) is first

    assert await client_of(await shared.calls()) is client
    assert looked_up.times == 1 + 5


async def test_close_closes_every_client_those_of_before_included(churn, shared, connect, clock):
    clients = []
    for key in (OLD, NEW):
        connect(key)
        calls = await renewed(shared)
        await calls.describe_endpoint("churn")
        await calls.describe_alarms(("errors",))
        clients += calls._clients.values()
        clock.now += LOOK_UP_EVERY
    assert len(clients) == 4

    await shared.close()

    assert all(is_closed(client) for client in clients)


# Changed.


async def test_a_changed_connection_is_noticed_at_its_next_look_up(shared, connect, clock):
    assert await key_of(await shared.calls()) == OLD
    connect(NEW)
    clock.now += LOOK_UP_EVERY - 1
    assert await key_of(await shared.calls()) == OLD
    clock.now += 1

    assert await key_of(await renewed(shared)) == NEW


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint_url": "http://127.0.0.1:9"},
        {"region_name": "eu-west-1"},
        {"aws_session_token": "token-of-new"},
        {"role_arn": "arn:aws:iam::123456789012:role/reader"},
        {"config_kwargs": {"read_timeout": 5}},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_whatever_has_changed_in_its_extra_counts(shared, connect, clock, change):
    before = await shared.calls()
    connect(**change)
    clock.now += LOOK_UP_EVERY

    assert await renewed(shared) is not before


async def test_a_refusal_has_the_connection_looked_up_at_once_but_not_more_than_twice_a_minute(
    shared, connect, looked_up, clock
):
    await shared.calls()
    clock.now += LOOK_UP_REFUSED_EVERY
    for _ in range(20):
        shared.rejected()
    await shared.settled()
    assert looked_up.times == 2

    clock.now += LOOK_UP_REFUSED_EVERY - 1
    connect(NEW)
    shared.rejected()
    await shared.settled()
    assert looked_up.times == 2
    assert await key_of(await shared.calls()) == OLD

    clock.now += 1
    shared.rejected()
    await shared.settled()
    assert looked_up.times == 3
    assert await key_of(await shared.calls()) == NEW


@pytest.mark.parametrize("told", ["by the clock", "by a refusal"])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("the vault is sealed"),
        AirflowNotFoundException("The conn_id `aws_default` isn't defined"),
    ],
    ids=["raising", "not found"],
)
async def test_a_look_up_that_fails_changes_nothing(
    churn, shared, looked_up, clock, connect, caplog, error, told
):
    # Where a secrets backend is away, Airflow says that there is no such connection.
    before = await shared.calls()
    looked_up.error = error
    with caplog.at_level(logging.WARNING, logger=connections.__name__):
        clock.now += LOOK_UP_EVERY
        if told == "by a refusal":
            shared.rejected()
        assert await renewed(shared) is before

    assert "aws_default" in caplog.text
    assert (await before.describe_endpoint("churn")).name == "churn"

    looked_up.error = None
    connect(NEW)
    clock.now += LOOK_UP_EVERY
    assert await key_of(await renewed(shared)) == NEW


async def test_a_connection_that_is_not_found_is_used_once_it_exists(shared, looked_up, clock):
    looked_up.error = AirflowNotFoundException("The conn_id `aws_default` isn't defined")
    for _ in range(3):
        with pytest.raises(Unanswered, match="ConnectionNotFound"):
            await shared.calls()
        clock.now += connections.TRY_AGAIN_AFTER

    looked_up.error = None
    assert await key_of(await shared.calls()) == OLD


async def test_a_connection_that_is_not_found_for_ten_minutes_is_named(shared, looked_up, clock):
    looked_up.error = AirflowNotFoundException("The conn_id `aws_default` isn't defined")
    with pytest.raises(Unanswered):
        await shared.calls()
    clock.now += connections.NOT_FOUND_FOR

    with pytest.raises(ConnectionNotFound, match="connection aws_default does not exist") as caught:
        await shared.calls()
    assert not is_passing(caught.value)


async def test_a_first_look_up_that_fails_passes_and_is_made_again_for_all_once_in_a_while(
    shared, looked_up, clock, caplog
):
    looked_up.error = RuntimeError("the vault is sealed")
    for _ in range(50):
        with pytest.raises(Unanswered, match="could not be opened") as caught:
            await shared.calls()
        assert is_passing(caught.value)
    assert looked_up.times == 1
    assert "the vault is sealed" in caplog.text

    looked_up.error = None
    clock.now += connections.TRY_AGAIN_AFTER
    assert await key_of(await shared.calls()) == OLD


async def test_a_call_in_flight_on_the_old_clients_is_answered(churn, shared, connect, clock):
    calls = await shared.calls()
    await calls.describe_endpoint("churn")
    before = churn.calls("DescribeEndpoint")
    churn.simulator.client.fault("DescribeEndpoint", kind="hang", seconds=3600)
    look = asyncio.create_task(calls.describe_endpoint("churn"))
    while await asyncio.to_thread(churn.calls, "DescribeEndpoint") == before:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    connect(NEW)
    clock.now += LOOK_UP_EVERY
    assert await renewed(shared) is not calls
    assert not look.done()
    await asyncio.to_thread(churn.simulator.client.clear_faults)

    assert (await look).name == "churn"


async def test_clients_of_before_are_closed_when_no_call_can_be_in_flight_on_them(shared, connect, clock):
    clients = []
    for number in range(8):
        connect(region_name=f"eu-west-{number}")
        clients.append(await client_of(await renewed(shared)))
        clock.now += max(LOOK_UP_EVERY, connections.KEPT_FOR)

    assert [is_closed(client) for client in clients] == [True] * 6 + [False] * 2


# A secrets backend that hangs.


@pytest.fixture
def vault(monkeypatch, looked_up):
    """A secrets backend that answers nothing about the connections in ``hangs`` until it is ``open``."""
    found = AwsBaseHook.get_connection
    vault = SimpleNamespace(hangs=set(), open=threading.Event(), asked=Counter())

    def look_up(cls, conn_id):
        vault.asked[conn_id] += 1
        if conn_id in vault.hangs:
            vault.open.wait(A_MOMENT)
        return found(conn_id)

    monkeypatch.setattr(AwsBaseHook, "get_connection", classmethod(look_up))
    yield vault
    vault.open.set()


async def is_asked(vault, conn_id, times):
    while vault.asked[conn_id] < times:  # noqa: ASYNC110 - a thread tells nobody
        await asyncio.sleep(0.001)


def a_wait(shared):
    """A wait of the connection; its poller is not asked here."""
    return EndpointSubscription(
        shared, create_autospec(Poller, instance=True), AlarmReader(shared), every=30.0, gap=300.0
    )


@pytest.mark.parametrize("told", ["by the clock", "by a refusal"])
async def test_calls_and_the_abort_switch_do_not_wait_for_a_look_up_that_hangs(
    churn, shared, vault, clock, connect, told
):
    calls = await shared.calls()
    vault.hangs.add("aws_default")
    connect(NEW)
    clock.now += LOOK_UP_EVERY if told == "by the clock" else LOOK_UP_REFUSED_EVERY
    if told == "by a refusal":
        shared.rejected()

    assert await shared.calls() is calls
    await is_asked(vault, "aws_default", 2)
    wait = a_wait(shared)
    await wait.set_abort_switch(switch_of(), THROWN)
    assert (await wait.describe_endpoint("churn")).name == "churn"
    assert await shared.calls() is calls

    # When it answers, what has changed is noticed.
    vault.open.set()
    await shared.settled()
    assert await key_of(await shared.calls()) == NEW


async def test_a_look_up_that_hangs_holds_up_no_other_connection(churn, shared, vault, clock, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", os.environ["AIRFLOW_CONN_AWS_DEFAULT"])
    vault.hangs.add("aws_default")
    hanging = asyncio.create_task(shared.calls())
    await is_asked(vault, "aws_default", 1)
    other = SharedConnection(partial(GuardrailsHook, aws_conn_id="other"))

    assert (await a_wait(other).describe_endpoint("churn")).name == "churn"
    clock.now += LOOK_UP_EVERY
    await renewed(other)
    assert vault.asked["other"] == 2
    assert not hanging.done()

    vault.open.set()
    assert await key_of(await hanging) == OLD
    await other.close()


async def test_a_connection_can_be_closed_while_its_look_up_hangs(shared, vault):
    vault.hangs.add("aws_default")
    first = asyncio.create_task(shared.calls())
    await is_asked(vault, "aws_default", 1)

    await shared.close()

    with pytest.raises(Unanswered, match="could not be opened"):
        await first
    # Airflow's triggerer is not robust against a request that is taken back, so that one is left to its end.
    vault.open.set()
    if left := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(left)


@pytest.fixture
def slowly(monkeypatch, connect):
    """Let a look-up take so many seconds of the loop's time, and count those that were begun."""
    slowly = SimpleNamespace(seconds=connections.LOOK_UP_WITHIN - 1, begun=0)

    async def in_loop_time(threads, work, hook):
        slowly.begun += 1
        await asyncio.sleep(slowly.seconds)
        return work(hook)

    monkeypatch.setattr(connections, "in_thread", in_loop_time)
    monkeypatch.setattr(
        connections, "time", SimpleNamespace(monotonic=lambda: 1000.0 + asyncio.get_running_loop().time())
    )
    return slowly


def test_a_first_look_up_that_hangs_is_given_up_for_all_and_made_again(slowly, caplog):
    slowly.seconds = 24 * 3600.0

    async def story():
        shared = SharedConnection(GuardrailsHook)
        first = await asyncio.gather(*[shared.calls() for _ in range(100)], return_exceptions=True)
        given_up_at, slowly.seconds = asyncio.get_running_loop().time(), 1.0
        with pytest.raises(Unanswered, match="a moment ago"):
            await shared.calls()
        await asyncio.sleep(connections.TRY_AGAIN_AFTER)
        calls = await shared.calls()
        await shared.close()
        await end_what_is_left()
        return first, given_up_at, calls

    first, given_up_at, calls = warped(story())
    assert {type(error) for error in first} == {Unanswered}
    assert all(is_passing(error) for error in first)
    assert given_up_at == pytest.approx(connections.LOOK_UP_WITHIN)
    assert isinstance(calls, AsyncCalls)
    assert slowly.begun == 2


def test_a_cancelled_wait_does_not_cancel_the_first_look_up(slowly):
    async def story():
        shared = SharedConnection(GuardrailsHook)
        first, second = (asyncio.ensure_future(shared.calls()) for _ in range(2))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.wait({first})
        assert not second.done()
        calls = await second
        await shared.close()
        return first.cancelled(), calls

    cancelled, calls = warped(story())
    assert cancelled
    assert isinstance(calls, AsyncCalls)
    assert slowly.begun == 1


def test_a_look_up_that_hangs_is_made_again_after_a_while(slowly, connect, caplog):
    async def story():
        shared = SharedConnection(GuardrailsHook)
        before = await shared.calls()
        slowly.seconds = 24 * 3600.0
        connect(NEW)
        for _ in range(30):
            await asyncio.sleep(60)
            assert await shared.calls() is before
        slowly.seconds = 1.0
        await asyncio.sleep(LOOK_UP_EVERY)
        after = await renewed(shared)
        await shared.close()
        await end_what_is_left()
        return before, after

    before, after = warped(story())
    assert after is not before
    assert slowly.begun <= 1 + 30 * 60 / LOOK_UP_EVERY + 1
    assert "could not be looked up again" in caplog.text


# Nothing secret is logged.


async def test_neither_the_log_nor_what_is_kept_of_a_connection_holds_its_secrets(
    churn, shared, connect, clock, looked_up, caplog
):
    # botocore itself logs keys at debug level.
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.INFO, logger="botocore"):
        await (await shared.calls()).describe_endpoint("churn")
        connect(NEW)
        clock.now += LOOK_UP_EVERY
        await (await renewed(shared)).describe_endpoint("churn")
        looked_up.error = RuntimeError("the vault is sealed")
        clock.now += LOOK_UP_EVERY
        await renewed(shared)

    told = [record.getMessage() for record in caplog.records if record.name == connections.__name__]
    assert len(told) == 2
    assert not [secret for secret in SECRETS if secret in caplog.text]
    kept = repr({name: value for name, value in vars(shared).items() if name != "_calls"})
    assert not [secret for secret in SECRETS if secret in kept]
    assert re.fullmatch("[0-9a-f]{64}", shared._fingerprint)


# A wait whose credentials are refused.


async def test_a_wait_whose_credentials_are_refused_goes_on_when_the_connection_is_corrected(
    churn, connect, looked_up, monkeypatch
):
    monkeypatch.setattr(connections, "LOOK_UP_REFUSED_EVERY", 0.0)
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="churn-v2")
    churn.simulator.client.fault("DescribeEndpoint", times=None, **EXPIRED)
    said = []
    trigger = SageMakerRolloutTrigger(
        endpoint_name="churn", endpoint_config_name="churn-v2", waiter_delay=0.05, max_describe_gap=0.05
    )
    trigger.log_progress = partial(say, said)
    waiting = asyncio.create_task(first_event(trigger))
    before = looked_up.times
    while looked_up.times < before + 3:
        assert not waiting.done()
        await asyncio.sleep(0.01)

    connect(NEW)
    await asyncio.to_thread(churn.simulator.client.clear_faults)
    await asyncio.to_thread(churn.advance, hours=1)
    event = await asyncio.wait_for(waiting, A_MOMENT)

    assert event["report"]["outcome"] == "Succeeded"
    assert len([sentence for sentence in said if "credentials were rejected" in sentence]) == 1


async def test_a_wait_that_may_not_read_ends_with_the_reason(churn, connect):
    churn.simulator.client.fault(
        "DescribeEndpoint", kind="error", code="AccessDeniedException", message="not authorized", status=400
    )
    trigger = SageMakerRolloutTrigger(endpoint_name="churn", endpoint_config_name="churn-v2")

    event = await asyncio.wait_for(first_event(trigger), A_MOMENT)

    assert event["report"]["outcome"] is None
    assert "not authorized" in event["error"]


async def test_what_is_refused_is_raised_by_the_calls_themselves(churn, shared):
    churn.simulator.client.fault("DescribeEndpoint", **EXPIRED)
    calls = await shared.calls()

    with pytest.raises(ClientError, match="ExpiredTokenException"):
        await calls.describe_endpoint("churn")
    assert isinstance(await calls.describe_endpoint("churn"), Endpoint)


async def first_event(trigger):
    return (await anext(trigger.run())).payload


async def say(said, news):
    said.append(news.sentence)
