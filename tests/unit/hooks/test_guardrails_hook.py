"""The calls to AWS, sync and async, made over HTTP to the simulator."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError, HTTPClientError, ReadTimeoutError, SSLError

from airflow_guardrails.aws.errors import is_throttled
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.effects import DescribeAlarms, NoResponse
from airflow_guardrails.domain.snapshots.alarms import AlarmState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus, MissingEndpoint
from airflow_guardrails.hooks._effects import run_effects
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.strategies import Canary

CANARY = Guardrails(strategy=Canary(percent=25, bake=timedelta(minutes=10)), alarms=("errors",))
FIVE_ATTEMPTS = {"retries": {"total_max_attempts": 5, "mode": "standard"}}
IMPATIENT = {"read_timeout": 0.2, "retries": {"total_max_attempts": 1}}
NOBODY = "endpoint-that-nobody-made"


@pytest.fixture
def connect(monkeypatch):
    """Make an Airflow connection; what it says of *extra* goes with it."""

    def make(name, **extra):
        connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
        return name

    return make


@pytest.fixture
def ask():
    """Read the same thing twice, sync and async, and answer what both agree on."""

    async def read(hook, operation, *args, **kwargs):
        answer = getattr(hook, operation)(*args, **kwargs)
        async with hook.asynchronous() as calls:
            assert await getattr(calls, operation)(*args, **kwargs) == answer
        return answer

    return read


def update(hook):
    return hook.update_endpoint(endpoint_name="churn", endpoint_config_name="churn-v2", guardrails=CANARY)


# Sync and async answer the same.


async def test_an_endpoint_at_rest(churn, ask):
    endpoint = await ask(GuardrailsHook(), "describe_endpoint", "churn")

    assert isinstance(endpoint, Endpoint)
    assert (endpoint.status, endpoint.endpoint_config_name) == (EndpointStatus.IN_SERVICE, "churn-v1")
    assert endpoint.seen_at == churn.now()


async def test_an_endpoint_in_flight(churn, ask):
    update(GuardrailsHook())
    churn.advance(minutes=5)

    endpoint = await ask(GuardrailsHook(), "describe_endpoint", "churn")

    assert endpoint.pending_config_name == "churn-v2"
    assert endpoint.guardrails == CANARY


async def test_that_there_is_no_endpoint_is_an_answer(churn, ask):
    look = await ask(GuardrailsHook(), "describe_endpoint", NOBODY)

    assert look == MissingEndpoint(name=NOBODY, seen_at=churn.now())


async def test_alarms_of_both_kinds_but_none_that_do_not_exist(churn, ask):
    churn.cloudwatch.put_composite_alarm(AlarmName="any", AlarmRule='ALARM("errors")')
    churn.trip("errors", "too many")

    alarms = await ask(GuardrailsHook(), "describe_alarms", ("errors", "any", "alarm-that-nobody-made"))

    assert {alarm.name: alarm.state for alarm in alarms} == {
        "errors": AlarmState.ALARM,
        "any": AlarmState.ALARM,
    }
    now = churn.now()
    (errors,) = (alarm for alarm in alarms if alarm.name == "errors")
    assert (errors.since, errors.reason) == (now, "too many")


async def test_the_history_of_each_alarm_between_two_moments(churn, ask):
    churn.alarm("latency")
    churn.advance(minutes=1)
    start = churn.now()
    churn.trip("errors", "the first")
    churn.advance(minutes=1)
    churn.trip("latency", "the second")
    end = churn.now()
    churn.advance(minutes=1)
    churn.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="too late")

    history = await ask(
        GuardrailsHook(), "describe_alarm_history", ("errors", "latency"), start=start, end=end
    )

    assert [(entry.name, entry.state, entry.at, entry.reason) for entry in history] == [
        ("errors", AlarmState.ALARM, start, "the first"),
        ("latency", AlarmState.ALARM, end, "the second"),
    ]


async def test_a_history_of_several_pages_is_read_to_its_end(churn, ask):
    start = churn.now()
    for number in range(120):
        churn.advance(seconds=1)
        churn.alarm("errors", state="ALARM" if number % 2 == 0 else "OK")

    history = await ask(GuardrailsHook(), "describe_alarm_history", ("errors",), start=start, end=churn.now())

    assert len(history) == 120


async def test_a_history_too_long_for_cloudwatch_to_keep_whole_is_read_all_the_same(churn, ask):
    start = churn.now()
    for state in ("ALARM", "OK"):
        data = json.dumps({"evaluated": "x" * 3900})
        churn.cloudwatch.set_alarm_state(
            AlarmName="errors", StateValue=state, StateReason="so", StateReasonData=data
        )

    history = await ask(GuardrailsHook(), "describe_alarm_history", ("errors",), start=start, end=start)

    # CloudWatch returns the newest first.
    assert [entry.state for entry in history][:2] == [AlarmState.OK, AlarmState.ALARM]


def test_an_unknown_state_of_an_alarm_does_not_end_the_wait(churn):
    def steps():
        return (yield DescribeAlarms(("errors",)))

    def mute(parsed, **_):
        parsed["MetricAlarms"][0]["StateValue"] = "MUTED"

    hook = GuardrailsHook()
    hook._cloudwatch.conn.meta.events.register("after-call.cloudwatch.DescribeAlarms", mute)

    answer = run_effects(steps(), hook, sleep=lambda _: None, log=lambda _: None, publish=lambda _: None)

    assert isinstance(answer, NoResponse)
    assert "'MUTED' of alarm errors" in answer.reason


@pytest.mark.parametrize("operation", ["describe_endpoint", "describe_alarms"])
async def test_what_aws_refuses_is_raised_by_both(churn, operation):
    hook = GuardrailsHook()
    api = {"describe_endpoint": "DescribeEndpoint", "describe_alarms": "DescribeAlarms"}[operation]
    churn.simulator.client.fault(api, kind="error", code="AccessDeniedException", status=400, times=2)
    argument = "churn" if operation == "describe_endpoint" else ("errors",)

    with pytest.raises(ClientError, match="AccessDeniedException"):
        getattr(hook, operation)(argument)
    async with hook.asynchronous() as calls:
        with pytest.raises(ClientError, match="AccessDeniedException"):
            await getattr(calls, operation)(argument)


# The update, asked for once.


def test_an_update_sends_its_guardrails_and_answers_the_time_on_awss_clock(churn):
    launched_at = update(GuardrailsHook())

    assert launched_at == churn.now()
    sent = churn.describe()["LastDeploymentConfig"]
    assert sent["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "errors"}]}
    assert sent["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"


@pytest.mark.parametrize("told_by", ["connection", "argument"])
@pytest.mark.parametrize("kind", ["error", "throttle", "lose", "hang"])
def test_the_update_is_never_retried_even_if_the_connection_allows_retries(churn, connect, kind, told_by):
    url, region = churn.simulator.url, "us-east-1"
    config = {**FIVE_ATTEMPTS, "read_timeout": 0.5}
    if told_by == "connection":
        name = connect("retrying", endpoint_url=url, region_name=region, config_kwargs=config)
        hook = GuardrailsHook(aws_conn_id=name)
    else:
        name = connect("plain", endpoint_url=url, region_name=region)
        hook = GuardrailsHook(aws_conn_id=name, config=config)
    churn.simulator.client.fault("UpdateEndpoint", kind=kind, times=1, seconds=1)

    with pytest.raises((ClientError, HTTPClientError)):
        update(hook)

    assert churn.calls("UpdateEndpoint") == 1


def test_reads_over_the_same_connection_are_retried(churn, connect):
    name = connect(
        "retrying", endpoint_url=churn.simulator.url, region_name="us-east-1", config_kwargs=FIVE_ATTEMPTS
    )
    before = churn.calls("DescribeEndpoint")
    churn.simulator.client.throttle("DescribeEndpoint", times=1)

    assert GuardrailsHook(aws_conn_id=name).describe_endpoint("churn").name == "churn"
    assert churn.calls("DescribeEndpoint") == before + 2


def test_an_environment_that_allows_retries_does_not_make_the_update_retried(churn, connect, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    name = connect("plain", endpoint_url=churn.simulator.url, region_name="us-east-1")
    churn.simulator.client.throttle("UpdateEndpoint", times=1)

    with pytest.raises(ClientError) as caught:
        update(GuardrailsHook(aws_conn_id=name))

    assert is_throttled(caught.value)
    assert churn.calls("UpdateEndpoint") == 1


# What a DAG author says about the connection.


async def test_without_a_connection_botocore_finds_its_own_way(churn, ask, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    monkeypatch.setenv("AWS_ENDPOINT_URL", churn.simulator.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    hook = GuardrailsHook(aws_conn_id=None)

    assert (await ask(hook, "describe_endpoint", "churn")).name == "churn"
    assert [alarm.name for alarm in await ask(hook, "describe_alarms", ("errors",))] == ["errors"]
    update(hook)
    assert churn.describe()["PendingDeploymentSummary"]["EndpointConfigName"] == "churn-v2"


async def test_every_call_goes_to_the_region_that_was_said(churn, ask):
    hook = GuardrailsHook(region_name="eu-west-1")

    assert isinstance(await ask(hook, "describe_endpoint", "churn"), MissingEndpoint)
    assert await ask(hook, "describe_alarms", ("errors",)) == ()
    with pytest.raises(ClientError, match=r"Could not find endpoint .*eu-west-1"):
        update(hook)


async def test_botocores_configuration_reaches_every_client(churn):
    hook = GuardrailsHook(config=IMPATIENT)
    for operation in ("DescribeEndpoint", "DescribeAlarms", "UpdateEndpoint"):
        churn.simulator.client.fault(operation, kind="hang", seconds=1, times=None)

    with pytest.raises(ReadTimeoutError):
        hook.describe_endpoint("churn")
    with pytest.raises(ReadTimeoutError):
        hook.describe_alarms(("errors",))
    with pytest.raises(ReadTimeoutError):
        update(hook)
    async with hook.asynchronous() as calls:
        with pytest.raises(ReadTimeoutError):
            await calls.describe_endpoint("churn")
        with pytest.raises(ReadTimeoutError):
            await calls.describe_alarms(("errors",))


async def test_certificates_to_verify_with_reach_every_client(churn, connect, tmp_path):
    # The bundle is opened before a word of TLS is spoken, so that a port without TLS is enough to see it.
    url = churn.simulator.url.replace("http:", "https:")
    once = {"retries": {"total_max_attempts": 1}}
    name = connect("tls", endpoint_url=url, region_name="us-east-1", config_kwargs=once)
    hook = GuardrailsHook(aws_conn_id=name, verify=str(tmp_path / "bundle-that-nobody-made.pem"))

    for call in (
        lambda: hook.describe_endpoint("churn"),
        lambda: hook.describe_alarms(("errors",)),
        lambda: update(hook),
    ):
        with pytest.raises(SSLError, match="No such file or directory"):
            call()
    async with hook.asynchronous() as calls:
        with pytest.raises(HTTPClientError, match="No such file or directory"):
            await calls.describe_endpoint("churn")
        with pytest.raises(HTTPClientError, match="No such file or directory"):
            await calls.describe_alarms(("errors",))


# Endpoint configurations.


def test_an_endpoint_configuration_is_there_or_not(churn):
    hook = GuardrailsHook()

    assert hook.describe_endpoint_config("churn-v1")["ProductionVariants"][0]["InitialInstanceCount"] == 4
    assert hook.describe_endpoint_config("churn-v9") is None


def test_not_being_allowed_to_see_a_configuration_is_not_its_absence(churn):
    churn.simulator.client.fault(
        "DescribeEndpointConfig", kind="error", code="AccessDeniedException", status=400
    )

    with pytest.raises(ClientError, match="AccessDeniedException"):
        GuardrailsHook().describe_endpoint_config("churn-v1")
