"""Sessions and clients for an event loop: with whose credentials, renewed when, and how configured."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from boto3.session import Session
from botocore.config import Config
from botocore.credentials import Credentials, DeferredRefreshableCredentials, RefreshableCredentials
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
)
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.utils import parse_timestamp

from airflow_guardrails.aws.errors import is_passing
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.hooks import _sessions
from airflow_guardrails.hooks._sessions import (
    LOADER,
    SHARED_CLIENT_CONFIG,
    ThreadedCredentials,
    _parse_time,
    async_session,
)
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.simulator.engine.faults import Fault
from airflow_guardrails.strategies import AllAtOnce

ROLE = "arn:aws:iam::123456789012:role/reader"
NOWHERE = "http://127.0.0.1:9"
ONCE = {"retries": {"total_max_attempts": 1}}
A_MOMENT = 60  # seconds after which a test gives up waiting


@pytest.fixture
def connect(monkeypatch, simulator):
    """Make aws_default a connection to the simulator, with plain keys and whatever *extra* says."""

    def make(*, login="testing", password="testing", **extra):
        extra = {"endpoint_url": simulator.url, "region_name": "us-east-1", **extra}
        connection = {"conn_type": "aws", "login": login, "password": password, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))

    return make


@pytest.fixture
def assume(connect, simulator):
    """Make aws_default a connection that assumes a role by the simulator's STS."""

    def make(**extra):
        sts = {"sts": {"endpoint_url": simulator.url}}
        connect(role_arn=ROLE, service_config=sts, **extra)

    return make


@pytest.fixture
def sts(simulator):
    """Let AssumeRole meet a fault, which the control API offers for other services only."""

    def fault(**details):
        simulator.simulation.faults.add(Fault(operation="AssumeRole", **details))

    return fault


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A machine on which boto3 finds neither credentials nor a region."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def signed_by(client):
    """Collect the access keys that requests of *client* are signed with."""
    keys = []

    async def keep(request, **_):
        authorization = request.headers["Authorization"]
        text = authorization.decode() if isinstance(authorization, bytes) else authorization
        keys.append(text.partition("Credential=")[2].partition("/")[0])

    client.meta.events.register("before-send", keep)
    return keys


async def client_of(calls, hook):
    return await calls._client(hook)


# An assumed role.


async def test_many_waits_and_both_services_assume_the_role_once(churn, assume):
    assume()
    hook = GuardrailsHook()
    async with hook.asynchronous() as calls:
        await asyncio.gather(
            *[calls.describe_endpoint("churn") for _ in range(20)], calls.describe_alarms(("errors",))
        )
        for _ in range(5):
            await calls.describe_endpoint("churn")

        clients = [await client_of(calls, each) for each in (hook, hook._cloudwatch)]

    assert churn.calls("AssumeRole") == 1
    assert len({id(client._request_signer._credentials) for client in clients}) == 1


def test_a_task_assumes_its_role_once_for_all_services(churn, assume):
    assume()
    guardrails = Guardrails(strategy=AllAtOnce())
    hook = GuardrailsHook()

    hook.describe_endpoint("churn")
    hook.describe_alarms(("errors",))
    hook.update_endpoint(endpoint_name="churn", endpoint_config_name="churn-v2", guardrails=guardrails)

    assert churn.calls("UpdateEndpoint") == 1
    assert churn.calls("AssumeRole") == 1


async def test_a_role_for_a_quarter_of_an_hour_is_not_assumed_anew_at_every_call(churn, assume):
    # boto3 wants to renew these from the beginning.
    assume(assume_role_kwargs={"DurationSeconds": 900})
    async with GuardrailsHook().asynchronous() as calls:
        for _ in range(10):
            await calls.describe_endpoint("churn")
        await calls.describe_alarms(("errors",))

    assert churn.calls("AssumeRole") <= 2


async def test_requests_are_signed_by_the_role_and_after_its_end_by_the_next(churn, assume):
    assume()
    hook = GuardrailsHook()
    async with hook.asynchronous() as calls:
        client = await client_of(calls, hook)
        keys = signed_by(client)
        await calls.describe_endpoint("churn")
        credentials = client._request_signer._credentials._credentials
        credentials._expiry_time = datetime.now(timezone.utc) - timedelta(seconds=1)
        await asyncio.gather(*[calls.describe_endpoint("churn") for _ in range(10)])

    assert churn.calls("AssumeRole") == 2
    assert len(keys) == 11
    assert len(set(keys[1:])) == 1
    assert keys[0] != keys[1]
    assert "testing" not in keys


