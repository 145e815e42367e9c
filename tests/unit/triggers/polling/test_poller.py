"""One poller for many waits: how many calls it makes, how soon it notices a change, and what it survives."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.aws.errors import Unanswered, is_passing
from airflow_guardrails.domain.effects import WaitForChange
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus, ListedEndpoint
from airflow_guardrails.triggers._polling import poller as polling
from airflow_guardrails.triggers._polling.poller import Poller
from airflow_guardrails.triggers._polling.resource import ENDPOINTS
from tests.support.warped_loop import warped

HOUR = 3600.0
TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
UPDATING, IN_SERVICE = EndpointStatus.UPDATING, EndpointStatus.IN_SERVICE
PAGE = 100


def failure(code, operation="DescribeEndpoint", status=400):
    answer = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


def now():
    return asyncio.get_running_loop().time()


@dataclass
class Account:
    """The calls of a connection to an account with *endpoints* in flight; each is answered after a second."""

    endpoints: list[str]
    ends_at: dict[str, float] = field(default_factory=dict)
    list_lag: float = 0.0
    failing: dict[str, Exception] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    others: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    looks_at: list[float] = field(default_factory=list)
    rejections: int = 0

    async def calls(self):
        return self

    def rejected(self):
        self.rejections += 1

    async def describe_endpoint(self, name):
        self.counted["DescribeEndpoint"] += 1
        self.looks_at.append(now())
        await self._answer("DescribeEndpoint", name)
        return Endpoint(
            name=name,
            status=self._status(name, now()),
            seen_at=TEN + timedelta(seconds=now()),
            last_modified_at=TEN + timedelta(seconds=min(now(), self.ends_at.get(name, 0.0))),
        )

    async def list_endpoints(self, status):
        there = [name for name in self.endpoints if self._status(name, now() - self.list_lag) is status]
        if status is UPDATING:
            there += [f"other-{number}" for number in range(self.others)]
        for first in range(0, max(len(there), 1), PAGE):
            self.counted["ListEndpoints"] += 1
            await self._answer("ListEndpoints")
            yield [ListedEndpoint(name, status, TEN) for name in there[first : first + PAGE]]

    async def _answer(self, operation, name=""):
        await asyncio.sleep(HOUR if {operation, name} & self.hanging else 1)
        for key in (operation, name):
            if key in self.failing:
                raise self.failing[key]

    def _status(self, name, at):
        return IN_SERVICE if at >= self.ends_at.get(name, float("inf")) else UPDATING


async def wait_for_end(poller, name, *, every=30.0, gap=300.0, until=10 * HOUR, expected=UPDATING):
    """Wait as a trigger does until the update is over; return when that was seen."""
    poller.join(name)
    pause = 0.0
    try:
        while True:
            rest = WaitForChange(name=name, seconds=pause, within=0.0, expected=expected, modified_at=TEN)
            try:
                look = await poller.next_look(rest, every=every, gap=gap, until=until)
            except Exception as error:
                if not is_passing(error) or now() >= until:
                    raise
            else:
                if look.status is IN_SERVICE:
                    return now()
            pause = every
    finally:
        poller.leave(name)


def play(account, *, hours=0.0, names=None, **waits):
    """Let waits for all endpoints run; the time each end was seen at, or the error of the wait."""

    async def story():
        poller = Poller(account, ENDPOINTS)
        tasks = [
            asyncio.ensure_future(wait_for_end(poller, name, **waits)) for name in names or account.endpoints
        ]
        if hours:
            await asyncio.sleep(hours * HOUR)
            for task in tasks:
                task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert not poller._requests
        assert not poller._waits
        await poller.close()
        return ends

    return warped(story())


def fleet(number, **facts):
    return Account([f"churn-{each}" for each in range(number)], **facts)


# What it costs.


def test_one_wait_costs_a_look_each_interval_and_reads_no_list():
    account = fleet(1)
    play(account, hours=1)
    assert account.counted == {"DescribeEndpoint": pytest.approx(HOUR / 31, abs=1)}


def test_a_thousand_waits_cost_ten_pages_each_interval_besides_the_looks_for_their_stages():
    account = fleet(1000)
    play(account, hours=1, gap=2 * HOUR)
    beats = HOUR / (polling.LIST_EARLY * 30)
    assert account.counted["ListEndpoints"] == pytest.approx(10 * beats, rel=0.05)
    # Each has its look once in the gap, at a time of its own.
    assert account.counted["DescribeEndpoint"] == pytest.approx(500, rel=0.1)


def test_looks_for_stages_are_spread_over_the_gap():
    account = fleet(300)
    play(account, hours=1, gap=600)
    in_each_minute = Counter(int(at // 60) for at in account.looks_at)
    assert max(in_each_minute.values()) < 1.6 * 30


def test_waits_for_the_same_endpoint_share_its_look():
    account = fleet(1)
    play(account, hours=1, names=["churn-0"] * 50)
    assert account.counted["DescribeEndpoint"] <= HOUR / 31 + 1


def test_a_list_full_of_other_endpoints_is_left_for_looks():
    account = fleet(5, others=5000)
    play(account, hours=0.1, gap=2 * HOUR)
    # It is begun once, and given up when it costs more than it spares.
    assert account.counted["ListEndpoints"] == 6
    assert account.counted["DescribeEndpoint"] > 5 * 0.1 * HOUR / 40


def test_what_a_list_costs_is_tried_again_after_ten_minutes():
    account = fleet(5, others=5000)
    play(account, hours=1, gap=2 * HOUR)
    assert account.counted["ListEndpoints"] == 6 * 6


# How soon it notices a change.


@pytest.mark.parametrize("number", [1, 2, 300])
def test_an_end_is_noticed_within_an_interval(number):
    account = fleet(number)
    account.ends_at = {name: 1000.0 + place for place, name in enumerate(account.endpoints)}
    ends = play(account)
    pages = number // PAGE + 1
    # The list, and the looks at those that have left it: thirty in a beat, ten at once.
    lateness = [end - account.ends_at[name] for name, end in zip(account.endpoints, ends, strict=True)]
    assert max(lateness) <= 30 + pages + 1 + 5
    assert min(lateness) >= 0


@pytest.mark.parametrize("gap", [120.0, 300.0])
def test_what_a_list_has_missed_is_seen_within_the_gap(gap):
    account = fleet(20, list_lag=2 * HOUR)
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)
    ends = play(account, gap=gap)
    assert max(ends) <= 1000 + gap + 3
    assert account.counted["ListEndpoints"] > 20


def test_a_thousand_that_end_at_once_are_all_noticed():
    account = fleet(1000)
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)
    ends = play(account, gap=2 * HOUR)
    assert max(ends) <= 1000 + 40 + 10 + 1000 / polling.CALLS_AT_ONCE + 1


def test_an_endpoint_that_waits_for_its_update_is_looked_at_when_a_list_shows_it():
    account = fleet(20)
    account._status = lambda _, at: UPDATING if at >= 1000 else IN_SERVICE

    async def story():
        poller = Poller(account, ENDPOINTS)

        async def begin(name):
            poller.join(name)
            rest = WaitForChange(name=name, seconds=30.0, within=0.0, expected=IN_SERVICE)
            look = await poller.next_look(rest, every=30.0, gap=10 * HOUR, until=20 * HOUR)
            poller.leave(name)
            return look.status, now()

        for name in account.endpoints:
            poller._described_at[name] = 0.0
        found = await asyncio.gather(*[begin(name) for name in account.endpoints])
        await poller.close()
        return found

    for status, at in warped(story()):
        assert status is UPDATING
        assert at <= 1000 + 30 + 4


def test_at_the_deadline_there_is_a_look_whatever_lists_show():
    account = fleet(20)

    async def story():
        poller = Poller(account, ENDPOINTS)
        poller.join("churn-3")
        poller._described_at["churn-3"] = 0.0
        others = [asyncio.ensure_future(wait_for_end(poller, name)) for name in account.endpoints]
        rest = WaitForChange(name="churn-3", seconds=30.0, within=0.0, expected=UPDATING)
        look = await poller.next_look(rest, every=30.0, gap=10 * HOUR, until=1000.0)
        seen = now()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await poller.close()
        return look, seen

    look, seen = warped(story())
    assert look.status is UPDATING
    assert seen <= 1000 + 3


# What it survives.


def test_without_permission_to_list_looks_are_paced_and_it_is_said_once(caplog):
    account = fleet(100, failing={"ListEndpoints": failure("AccessDeniedException", "ListEndpoints")})
    with caplog.at_level(logging.WARNING, logger=polling.__name__):
        play(account, hours=0.5)

    assert len([record for record in caplog.records if "sagemaker:ListEndpoints" in record.message]) == 1
    assert account.counted["ListEndpoints"] == 3  # whether it is allowed by now
    per_second = Counter(int(at) for at in account.looks_at)
    assert max(per_second.values()) <= 2 * polling.CALLS_AT_ONCE
    assert account.counted["DescribeEndpoint"] == pytest.approx(100 * 0.5 * HOUR / 31, rel=0.1)


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_a_list_that_fails_for_a_while_ends_no_wait_and_is_replaced_by_no_looks(code):
    account = fleet(100, failing={"ListEndpoints": failure(code, "ListEndpoints", status=500)})
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)
    ends = play(account)
    assert max(ends) <= 1000 + 300 + 20
    # Each has a look once in a gap of 300 s, and no more.
    assert account.counted["DescribeEndpoint"] <= 100 * 5


def test_looks_that_are_throttled_for_an_hour_end_no_wait():
    account = fleet(10, failing={"DescribeEndpoint": failure("ThrottlingException")})
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)

    async def recovers():
        await asyncio.sleep(HOUR)
        account.failing.clear()

    async def story():
        poller = Poller(account, ENDPOINTS)
        waits = [wait_for_end(poller, name) for name in account.endpoints]
        *ends, _ = await asyncio.gather(*waits, recovers())
        await poller.close()
        return ends

    assert max(warped(story())) <= HOUR + 300


def test_a_look_that_hangs_is_given_up_and_delays_no_other():
    account = fleet(30, hanging={"churn-7"})
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)
    ends = play(account, until=2000.0)
    hung = ends.pop(7)
    assert isinstance(hung, Unanswered)
    assert max(ends) <= 1000 + 30 + 10


def test_a_list_that_hangs_delays_no_wait_longer_than_the_gap():
    account = fleet(30, hanging={"ListEndpoints"})
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)
    assert max(play(account)) <= 1000 + 300 + polling.LONGEST_LIST + 10


@pytest.mark.parametrize("expected", [None, EndpointStatus.CREATING])
def test_a_list_that_hangs_delays_no_look_that_it_does_not_spare(expected):
    account = fleet(30, hanging={"ListEndpoints"})

    async def story():
        poller = Poller(account, ENDPOINTS)
        others = [asyncio.ensure_future(wait_for_end(poller, name)) for name in account.endpoints]
        poller.join("alone")
        seen = []
        while now() < HOUR:
            rest = WaitForChange(name="alone", seconds=30.0, within=0.0, expected=expected)
            await poller.next_look(rest, every=30.0, gap=60.0, until=2 * HOUR)
            seen.append(now())
        poller.leave("alone")
        for wait in others:
            wait.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await poller.close()
        return seen

    seen = warped(story())
    longest = 30 if expected is None else 60  # a list of its own would spare it until the gap is over
    assert max(later - earlier for earlier, later in pairwise(seen)) <= longest + 3


def test_a_list_that_hangs_does_not_delay_the_look_after_the_gap():
    account = fleet(30, hanging={"ListEndpoints"})
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)

    assert max(play(account, gap=120.0)) <= 1000 + 120 + 5


def test_two_lists_are_read_at_once():
    account = fleet(60)
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)
    half = account.endpoints[:30]
    account.hanging = {"ListEndpoints"}

    async def story():
        poller = Poller(account, ENDPOINTS)
        for name in account.endpoints:
            poller._described_at[name] = 0.0
        waits = [
            asyncio.ensure_future(
                wait_for_end(
                    poller, name, expected=UPDATING if name in half else EndpointStatus.CREATING, gap=HOUR
                )
            )
            for name in account.endpoints
        ]
        await asyncio.sleep(60)
        reading = account.counted["ListEndpoints"]
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await poller.close()
        return reading

    assert warped(story()) == 2


def test_credentials_that_are_refused_are_looked_up_and_end_no_wait():
    account = fleet(2, failing={"DescribeEndpoint": failure("ExpiredTokenException")})

    async def story():
        poller = Poller(account, ENDPOINTS)
        with pytest.raises(Unanswered, match="credentials were rejected"):
            await poller.next_look(
                WaitForChange(name="churn-0", seconds=0.0, within=0.0), every=30, gap=300, until=HOUR
            )
        await poller.close()

    warped(story())
    assert account.rejections == 1


@pytest.mark.parametrize("error", [KeyError("a bug"), failure("AccessDeniedException")])
def test_what_is_wrong_with_one_endpoint_ends_its_own_wait_only(error):
    account = fleet(30, failing={"churn-7": error})
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)
    ends = play(account)
    assert ends.pop(7) is error
    assert max(ends) <= 1000 + 30 + 10


def test_a_round_that_fails_is_logged_and_the_next_one_follows(caplog, monkeypatch):
    account = fleet(1)
    account.ends_at = {"churn-0": 100.0}
    plan, failures = polling.plan_poll, iter([RuntimeError("a bug")])

    def fails_once(*args, **kwargs):
        for error in failures:
            raise error
        return plan(*args, **kwargs)

    monkeypatch.setattr(polling, "plan_poll", fails_once)
    with caplog.at_level(logging.ERROR, logger=polling.__name__):
        (end,) = play(account)
    assert end <= 100 + 35
    assert "Polling round failed" in caplog.text


def test_a_wait_that_is_cancelled_leaves_nothing_behind_and_the_others_alone():
    account = fleet(10)
    account.ends_at = dict.fromkeys(account.endpoints, 1000.0)

    async def story():
        poller = Poller(account, ENDPOINTS)
        waits = [asyncio.ensure_future(wait_for_end(poller, name)) for name in account.endpoints]
        await asyncio.sleep(100)
        waits[3].cancel()
        ends = await asyncio.gather(*waits, return_exceptions=True)
        left = poller._requests, poller._waits, poller._described_at
        await poller.close()
        return ends, left

    ends, left = warped(story())
    assert isinstance(ends.pop(3), asyncio.CancelledError)
    assert max(ends) <= 1000 + 40
    assert not any(left)


def left_behind(poller):
    """What is kept of waits: everything that holds something, but for the poller's own task."""
    kept = {name: each for name, each in vars(poller).items() if isinstance(each, dict | set | list) and each}
    kept["_tasks"] = {task for task in poller._tasks if task.get_coro().__name__ != "_run"}
    timers = [each for each in asyncio.get_running_loop()._scheduled if not each.cancelled()]
    return {name: each for name, each in {**kept, "timers": timers}.items() if each}


