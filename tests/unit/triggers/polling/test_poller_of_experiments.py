"""The poller, watching shadow tests: the same rounds, by other lists."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.domain.rollout.process import WaitPolicy
from airflow_guardrails.domain.shadow.process import follow_test
from airflow_guardrails.domain.shadow.state import ShadowTestOutcome, ShadowTestState
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentStatus, ListedExperiment
from airflow_guardrails.hooks._effects import run_effects_async
from airflow_guardrails.triggers._polling import poller as polling
from airflow_guardrails.triggers._polling.alarms import AlarmReader
from airflow_guardrails.triggers._polling.poller import Poller
from airflow_guardrails.triggers._polling.resource import EXPERIMENTS
from airflow_guardrails.triggers._polling.subscription import ExperimentSubscription
from tests.support.warped_loop import warped

HOUR, DAY = 3600.0, 86_400.0
TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
CREATED, RUNNING = ExperimentStatus.CREATED, ExperimentStatus.RUNNING
COMPLETED = ExperimentStatus.COMPLETED
DENIED = ClientError(
    {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListInferenceExperiments"
)


def now():
    return asyncio.get_running_loop().time()


def moment(seconds):
    return TEN + timedelta(seconds=seconds)


@dataclass
class Account:
    """
    The calls of a connection to an account with shadow tests; each is answered after a second.

    *lives* are the statuses of each test, with the seconds at which it enters them.
    """

    lives: dict[str, list[tuple[float, ExperimentStatus]]]
    list_lag: float = 0.0
    denied: bool = False
    counted: Counter[str] = field(default_factory=Counter)
    list_endpoints: Counter[ExperimentStatus] = field(default_factory=Counter)

    async def calls(self):
        return self

    async def describe_inference_experiment(self, name):
        self.counted["Describe"] += 1
        await asyncio.sleep(1)
        since, status = self._at(name, now())
        return Experiment(
            name=name,
            arn=f"arn:aws:sagemaker:us-east-1:123456789012:inference-experiment/{name}",
            status=status,
            seen_at=moment(now()),
            endpoint_name="churn",
            role_arn="",
            variants=(),
            production_name="live",
            shadow_name="candidate",
            sampling_percentage=100,
            last_modified_at=moment(since),
        )

    async def list_inference_experiments(self, status):
        then = now() - self.list_lag
        rows = {name: self._at(name, then) for name in self.lives}
        found = [
            ListedExperiment(name, is_, moment(since)) for name, (since, is_) in rows.items() if is_ is status
        ]
        for first in range(0, max(len(found), 1), 100):
            self.counted["List"] += 1
            self.list_endpoints[status] += 1
            await asyncio.sleep(1)
            if self.denied:
                raise DENIED
            yield found[first : first + 100]

    def _at(self, name, when):
        return max(entered for entered in self.lives[name] if entered[0] <= max(when, 0.0))


def running(number, *, until):
    """So many tests that run, and are over at *until* and a second later each."""
    return {f"trial-{each}": [(0.0, RUNNING), (until + each, COMPLETED)] for each in range(number)}


def play(account, *, every=60.0, gap=300.0, deadline=30 * DAY):
    """Let a wait for each test run to its end; the endings, and when each was seen."""

    async def wait(poller, name):
        poller.join(name)
        clock = asyncio.get_running_loop().time
        calls = ExperimentSubscription(account, poller, AlarmReader(account), every=every, gap=gap)
        following = WaitPolicy(every=every, monotonic=clock, began_at=TEN)
        steps = follow_test(ShadowTestState(name=name, deadline=moment(deadline)), following)
        ended = await run_effects_async(
            steps, calls, sleep=asyncio.sleep, log=heard, publish=heard, wait_for_change=calls.wait_for_change
        )
        poller.leave(name)
        return ended.outcome, now()

    async def heard(_):
        return None

    async def story():
        poller = Poller(account, EXPERIMENTS)
        ends = await asyncio.gather(*(wait(poller, name) for name in account.lives))
        await poller.close()
        return ends

    return warped(story())


def lateness(account, ends):
    assert {ending for ending, _ in ends} == {ShadowTestOutcome.REACHED}
    return max(seen - life[-1][0] for (_, seen), life in zip(ends, account.lives.values(), strict=True))


def test_hundreds_of_waits_for_hours_cost_a_list_each_interval_and_a_look_each_in_the_gap():
    account = Account(running(200, until=4 * HOUR))
    ends = play(account, gap=HOUR)

    assert lateness(account, ends) <= 60 + 4 + 30
    assert account.counted["List"] == pytest.approx(2 * 4 * HOUR / (polling.LIST_EARLY * 60), rel=0.1)
    assert account.counted["Describe"] == pytest.approx(200 * (4 + 2), rel=0.1)


def test_one_wait_is_looked_at_each_interval_and_reads_no_list():
    account = Account(running(1, until=HOUR))
    assert lateness(account, play(account)) <= 62
    assert account.counted == {"Describe": pytest.approx(HOUR / 61, abs=2)}


@pytest.mark.parametrize("number", [2, 30])
def test_a_test_that_is_over_leaves_the_lists_and_is_noticed_within_an_interval(number):
    account = Account(running(number, until=1000.0))
    assert lateness(account, play(account, gap=10 * HOUR)) <= 60 + 5


def test_what_a_list_has_missed_is_seen_within_the_gap():
    account = Account(running(20, until=1000.0), list_lag=HOUR)
    assert lateness(account, play(account)) <= 300 + 5


def test_tests_that_wait_for_their_start_are_in_a_list_of_their_own():
    lives = {f"trial-{each}": [(0.0, CREATED), (HOUR, RUNNING), (2 * HOUR, COMPLETED)] for each in range(10)}
    account = Account(lives)

    assert lateness(account, play(account, gap=10 * HOUR)) <= 60 + 5
    beats = HOUR / (polling.LIST_EARLY * 60)
    assert account.list_endpoints == {
        CREATED: pytest.approx(beats, rel=0.1),
        RUNNING: pytest.approx(beats, rel=0.1),
    }


def test_a_test_that_was_changed_is_looked_at_and_one_that_was_not_is_not():
    lives = running(10, until=2 * HOUR)
    lives["trial-3"].insert(1, (HOUR, RUNNING))
    account = Account(lives)
    play(account, gap=100 * HOUR)
    # The first and the last look at each, one some time in the gap, and that at the one that was changed.
    assert 20 < account.counted["Describe"] <= 31


def test_without_permission_to_list_it_is_said_once_what_to_allow(caplog):
    account = Account(running(10, until=HOUR), denied=True)
    with caplog.at_level(logging.WARNING, logger=polling.__name__):
        ends = play(account)

    assert lateness(account, ends) <= 65
    (record,) = caplog.records
    assert record.getMessage().startswith("No permission to list shadow tests: each wait makes its own calls")
    assert "Allow sagemaker:ListInferenceExperiments" in record.getMessage()


def test_a_deadline_passes_though_lists_show_nothing_new():
    account = Account(running(10, until=DAY))
    ends = play(account, gap=10 * DAY, deadline=HOUR)
    assert {ending for ending, _ in ends} == {ShadowTestOutcome.TIMED_OUT}
    assert max(seen for _, seen in ends) <= HOUR + 3