async def test_the_loop_goes_on_while_sts_hangs(churn, assume, sts):
    assume()
    hook = GuardrailsHook()
    async with hook.asynchronous() as calls:
        client = await client_of(calls, hook)
        client._request_signer._credentials._credentials._expiry_time = datetime.now(timezone.utc)
        before = churn.calls("AssumeRole")
        sts(kind="hang", seconds=60)
        look = asyncio.create_task(calls.describe_endpoint("churn"))
        while await asyncio.to_thread(churn.calls, "AssumeRole") == before:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
        # A loop that is held comes here only when STS has answered.
        assert not look.done()
        await asyncio.to_thread(churn.simulator.client.clear_faults)

        assert (await look).name == "churn"


async def test_an_unreachable_sts_is_a_named_error_and_called_again_at_the_next_call(churn, assume, sts):
    assume(config_kwargs=ONCE)
    sts(kind="lose", times=1)
    async with GuardrailsHook().asynchronous() as calls:
        with pytest.raises(ConnectionClosedError) as caught:
            await calls.describe_endpoint("churn")
        assert is_passing(caught.value)
        assert (await calls.describe_endpoint("churn")).name == "churn"


async def test_a_web_identity_is_exchanged_once_and_when_first_needed(churn, connect, tmp_path, monkeypatch):
    # Older amazon providers do not use the endpoint of the connection for this call.
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", churn.simulator.url)
    token = tmp_path / "token"
    token.write_text("a.b.c")
    connect(
        role_arn=ROLE,
        assume_role_method="assume_role_with_web_identity",
        assume_role_with_web_identity_federation="file",
        assume_role_with_web_identity_token_file=str(token),
        service_config={"sts": {"endpoint_url": churn.simulator.url}},
    )
    hook = GuardrailsHook()
    async with hook.asynchronous() as calls:
        await client_of(calls, hook)
        assert churn.calls("AssumeRoleWithWebIdentity") == 0

        await asyncio.gather(
            *[calls.describe_endpoint("churn") for _ in range(10)], calls.describe_alarms(("errors",))
        )

    assert churn.calls("AssumeRoleWithWebIdentity") == 1


async def test_a_role_of_a_profile_is_assumed_by_boto3s_own_provider(churn, connect, nobody, monkeypatch):
    (nobody / "config").write_text(
        f"[profile rollouts]\nrole_arn = {ROLE}\nsource_profile = base\nregion = eu-west-1\n"
        "[profile base]\naws_access_key_id = base\naws_secret_access_key = base\n"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", churn.simulator.url)
    connect(login=None, password=None, profile_name="rollouts", region_name=None)
    hook = GuardrailsHook()
    async with hook.asynchronous() as calls:
        client = await client_of(calls, hook)
        keys = signed_by(client)
        await asyncio.gather(*[calls.describe_endpoint("churn") for _ in range(5)])

    assert churn.calls("AssumeRole") == 1
    assert len(set(keys)) == 1
    assert keys[0] not in {"base", "testing"}
    assert client.meta.region_name == "eu-west-1"


# Renewing, by plain calls.


class Refresh:
    """What renews credentials: it can be held, and it can fail; it counts how often it was asked."""

    def __init__(self):
        self.asked = 0
        self.threads = set()
        self.lasting = timedelta(hours=1)
        self.error = None
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self):
        self.asked += 1
        self.threads.add(threading.get_ident())
        self.begun.set()
        assert self.may_end.wait(A_MOMENT), "the event loop is held up, and so nobody lets the refresh end"
        if self.error is not None:
            raise self.error
        return {**keys(f"new-{self.asked}"), "expiry_time": (now() + self.lasting).isoformat()}


def now():
    return datetime.now(timezone.utc)


def keys(name):
    return {"access_key": name, "secret_key": "secret", "token": "token"}


@pytest.fixture
def refresh():
    return Refresh()


@pytest.fixture
def lasting(refresh):
    """Credentials that are good for a while longer."""

    def make(**time):
        credentials = RefreshableCredentials(
            **keys("old"), expiry_time=now() + timedelta(hours=1), refresh_using=refresh, method="test"
        )
        threaded = ThreadedCredentials(credentials)
        return threaded, lambda: setattr(credentials, "_expiry_time", now() + timedelta(**time))

    return make


async def access_key(credentials):
    return (await credentials.get_frozen_credentials()).access_key


async def begun(refresh):
    assert await asyncio.to_thread(refresh.begun.wait, A_MOMENT)


async def test_credentials_with_time_left_are_used_as_they_are(refresh, lasting):
    credentials, _ = lasting()

    assert await access_key(credentials) == "old"
    assert refresh.asked == 0