CANCELLED_WHILE = {
    "the first look is under way": (fleet(200), 0.5),
    "most looks wait for a slot": (fleet(200), 3.5),
    "it rests": (fleet(200), 25.0),
    "looks are spaced": (
        fleet(200, failing={"ListEndpoints": failure("AccessDeniedException", "ListEndpoints")}),
        40.0,
    ),
    "calls are paced": (fleet(200, failing={"DescribeEndpoint": failure("ThrottlingException")}), 40.0),
    "a list is read": (fleet(200), 52.5),
    "a list hangs": (fleet(200, hanging={"ListEndpoints"}), 70.0),
    "everything hangs": (fleet(200, hanging={"ListEndpoints", "DescribeEndpoint"}), 100.0),
}


@pytest.mark.parametrize("moment", CANCELLED_WHILE)
def test_two_hundred_waits_that_are_cancelled_leave_nothing_behind(moment):
    account, after = CANCELLED_WHILE[moment]
    account.counted.clear()

    async def story():
        poller = Poller(account, ENDPOINTS)
        waits = [asyncio.ensure_future(wait_for_end(poller, name)) for name in account.endpoints]
        await asyncio.sleep(after)
        for wait in waits:
            wait.cancel()
        ends = await asyncio.gather(*waits, return_exceptions=True)
        made = account.counted.copy()
        await asyncio.sleep(0.001)
        left = left_behind(poller)
        await asyncio.sleep(HOUR)
        later = left_behind(poller)
        await poller.close()
        return ends, account.counted - made, left, later

    ends, made_since, left, later = warped(story())
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert (left, later) == ({}, {})
    assert not made_since


