"""Triggers of one process, on the simulator: they share connection and poller, and each fires its own end."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from airflow_guardrails.triggers._polling import pool
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger

QUICK = 0.05
BAD, GOOD = "churn-v3", "churn-v2"


@pytest.fixture
def fleet(churn):
    """Twenty endpoints; half of them get a configuration that an alarm of theirs will undo."""
    churn.config(BAD)
    names = [f"churn-{number}" for number in range(20)]
    for name in names:
        churn.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="churn-v1")
    churn.advance(minutes=10)
    at_once = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    bakes = {**at_once, "TerminationWaitInSeconds": 600}
    for number, name in enumerate(names):
        bad = number % 2
        guarded = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}} if bad else {}
        churn.sagemaker.update_endpoint(
            EndpointName=name,
            EndpointConfigName=BAD if bad else GOOD,
            DeploymentConfig={"BlueGreenUpdatePolicy": bakes, **guarded},
        )
    return dict(zip(names, [GOOD, BAD] * 10, strict=True))


def trigger(name, target, **changes):
    arguments = {
        "endpoint_name": name,
        "endpoint_config_name": target,
        "previous_endpoint_config_name": "churn-v1",
        "waiter_delay": QUICK,
    }
    return SageMakerRolloutTrigger(**{**arguments, **changes})


async def event_of(waiting):
    return (await anext(waiting.run())).payload


def nobody_waits():
    return not any(pool._BY_LOOP.values())


async def beats(churn, number):
    """Let so many lists be read."""
    until = churn.calls("ListEndpoints") + number
    while await asyncio.to_thread(churn.calls, "ListEndpoints") < until:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(QUICK)


async def test_each_trigger_fires_its_own_end_and_together_they_read_lists(churn, fleet):
    waiting = [asyncio.ensure_future(event_of(trigger(name, target))) for name, target in fleet.items()]
    await beats(churn, 5)
    looks = churn.calls("DescribeEndpoint")
    await beats(churn, 5)
    assert churn.calls("DescribeEndpoint") - looks < 5, "the lists spare the looks"
    await asyncio.to_thread(churn.advance, minutes=5)
    await asyncio.to_thread(churn.trip, "errors")
    await asyncio.to_thread(churn.advance, hours=1)

    events = await asyncio.gather(*waiting)

    ends = {event["report"]["endpoint_name"]: event["report"]["outcome"] for event in events}
    assert ends == {name: "RolledBack" if target == BAD else "Succeeded" for name, target in fleet.items()}
    causes = {event["report"]["cause"]["kind"] for event in events if event["report"]["cause"]}
    assert causes == {"alarm"}
    assert nobody_waits()


async def test_triggers_of_one_connection_look_it_up_once(churn, fleet, monkeypatch):
    looked_up = []
    get_connection = pool.GuardrailsHook.get_connection

    def look_up(conn_id):
        looked_up.append(conn_id)
        return get_connection(conn_id)

    monkeypatch.setattr(pool.GuardrailsHook, "get_connection", staticmethod(look_up))
    waiting = [asyncio.ensure_future(event_of(trigger(name, target))) for name, target in fleet.items()]
    await beats(churn, 2)
    await asyncio.to_thread(churn.advance, hours=1)
    await asyncio.gather(*waiting)

    assert looked_up == ["aws_default"]


async def test_other_connections_regions_and_configurations_share_nothing(churn, monkeypatch, simulator):
    extra = {"endpoint_url": simulator.url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
    others = [{}, {"aws_conn_id": "other"}, {"botocore_config": {"read_timeout": 5}}, {"verify": False}]
    waiting = [asyncio.ensure_future(event_of(trigger("churn", GOOD, **other))) for other in others]
    await asyncio.sleep(QUICK)

    assert len(pool._BY_LOOP[asyncio.get_running_loop()]) == 4
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=GOOD)
    await asyncio.to_thread(churn.advance, hours=1)
    assert [event["report"]["outcome"] for event in await asyncio.gather(*waiting)] == ["Succeeded"] * 4
    assert nobody_waits()


async def test_a_trigger_that_is_cancelled_leaves_nothing_behind_and_the_others_alone(churn, fleet):
    waiting = {name: asyncio.ensure_future(event_of(trigger(name, target))) for name, target in fleet.items()}
    await beats(churn, 2)
    waiting["churn-4"].cancel()
    await asyncio.to_thread(churn.advance, hours=1)

    with pytest.raises(asyncio.CancelledError):
        await waiting.pop("churn-4")
    assert {event["report"]["outcome"] for event in await asyncio.gather(*waiting.values())} == {"Succeeded"}
    assert nobody_waits()


async def test_the_last_trigger_that_is_cancelled_closes_what_it_shared(churn):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=GOOD)
    waiting = asyncio.ensure_future(event_of(trigger("churn", GOOD)))
    while churn.calls("DescribeEndpoint") < 3:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(QUICK)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert nobody_waits()
    looks = churn.calls("DescribeEndpoint")
    await asyncio.sleep(4 * QUICK)
    assert churn.calls("DescribeEndpoint") == looks
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_each_event_loop_has_connections_of_its_own(churn):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=GOOD)
    churn.advance(hours=1)
    for _ in range(2):
        event = asyncio.run(event_of(trigger("churn", GOOD)))
        assert event["report"]["outcome"] == "Succeeded"
    assert nobody_waits()


async def test_a_trigger_alone_takes_a_look_each_interval_and_reads_no_list(churn):
    churn.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName=GOOD)
    waiting = asyncio.ensure_future(event_of(trigger("churn", GOOD)))
    while churn.calls("DescribeEndpoint") < 6:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(QUICK)
    await asyncio.to_thread(churn.advance, hours=1)

    assert (await waiting)["report"]["outcome"] == "Succeeded"
    assert churn.calls("ListEndpoints") == 0


async def test_a_deadline_passes_on_awss_clock_while_lists_show_nothing_new(churn, fleet):
    deadline = (churn.now() + timedelta(seconds=60)).timestamp()
    waiting = [
        asyncio.ensure_future(event_of(trigger(name, target, deadline=deadline, max_describe_gap=1)))
        for name, target in fleet.items()
    ]
    while churn.calls("ListEndpoints") < 2:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(QUICK)
    assert not any(wait.done() for wait in waiting)
    await asyncio.to_thread(churn.advance, seconds=61)

    outcomes = {event["report"]["outcome"] for event in await asyncio.gather(*waiting)}

    assert outcomes == {"TimedOut"}


async def test_without_permission_to_list_each_end_is_noticed_all_the_same(churn, fleet):
    churn.simulator.client.fault(
        "ListEndpoints", kind="error", code="AccessDeniedException", message="no", status=400, times=None
    )
    waiting = [asyncio.ensure_future(event_of(trigger(name, target))) for name, target in fleet.items()]
    while churn.calls("DescribeEndpoint") < 60:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(QUICK)
    await asyncio.to_thread(churn.advance, hours=1)

    assert {event["report"]["outcome"] for event in await asyncio.gather(*waiting)} == {"Succeeded"}
    assert churn.calls("ListEndpoints") == 1


@pytest.mark.proof
async def test_throttling_slows_all_waits_down_and_ends_none(churn, fleet):
    client = churn.simulator.client
    client.fault(
        "ListEndpoints", kind="error", code="AccessDeniedException", message="no", status=400, times=None
    )
    client.set_knobs(describe_limit_per_second=2)
    client.set_speed(1)
    waiting = [asyncio.ensure_future(event_of(trigger(name, target))) for name, target in fleet.items()]
    await asyncio.sleep(3)
    wanted = len(fleet) * 3 / QUICK
    assert churn.calls("DescribeEndpoint") < wanted / 4
    assert not any(wait.done() for wait in waiting)

    await asyncio.to_thread(client.set_knobs, describe_limit_per_second=None)
    await asyncio.to_thread(churn.advance, hours=1)

    assert {event["report"]["outcome"] for event in await asyncio.gather(*waiting)} == {"Succeeded"}