@pytest.mark.parametrize("left", [{"minutes": 14}, {"minutes": 9}, {"seconds": -1}])
async def test_many_who_ask_at_once_lead_to_one_refresh_outside_the_loops_thread(refresh, lasting, left):
    credentials, age = lasting(**left)
    await access_key(credentials)
    age()

    found = await asyncio.gather(*[access_key(credentials) for _ in range(50)])

    assert refresh.asked == 1
    assert threading.get_ident() not in refresh.threads
    assert await access_key(credentials) == "new-1"
    assert set(found) <= ({"new-1"} if left == {"seconds": -1} else {"old", "new-1"})


@pytest.mark.parametrize("left", [{"minutes": 14}, {"minutes": 9}])
async def test_what_is_still_good_is_used_while_a_refresh_is_under_way(refresh, lasting, left):
    credentials, age = lasting(**left)
    await access_key(credentials)
    age()
    refresh.may_end.clear()
    first = asyncio.create_task(access_key(credentials))
    await begun(refresh)

    assert await access_key(credentials) == "old"

    refresh.may_end.set()
    assert await first == "new-1"
    assert refresh.asked == 1


async def test_what_has_expired_is_waited_for_and_the_loop_goes_on(refresh, lasting):
    credentials, age = lasting(seconds=-1)
    age()
    refresh.may_end.clear()
    waiting = [asyncio.create_task(access_key(credentials)) for _ in range(5)]
    await begun(refresh)  # nothing but the loop lets it end

    assert not any(task.done() for task in waiting)
    refresh.may_end.set()
    assert set(await asyncio.gather(*waiting)) == {"new-1"}


@pytest.mark.parametrize("left", [{"minutes": 14}, {"minutes": 9}])
async def test_a_refresh_that_fails_leaves_what_is_good_and_is_not_tried_at_every_call(
    refresh, lasting, left, monkeypatch
):
    credentials, age = lasting(**left)
    await access_key(credentials)
    age()
    refresh.error = ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "AssumeRole")

    assert {await access_key(credentials) for _ in range(20)} == {"old"}
    assert refresh.asked == 1

    refresh.error = None
    monkeypatch.setattr(_sessions, "REFRESH_RETRY_SECONDS", 0)
    assert await access_key(credentials) == "new-2"


async def test_after_expiry_a_failing_refresh_is_an_error_and_tried_again_at_the_next_call(refresh, lasting):
    credentials, age = lasting(seconds=-1)
    age()
    refresh.error = ClientError({"Error": {"Code": "ExpiredToken", "Message": "Expired"}}, "AssumeRole")
    told = await asyncio.gather(*[access_key(credentials) for _ in range(10)], return_exceptions=True)
    assert set(told) == {refresh.error}
    assert refresh.asked == 1

    refresh.error = None
    assert await access_key(credentials) == "new-2"


async def test_a_cancelled_caller_does_not_cancel_the_refresh_of_others(refresh, lasting):
    credentials, age = lasting(seconds=-1)
    age()
    refresh.may_end.clear()
    first, second = (asyncio.create_task(access_key(credentials)) for _ in range(2))
    await begun(refresh)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    refresh.may_end.set()

    assert await second == "new-1"
    assert refresh.asked == 1


async def test_deferred_credentials_are_fetched_once_when_first_asked_for(refresh):
    credentials = ThreadedCredentials(DeferredRefreshableCredentials(refresh, "test"))
    assert refresh.asked == 0

    assert set(await asyncio.gather(*[access_key(credentials) for _ in range(10)])) == {"new-1"}
    assert refresh.asked == 1
    assert threading.get_ident() not in refresh.threads


async def test_keys_that_never_end_are_given_in_the_loop():
    credentials = ThreadedCredentials(Credentials("key", "secret", "token", method="test"))

    assert await credentials.get_frozen_credentials() == ("key", "secret", "token", None)
    assert credentials.method == "test"


# Plain keys, profiles, and nothing at all.


async def test_plain_keys_sign_the_requests_of_all_services(churn, connect):
    connect(login="AKIAPLAIN")
    hook = GuardrailsHook()
    async with hook.asynchronous() as calls:
        signed = [signed_by(await client_of(calls, each)) for each in (hook, hook._cloudwatch)]
        await calls.describe_endpoint("churn")
        await calls.describe_alarms(("errors",))

    assert signed == [["AKIAPLAIN"], ["AKIAPLAIN"]]


