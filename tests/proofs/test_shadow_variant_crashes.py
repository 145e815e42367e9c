"""
Every call that adding and removing a shadow makes, and a crash at it: one configuration, one update.

As in the crashes of a guarded update, the calls are recorded from a clean run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)
from tests.support.crashing import Account, Crash, Moment, is_reading, new_context
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
    time_passes,
    updating_account,
)
from tests.support.fakes import TaskState

pytestmark = pytest.mark.proof

TAGGED = [{"Key": "airflow-guardrails:derived-from", "Value": "churn-v0"}]

# Each call is crashed at, and retried after. A new one belongs here once it is clear that a crash there is
# harmless; if it changes anything, what a retry makes of it half done.
LOOK = ("DescribeEndpointConfig", "DescribeEndpoint")
MAKE_SWITCH = ("PutMetricAlarm", "PutMetricData")
PLAN = ("DescribeEndpointConfig", "ListInferenceExperiments", "DescribeModel", "DescribeModel", "ListTags")
# That what serves has a shadow at all is known already.
PLAN_REMOVAL = ("ListInferenceExperiments", "ListTags")
PREFLIGHT = ("DescribeEndpointConfig", "DescribeAlarms", "DescribeModel")
CHECK_VERSION = ("ListTags", "DescribeModel")
MAKE = ("CreateEndpointConfig", "DescribeEndpointConfig")
MARK = "AddTags"
SEE_SWITCH_OK = ("DescribeAlarms",) * 3
ASK = ("DescribeEndpoint", "UpdateEndpoint")
STAGE = ("DescribeEndpoint", "DescribeAlarms")
LAUNCH = (*PREFLIGHT, *CHECK_VERSION, *MAKE, "ListTags", MARK, *SEE_SWITCH_OK, *ASK, MARK, *STAGE, MARK)
# The report of an update in flight is published once a minute, with the states of its alarms.
PUBLISHED = ("DescribeEndpoint", "DescribeAlarms")
WAIT = ("DescribeEndpoint", *STAGE, *PUBLISHED, "DescribeEndpoint")
RESET_SWITCH = "PutMetricData"
CLEAN_UP = (RESET_SWITCH, "DescribeAlarms", "DescribeAlarms", "DeleteAlarms")
RECORD = (
    *("DescribeEndpoint", "ListTags", "DescribeEndpointConfig", "ListTags"),
    *("AddTags", "DescribeModel", "AddTags", "AddTags"),
)
DELETE = ("DescribeEndpointConfig", "ListTags", "DeleteEndpointConfig")
CALLS = {
    "add": (*LOOK, *PLAN, *MAKE_SWITCH, *LAUNCH, *WAIT, *CLEAN_UP, *RECORD),
    "remove": (
        *LOOK,
        "DescribeEndpointConfig",
        *PLAN_REMOVAL,
        *MAKE_SWITCH,
        *LAUNCH,
        *WAIT,
        *CLEAN_UP,
        *RECORD,
        *DELETE,
    ),
}


@dataclass(kw_only=True)
class Case(UpdateCase):
    """A shadow that is added to an endpoint, or removed."""

    task: str

    def operator(self, *, deferrable: bool, **arguments: Any) -> Any:
        arguments |= {"task_id": self.task, "deferrable": deferrable}
        if self.task == "add":
            return SageMakerAddShadowVariantOperator(shadow_model_name="candidate", **arguments)
        return SageMakerRemoveShadowVariantOperator(delete_config=not deferrable, **arguments)

    @property
    def target(self) -> str | None:
        return next(iter(self.made), None)

    @property
    def has_shadow(self) -> bool:
        return "ShadowProductionVariants" in self.describe()

    @property
    def configs(self) -> list[str]:
        request = {"NameContains": f"{self.endpoint}-", "MaxResults": 100}
        rows = self.account.world.sagemaker.catalogue.list_endpoint_configs(request)["EndpointConfigs"]
        return [row["EndpointConfigName"] for row in rows]

    @property
    def made(self) -> list[str]:
        return [name for name in self.configs if name != self.old]


def begin(account: Account, task: str) -> Case:
    name = f"churn-{next(account.numbers)}"
    case = Case(
        account=account,
        task=task,
        endpoint=name,
        old=f"{name}-v1",
        alarm=f"{name}-errors",
        context=new_context("update"),
    )
    shadow = {"ShadowProductionVariants": [{**VARIANT, "VariantName": "shadow"}]} if task == "remove" else {}
    case.begin(ProductionVariants=[VARIANT], Tags=TAGGED, **shadow)
    return case


@pytest.fixture(scope="module")
def account(shared_models):
    with updating_account() as account:
        account.model("candidate")
        yield account


@pytest.fixture
def case(account):
    """Make a case anew, and forget the one before."""
    make = OneAtATime(lambda task: begin(account, task))
    yield make
    account.running.client.clear_faults()
    make.forget()


@pytest.fixture(scope="module")
def clean(account):
    """What each task calls when nothing crashes in it."""
    recorded = {}
    for task in CALLS:
        case = begin(account, task)
        assert case.run() == End("Succeeded")
        recorded[task] = tuple(account.wire.calls)
        case.forget()
    return recorded


WENT_WELL = End("Succeeded", adopted="own")
UNDONE = End("RolledBack", adopted="own")
LAUNCHED_ANEW = End("Succeeded")


def retry_after(
    case: Case, happens: Callable[[Case], None], crash: Crash, *, launched_ends: End = WENT_WELL, **first: Any
) -> None:
    """Crash, let something happen, retry; then what must be so is so."""
    assert case.run(crash=crash, **first) is None, f"the first try did not die at {crash}"
    launched = case.launches > 0
    happens(case)

    end = case.run()

    assert end == (launched_ends if launched else LAUNCHED_ANEW), crash
    assert case.launches == 1, crash
    (made,) = case.made
    assert case.serves == (made if end.what == "Succeeded" else case.old), crash
    assert not case.in_flight, crash
    assert case.has_shadow is (case.task == "add" if end.what == "Succeeded" else case.task == "remove")
    case.account.advance(minutes=1)
    assert not case.is_thrown, crash
    if case.task == "remove":
        assert (case.old in case.configs) is (end.what != "Succeeded"), crash


@pytest.mark.parametrize("task", list(CALLS))
def test_every_call_has_been_thought_about(clean, task):
    assert clean[task] == CALLS[task]


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_at_any_call(case, clean, task):
    for crash in crashes_that_differ(clean[task]):
        retry_after(case(task), time_passes, crash)


def crashes_that_differ(calls: tuple[str, ...], *, beginning: int = 0) -> Iterator[Crash]:
    """A call that only reads leaves the same behind whenever the process dies at it."""
    for crash in crashes(calls, beginning=beginning):
        if not is_reading(calls[crash.at]) or crash.moment is Moment.UNSENT:
            yield crash


def from_the_launch_on(calls: tuple[str, ...]) -> Iterator[Crash]:
    return crashes(calls[: calls.index("UpdateEndpoint") + 3], beginning=calls.index("UpdateEndpoint"))


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_and_a_retry_while_the_update_runs(case, clean, task):
    for crash in from_the_launch_on(clean[task]):
        retry_after(case(task), is_in_flight, crash)


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_and_an_update_that_is_rolled_back(case, clean, task):
    undone = partial(is_rolled_back, after=4)
    for crash in from_the_launch_on(clean[task]):
        retry_after(case(task), undone, crash, launched_ends=UNDONE, deferrable=True)


def test_a_crash_around_the_creation_and_production_that_scales_meanwhile(case, clean):
    calls = clean["add"]
    at = calls.index("CreateEndpointConfig")

    for crash in crashes(calls[: at + 2], beginning=at):
        scaled = case("add")
        retry_after(scaled, is_scaled, crash)
        assert scaled.describe()["ProductionVariants"][0]["DesiredInstanceCount"] == 3


def test_a_crash_of_a_task_that_may_not_tag(case, clean, account):
    may_not_tag(account)
    calls = tuple(call for call in clean["add"] if call != "AddTags")

    made, asked = calls.index("CreateEndpointConfig"), calls.index("UpdateEndpoint")
    for crash in crashes_that_differ(calls[: asked + 1], beginning=made):
        untagged = case("add")
        untagged.context["task_state_store"] = TaskState()
        retry_after(untagged, time_passes, crash)


def test_a_crash_of_the_retry_too(case, clean):
    asked = Crash(clean["add"].index("UpdateEndpoint"), Moment.UNANSWERED)
    first = case("add")
    first.run(crash=asked)
    time_passes(first)
    assert first.run() == WENT_WELL

    for crash in crashes_that_differ(tuple(first.account.wire.calls)):
        again = case("add")
        again.run(crash=asked)
        time_passes(again)
        assert again.run(crash=crash) is None
        assert again.run() == WENT_WELL, crash
        assert (again.launches, len(again.made)) == (1, 1), crash
