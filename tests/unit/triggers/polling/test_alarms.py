"""The alarms of many waits are read together, and a failure of one is not that of the others."""

from __future__ import annotations

import asyncio

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmState
from airflow_guardrails.triggers._polling.alarms import AlarmReader
from tests.support.warped_loop import warped

DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "DescribeAlarms")


class Connection:
    """A connection to an account with these alarms, of which some may not be read."""

    def __init__(self, *names, denied=()):
        self.names = names
        self.denied = set(denied)
        self.asked = []

    async def calls(self):
        return self

    async def describe_alarms(self, names):
        names = list(names)
        self.asked.append(names)
        if self.denied.intersection(names):
            raise DENIED
        return tuple(Alarm(name=name, state=AlarmState.OK) for name in self.names if name in names)


def read(connection, *requests):
    """What each of *requests* gets, made at the same time: names of alarms, or an error."""

    async def story():
        reader = AlarmReader(connection)
        results = await asyncio.gather(
            *(reader.describe_alarms(names) for names in requests), return_exceptions=True
        )
        await reader.close()
        return results

    return [
        result if isinstance(result, Exception) else [alarm.name for alarm in result]
        for result in warped(story())
    ]


def test_requests_of_the_same_moment_are_one_call_and_each_gets_its_own_alarms():
    connection = Connection("errors", "latency", "switch")
    assert read(connection, ["errors", "switch"], ["latency", "errors"], ["gone"]) == [
        ["errors", "switch"],
        ["latency", "errors"],
        [],
    ]
    assert connection.asked == [["errors", "switch", "latency", "gone"]]


def test_a_call_has_at_most_50_names():
    requests = [[f"{number}-{each}" for each in range(10)] for number in range(12)]
    connection = Connection(*(name for names in requests for name in names))
    assert read(connection, *requests) == requests
    assert [len(names) for names in connection.asked] == [50, 50, 20]


def test_an_alarm_that_may_not_be_read_fails_only_those_who_ask_for_it():
    connection = Connection("errors", "secret", denied=["secret"])
    assert read(connection, ["errors"], ["secret"], ["errors"]) == [["errors"], DENIED, ["errors"]]


def test_an_error_that_is_not_of_aws_reaches_everybody():
    class Broken(Connection):
        async def describe_alarms(self, names):  # noqa: ARG002 - the signature of the real one
            raise ValueError("odd")

    results = read(Broken(), ["errors"], ["latency"])
    assert [str(result) for result in results] == ["odd", "odd"]


def test_a_wait_that_is_cancelled_does_not_take_the_alarms_from_the_others():
    connection = Connection("errors")

    async def story():
        reader = AlarmReader(connection)
        first = asyncio.ensure_future(reader.describe_alarms(["errors"]))
        second = asyncio.ensure_future(reader.describe_alarms(["errors"]))
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert [alarm.name for alarm in warped(story())] == ["errors"]