async def test_without_any_credentials_the_first_call_says_so(connect, nobody):
    connect(login=None, password=None)
    async with GuardrailsHook().asynchronous() as calls:
        with pytest.raises(NoCredentialsError):
            await calls.describe_endpoint("churn")


async def test_keys_of_a_profile_and_its_region_are_used(churn, connect, nobody):
    (nobody / "credentials").write_text(
        "[rollouts]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\nregion = us-east-1\n"
    )
    connect(login=None, password=None, profile_name="rollouts", region_name=None)
    hook = GuardrailsHook()
    async with hook.asynchronous() as calls:
        client = await client_of(calls, hook)
        signed = signed_by(client)
        assert (await calls.describe_endpoint("churn")).name == "churn"

    assert signed == ["AKIAPROFILE"]
    assert client.meta.region_name == "us-east-1"


@pytest.mark.parametrize(("argument", "expected"), [(None, "us-east-1"), ("eu-west-1", "eu-west-1")])
async def test_a_region_that_was_said_goes_before_the_connections(connect, argument, expected):
    connect()
    hook = GuardrailsHook(region_name=argument)
    async with hook.asynchronous() as calls:
        regions = [(await client_of(calls, each)).meta.region_name for each in (hook, hook._cloudwatch)]

    assert regions == [expected, expected]


# What is configured.


async def patience(hook):
    async with hook.asynchronous() as calls:
        config = (await client_of(calls, hook)).meta.config
        return config.retries, config.connect_timeout, config.read_timeout, config.max_pool_connections


async def test_a_shared_client_has_long_time_outs_by_default(connect):
    connect()
    retries, *times = await patience(GuardrailsHook())

    assert retries == {"mode": "adaptive", "total_max_attempts": 4}
    assert times == [
        SHARED_CLIENT_CONFIG.connect_timeout,
        SHARED_CLIENT_CONFIG.read_timeout,
        SHARED_CLIENT_CONFIG.max_pool_connections,
    ]


@pytest.mark.parametrize("told_by", ["connection", "dict", "config"])
async def test_what_a_user_configures_goes_before_our_patience(connect, told_by):
    told = {"retries": {"mode": "standard", "total_max_attempts": 7}, "read_timeout": 33}
    connect(**({"config_kwargs": told} if told_by == "connection" else {}))
    config = {"connection": None, "dict": told, "config": Config(**told)}[told_by]
    retries, *times = await patience(GuardrailsHook(config=config))

    assert retries == told["retries"]
    assert times == [SHARED_CLIENT_CONFIG.connect_timeout, 33, SHARED_CLIENT_CONFIG.max_pool_connections]


async def test_a_user_who_allows_no_retries_gets_none(churn, connect):
    connect(config_kwargs=ONCE)
    before = churn.calls("DescribeEndpoint")
    churn.simulator.client.throttle("DescribeEndpoint", times=1)
    async with GuardrailsHook().asynchronous() as calls:
        with pytest.raises(ClientError, match="ThrottlingException"):
            await calls.describe_endpoint("churn")

    assert churn.calls("DescribeEndpoint") == before + 1


async def test_one_services_endpoint_goes_before_that_of_all(churn, connect):
    own = {"sagemaker": {"endpoint_url": churn.simulator.url}}
    connect(endpoint_url=NOWHERE, service_config=own, config_kwargs=ONCE)
    async with GuardrailsHook().asynchronous() as calls:
        assert (await calls.describe_endpoint("churn")).name == "churn"
        with pytest.raises(EndpointConnectionError, match=NOWHERE):
            await calls.describe_alarms(("errors",))


@pytest.mark.parametrize("told_by", ["connection", "argument"])
async def test_certificates_come_from_the_connection_or_the_argument(simulator, connect, told_by, tmp_path):
    bundle = str(tmp_path / "bundle-that-nobody-made.pem")
    url = simulator.url.replace("http:", "https:")
    verify = {"verify": bundle} if told_by == "connection" else {}
    connect(endpoint_url=url, config_kwargs=ONCE, **verify)
    hook = GuardrailsHook(verify=bundle if told_by == "argument" else None)
    async with hook.asynchronous() as calls:
        with pytest.raises(HTTPClientError, match="No such file or directory"):
            await calls.describe_endpoint("churn")


# What sessions share, and what is left as it was.