def test_a_wait_that_is_cancelled_leaves_its_look_to_another_that_waits_for_the_same():
    account = fleet(1)

    async def story():
        poller = Poller(account, ENDPOINTS)
        cancelled, other = (asyncio.ensure_future(wait_for_end(poller, "churn-0")) for _ in range(2))
        await asyncio.sleep(0.5)
        cancelled.cancel()
        await asyncio.sleep(10)
        seen = poller._described_at["churn-0"]
        other.cancel()
        await asyncio.gather(cancelled, other, return_exceptions=True)
        await poller.close()
        return seen

    assert warped(story()) == pytest.approx(1 + polling.PLANNING_DELAY)
    assert account.counted["DescribeEndpoint"] == 1


def test_a_wait_that_begins_when_the_one_before_is_cancelled_has_its_own_look():
    account = fleet(1, hanging={"churn-0"})

    async def story():
        poller = Poller(account, ENDPOINTS)
        before = asyncio.ensure_future(wait_for_end(poller, "churn-0"))
        await asyncio.sleep(10)
        account.hanging.clear()
        account.ends_at = {"churn-0": 5.0}
        before.cancel()
        after = asyncio.ensure_future(wait_for_end(poller, "churn-0"))
        end = await after
        await asyncio.gather(before, return_exceptions=True)
        await poller.close()
        return end

    assert warped(story()) <= 10 + 2


def test_a_poller_that_is_to_begin_later_does():
    account = fleet(1)

    async def story():
        poller = Poller(account, ENDPOINTS, begins_after=5.0)
        wait = asyncio.ensure_future(wait_for_end(poller, "churn-0"))
        await asyncio.sleep(10)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)
        await poller.close()

    warped(story())
    assert account.looks_at == [5.0]
