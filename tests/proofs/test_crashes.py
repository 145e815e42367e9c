"""
Every call that a guarded update makes, and a crash at it: a retry never asks twice, and tells what is so.

The calls are recorded from a clean run, so one that is added is crashed at as well; ``CALLS`` makes whoever
adds it think about where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from airflow_guardrails.aws.abort_switch import publish_request
from airflow_guardrails.aws.tags import INTENT_PREFIX, parse_intent
from airflow_guardrails.domain.rollout.launch import Intent
from airflow_guardrails.domain.snapshots.abort_switch import THROWN
from airflow_guardrails.exceptions import LaunchUnknown
from airflow_guardrails.guards import ErrorRate, Latency
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.simulator.cloudwatch.publishing import put_metric_data
from airflow_guardrails.strategies import Canary
from tests.support.crashing import Account, Crash, Moment, new_context
from tests.support.crashing_updates import (
    VARIANT,
    End,
    OneAtATime,
    UpdateCase,
    crashes,
    is_in_flight,
    is_rolled_back,
    is_scaled,
    may_not_tag,
    stored_intents,
    time_passes,
    updating_account,
)
from tests.support.fakes import TaskState

pytestmark = pytest.mark.proof

CANARY = Canary(percent=25, bake=timedelta(minutes=5))

# Each call is crashed at, and retried after. A new one belongs here once it is clear that a crash there is
# harmless; if it changes anything, what a retry makes of it half done.
LOOK_BACK = ("DescribeEndpointConfig", "ListTags", "DescribeEndpoint")
MAKE_SWITCH = ("PutMetricAlarm", "PutMetricData")
# The target is read once, at the beginning of LOOK_BACK; here only the configuration in service is.
PREFLIGHT = ("DescribeEndpointConfig", "DescribeAlarms", "DescribeModel")
# The history of the endpoint, and what the models of the target run.
CHECK_VERSION = ("ListTags", "DescribeModel")
MARK = "AddTags"
SEE_SWITCH_OK = ("DescribeAlarms",) * 3
ASK = ("DescribeEndpoint", "UpdateEndpoint")
LOOK, STAGE = "DescribeEndpoint", ("DescribeEndpoint", "DescribeAlarms")
# The report of an update in flight is published once a minute, with the states of its alarms.
PUBLISHED = ("DescribeEndpoint", "DescribeAlarms")
# The intent is marked when it is written, once the update is accepted, and once its StartTime is known.
# Two guards are made once preflight has accepted them, and they are waited for together with the switch.
MAKE_GUARDS = ("PutMetricAlarm",) * 2
CHECKED = (*LOOK_BACK, *MAKE_SWITCH, *PREFLIGHT, *CHECK_VERSION)
LAUNCH = (*CHECKED, MARK, *SEE_SWITCH_OK, *ASK, MARK, *STAGE, MARK)
GUARDED = (*CHECKED, *MAKE_GUARDS, MARK, *SEE_SWITCH_OK, *ASK, MARK, *STAGE, MARK)
UNTAGGED = (*CHECKED, *SEE_SWITCH_OK, *ASK, *STAGE)
FIND_CAUSE = ("DescribeAlarmHistory", "DescribeAlarmHistory", "DescribeAlarms")
RESET_SWITCH = "PutMetricData"
# Switches and guards of earlier rollouts are found by their prefixes; there is one of each in each case.
CLEAN_UP = (RESET_SWITCH, "DescribeAlarms", "DescribeAlarms", "DeleteAlarms")
# The outcome is written to the configuration, to its model, and last to the endpoint.
READ_HISTORY = ("DescribeEndpoint", "ListTags", "DescribeEndpointConfig", "ListTags")
RECORD = (*READ_HISTORY, "AddTags", "DescribeModel", "AddTags", "AddTags")
CALLS = {
    "deferred": LAUNCH,
    "blocking": (*LAUNCH, LOOK, *STAGE, *PUBLISHED, LOOK, *CLEAN_UP, *RECORD),
    "guarded": (*GUARDED, LOOK, *STAGE, *PUBLISHED, LOOK, *CLEAN_UP, *RECORD),
    "rolled back": (*LAUNCH, LOOK, *STAGE, *PUBLISHED, LOOK, *FIND_CAUSE, *CLEAN_UP, *RECORD),
    "may not tag": UNTAGGED,
    "retried after time passes": (*LOOK_BACK, RESET_SWITCH, *RECORD),
    "retried after is aborted": (*LOOK_BACK, LOOK, LOOK, *FIND_CAUSE, *CLEAN_UP, *RECORD),
    "retried after leaves no trace": (*LOOK_BACK, LOOK, LOOK, *FIND_CAUSE, *CLEAN_UP, *RECORD),
}


@dataclass(kw_only=True)
class Case(UpdateCase):
    """An update from one configuration to another."""

    new: str
    declared: tuple[Any, ...] = ()

    def operator(self, **arguments: Any) -> SageMakerGuardedUpdateOperator:
        return SageMakerGuardedUpdateOperator(
            task_id="update",
            endpoint_config_name=self.new,
            strategy=CANARY,
            guards=self.declared,
            **arguments,
        )

    @property
    def target(self) -> str:
        return self.new

    @property
    def intent(self) -> Intent | None:
        """What the task has written down, wherever it may; only its own intent may be there."""
        if "task_state_store" in self.context:
            kept = stored_intents(self.context["task_state_store"])
        else:
            tags = self.account.tags(self.new)
            kept = [parse_intent(text) for key, text in tags.items() if key.startswith(INTENT_PREFIX)]
        assert len(kept) <= 1
        return kept[0] if kept else None


def begin(account: Account) -> Case:
    name = f"churn-{next(account.numbers)}"
    case = Case(
        account=account,
        endpoint=name,
        old=f"{name}-v1",
        new=f"{name}-v2",
        alarm=f"{name}-errors",
        context=new_context("update"),
    )
    account.config(case.new, ProductionVariants=[VARIANT])
    case.begin(ProductionVariants=[VARIANT])
    return case


@pytest.fixture(scope="module")
def account(shared_models):
    with updating_account() as account:
        yield account


# What happens between the crash and the retry, besides what may happen to any update.


def is_aborted(case: Case) -> None:
    if case.in_flight:
        throw(case)
    case.account.advance(minutes=40)


def leaves_no_trace(case: Case) -> None:
    if case.in_flight:
        case.account.world.sagemaker.script_ending(
            case.endpoint, status="InService", endpoint_config_name=case.old, after_seconds=120
        )
    case.account.advance(minutes=60)


def is_scaled_if_at_rest(case: Case) -> None:
    (time_passes if case.in_flight else is_scaled)(case)


def time_passes_until_the_alarm_trips(case: Case) -> None:
    if case.event:
        case.account.advance(minutes=4)
        case.event[1]()
    case.account.advance(minutes=60)


def throw(case: Case) -> None:
    assert case.switch is not None
    account = case.account
    request = publish_request(case.switch, THROWN)
    put_metric_data(account.world.metrics, request, now=account.world.clock.now())


@dataclass(frozen=True)
class Story:
    """What happens, and how an update that ran meanwhile is reported; if there was none, it is launched."""

    happens: Callable[[Case], None]
    launched: End
    changed_by_others: bool = False
    needs_a_launch: bool = False

    def __str__(self) -> str:
        return self.happens.__name__.replace("_", " ")


WENT_WELL = End("Succeeded", adopted="own")
UNDONE = End("RolledBack", adopted="own")
UNKNOWN = End(LaunchUnknown.__name__)
LAUNCHED_ANEW = End("Succeeded")

GOES_WELL = Story(time_passes, WENT_WELL)
IS_ROLLED_BACK = Story(is_rolled_back, UNDONE)
IS_ABORTED = Story(is_aborted, UNDONE, needs_a_launch=True)
LEAVES_NO_TRACE = Story(leaves_no_trace, UNDONE, needs_a_launch=True)
STORIES = [
    GOES_WELL,
    IS_ROLLED_BACK,
    Story(is_in_flight, WENT_WELL),
    IS_ABORTED,
    LEAVES_NO_TRACE,
    Story(is_scaled_if_at_rest, WENT_WELL, changed_by_others=True),
]
RETRIED = [GOES_WELL, IS_ABORTED, LEAVES_NO_TRACE]


def retry_after(case: Case, story: Story, *crashed: Crash, **first: Any) -> End:
    """
    Crash, let the story happen, crash again if there is more, retry; then what must be so is so.
    """
    assert case.run(crash=crashed[0], **first) is None, f"the first try did not die at {crashed[0]}"
    launched, meant = case.launches > 0, case.intent is not None
    story.happens(case)
    for crash in crashed[1:]:
        assert case.run(crash=crash) is None, f"the second try did not die at {crash}"

    end = case.run()

    assert end == expected(story, launched=launched, meant=meant), crashed
    assert case.launches == (0 if end == UNKNOWN else 1), crashed
    assert case.serves == (case.new if end.what == "Succeeded" else case.old), crashed
    assert not case.in_flight, crashed
    assert case.intent is not None, crashed
    assert case.intent.previous == case.old, crashed
    case.account.advance(minutes=1)
    assert not case.is_thrown, crashed
    return end


def expected(story: Story, *, launched: bool, meant: bool) -> End:
    if launched:
        return story.launched
    return UNKNOWN if story.changed_by_others and meant else LAUNCHED_ANEW


@pytest.fixture
def case(account):
    """Make a case anew, and forget the one before."""
    make = OneAtATime(lambda: begin(account))
    yield make
    account.running.client.clear_faults()
    make.forget()


@pytest.fixture(scope="module")
def clean(account):
    """What each run calls when nothing crashes in it."""

    def calls_of(case: Case, **tries: Any) -> tuple[str, ...]:
        assert case.run(**tries) is not None
        case.forget()
        return tuple(account.wire.calls)

    recorded = {
        "deferred": calls_of(begin(account), deferrable=True),
        "blocking": calls_of(begin(account)),
        "guarded": calls_of(guarded(begin(account))),
        "rolled back": calls_of(trips_while_baking(begin(account))),
    }
    asked = Crash(recorded["deferred"].index("UpdateEndpoint"), Moment.UNANSWERED)
    for story in RETRIED:
        case = begin(account)
        case.run(crash=asked)
        story.happens(case)
        recorded[f"retried after {story}"] = calls_of(case)
    may_not_tag(account)
    recorded["may not tag"] = calls_of(with_task_state(begin(account)), deferrable=True)
    account.running.client.clear_faults()
    return recorded


def with_task_state(case: Case) -> Case:
    case.context["task_state_store"] = TaskState()
    return case


def guarded(case: Case) -> Case:
    case.declared = (ErrorRate(above=0.01), Latency(above=timedelta(milliseconds=250)))
    return case


def trips_while_baking(case: Case) -> Case:
    case.event = (250, lambda: case.set_alarm("ALARM"))
    return case


@pytest.mark.parametrize("run", list(CALLS))
def test_every_call_has_been_thought_about(clean, run):
    assert clean[run] == CALLS[run]


def test_nothing_is_recorded_that_is_not_listed(clean):
    assert set(clean) == set(CALLS)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_crash_before_the_task_defers(case, clean, story):
    calls = clean["deferred"]
    # Where nothing runs yet, there is nothing to abort or undo.
    beginning = calls.index("UpdateEndpoint") if story.needs_a_launch else 0
    points = list(crashes(calls, beginning=beginning))

    ends = {point: retry_after(case(), story, point, deferrable=True) for point in points}

    unknown = [point for point, end in ends.items() if end == UNKNOWN]
    assert unknown == unknowable(points, calls, story)


# Where nothing can be known: the endpoint has changed, and whether that was the update is unknown.
UNKNOWABLE = {
    # Meant, not asked for, and somebody else has changed the endpoint since.
    "is scaled if at rest": (("AddTags", Moment.UNANSWERED), ("UpdateEndpoint", Moment.UNSENT)),
}


def unknowable(points: list[Crash], calls: Sequence[str], story: Story) -> list[Crash]:
    if str(story) not in UNKNOWABLE:
        return []
    named = [(calls[point.at], point.moment) for point in points]
    first, last = UNKNOWABLE[str(story)]
    return points[named.index(first) : named.index(last) + 1]


def test_a_crash_while_the_task_waits(case, clean):
    calls = clean["blocking"]
    assert calls[: len(clean["deferred"])] == clean["deferred"], "those have been crashed at"

    for crash in crashes(calls, beginning=len(clean["deferred"])):
        retry_after(case(), GOES_WELL, crash)


def test_a_crash_of_a_task_with_guards_leaves_one_set_of_them(case, clean):
    for crash in crashes(clean["guarded"]):
        run = guarded(case())

        retry_after(run, GOES_WELL, crash)

        reported = [alarm["name"] for alarm in run.report["alarms"] if alarm["kind"] == "guard"]
        assert len(reported) == len(run.declared), crash
        # What an earlier rollout has left stays for the next one, if nobody knows when this one began.
        assert set(run.guards) - {run.old_guard} == set(reported), crash
        assert (run.old_guard in run.guards) == (run.leftover in run.switches), crash


def test_a_crash_while_the_task_waits_for_an_update_that_is_rolled_back(case, clean):
    for crash in crashes(clean["rolled back"], beginning=len(clean["deferred"])):
        retry_after(trips_while_baking(case()), Story(time_passes_until_the_alarm_trips, UNDONE), crash)


@pytest.mark.parametrize("story", RETRIED, ids=str)
def test_a_crash_of_the_retry_too(case, clean, story):
    asked = Crash(clean["deferred"].index("UpdateEndpoint"), Moment.UNANSWERED)

    for crash in crashes(clean[f"retried after {story}"]):
        retry_after(case(), story, asked, crash)


def test_a_crash_of_a_task_that_may_not_tag(case, clean, account):
    calls = clean["may not tag"]
    may_not_tag(account)

    for crash in crashes(calls, beginning=calls.index("DescribeModel")):
        retry_after(with_task_state(case()), IS_ROLLED_BACK, crash, deferrable=True)