async def test_the_description_of_a_service_is_parsed_once_for_all_sessions(connect, monkeypatch):
    connect()
    read = []
    load = LOADER.file_loader.load_file

    def counted(path):
        read.append(str(path))
        return load(path)

    async with GuardrailsHook().asynchronous() as calls:
        await client_of(calls, GuardrailsHook())
    monkeypatch.setattr(LOADER.file_loader, "load_file", counted)
    for _ in range(3):
        hook = GuardrailsHook()
        async with hook.asynchronous() as calls:
            client = await client_of(calls, hook)
            assert client._loader is LOADER

    assert [path for path in read if "sagemaker" in path] == []


def test_the_descriptions_searched_do_not_grow_with_the_sessions(connect):
    connect()
    GuardrailsHook().get_session(deferrable=True)
    before = list(LOADER.search_paths)
    for _ in range(3):
        GuardrailsHook().get_session(deferrable=True)

    assert LOADER.search_paths == before


def test_a_session_of_boto3_lends_its_region_and_credentials():
    session = boto3.Session(aws_access_key_id="key", aws_secret_access_key="secret", region_name="eu-west-1")

    lent = async_session(session)

    assert lent.get_config_variable("region") == "eu-west-1"
    assert lent._credentials._credentials is session.get_credentials()


def test_the_sync_clients_of_all_services_tell_aws_which_operator_calls():
    class Deploying:
        def execute(self):
            hook = GuardrailsHook(aws_conn_id=None, region_name="us-east-1")
            return [each.conn.meta.config.user_agent_extra for each in (hook, hook._cloudwatch)]

    assert all("Caller/Deploying" in said for said in Deploying().execute())


def test_the_sync_clients_are_those_of_the_amazon_provider(connect):
    connect(config_kwargs={"read_timeout": 33})
    ours, theirs = GuardrailsHook(), SageMakerHook()

    def facts(hook):
        client = hook.conn
        config = client.meta.config
        return SimpleNamespace(
            kind=type(hook.get_session()),
            url=client.meta.endpoint_url,
            region=client.meta.region_name,
            retries=config.retries,
            times=(config.connect_timeout, config.read_timeout),
            caller=re.search(r"Caller/\S+", config.user_agent_extra)[0],
            pool=config.max_pool_connections,
            keys=client._request_signer._credentials.get_frozen_credentials(),
        )

    assert facts(ours) == facts(theirs)
    assert facts(ours).kind is Session
    assert type(ours._cloudwatch.get_session()) is Session


# Times of answers.


@pytest.mark.parametrize(
    "value", [1_772_445_600, 1_772_445_600.25, "2026-03-02T10:00:00Z", "Mon, 02 Mar 2026 10:00:00 GMT"]
)
def test_a_time_of_an_answer_is_read_as_botocore_reads_it(value):
    assert _parse_time(value) == parse_timestamp(value)
    assert _parse_time(value).tzinfo is not None


@pytest.mark.parametrize(("points", "on_the_loop"), [(10, True), (5000, False)])
async def test_a_long_answer_is_read_in_a_thread(simulator, connect, monkeypatch, points, on_the_loop):
    """As long as the metrics of an analysis; what is read is the same."""
    connect()
    readers = set()

    def parse(value):
        readers.add(threading.get_ident())
        return _parse_time(value)

    monkeypatch.setattr(_sessions, "_parse_time", parse)
    moments = [1_772_445_600 + 60 * number for number in range(points)]
    results = [{"Id": "q0", "StatusCode": "Complete", "Timestamps": moments, "Values": [0.5] * points}]
    body = json.dumps({"MetricDataResults": results}).encode()
    factory = async_session(GuardrailsHook().get_session()).get_component("response_parser_factory")
    operation = LOADER.load_service_model("cloudwatch", "service-2")
    shape = ServiceModel(operation).operation_model("GetMetricData").output_shape

    answer = await factory.create_parser("json").parse(
        {"body": body, "headers": {}, "status_code": 200}, shape
    )

    assert (readers == {threading.get_ident()}) == on_the_loop
    assert len(readers) == 1
    (result,) = answer["MetricDataResults"]
    assert result["Timestamps"] == [datetime.fromtimestamp(at, timezone.utc) for at in moments]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("service", ["sagemaker", "cloudwatch"])
def test_a_description_of_a_service_lacks_nothing_but_its_prose(service):
    def without_prose(node):
        if isinstance(node, dict):
            return {
                key: "" if key == "documentation" and isinstance(value, str) else without_prose(value)
                for key, value in node.items()
            }
        return [without_prose(each) for each in node] if isinstance(node, list) else node

    plain = Loader().load_service_model(service, "service-2")
    assert LOADER.load_service_model(service, "service-2") == without_prose(plain)


def test_what_botocore_does_not_describe_is_not_found():
    assert LOADER.file_loader.load_file("/nowhere/sagemaker") is None
