"""
Every call that adding and removing a shadow makes, and a crash at it: one configuration, one update.

As in the crashes of a guarded update, whose machinery is used here, the calls are recorded from a clean run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.domain.abort_switch import AbortSwitch
from airflow_guardrails.exceptions import GuardrailsError, RolloutError
from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)
from tests.rollouts import test_crashes as guarded_update
from tests.rollouts.test_crashes import Account, Crash, Died, End, Moment, TaskState, crashes

account = guarded_update.account

pytestmark = pytest.mark.proof

# Each call is crashed at, and retried after. A new one belongs here once it is clear that a crash there is
# harmless; if it changes anything, what a retry makes of it half done.
LOOK = ("DescribeEndpointConfig", "DescribeEndpoint", "DescribeEndpointConfig", "ListInferenceExperiments")
PREFLIGHT = ("DescribeEndpointConfig", "DescribeAlarms", "DescribeModel")
MAKE = ("CreateEndpointConfig", "DescribeEndpointConfig")
READY_SWITCH = ("DescribeAlarms", "PutMetricAlarm", "PutMetricData", *["DescribeAlarms"] * 3)
ASK = ("DescribeEndpoint", "UpdateEndpoint")
MARK_LAUNCHED = "AddTags"
LAUNCH = ("ListTags", *PREFLIGHT, *MAKE, "ListTags", "AddTags", *READY_SWITCH, *ASK, MARK_LAUNCHED)
STAGE = ("DescribeEndpoint", "DescribeAlarms")
WAIT = (*STAGE, "DescribeEndpoint", *STAGE, "DescribeEndpoint", "DescribeEndpoint")
RESET_SWITCH = "PutMetricData"
DELETE = ("DescribeEndpointConfig", "ListTags", "DeleteEndpointConfig")
CALLS = {
    "add": (*LOOK, "DescribeModel", "DescribeModel", *LAUNCH, *WAIT, RESET_SWITCH),
    "remove": (*LOOK, *LAUNCH, *WAIT, RESET_SWITCH, *DELETE),
}


@dataclass
class Case:
    """One endpoint with all that belongs to it, and the task that is to change it."""

    account: Account
    task: str
    endpoint: str
    alarm: str
    old: str
    context: dict[str, Any]
    launches: int = 0
    tags: list[dict[str, str]] = field(default_factory=list)

    def run(self, *, crash: Crash | None = None, deferrable: bool = False) -> End | None:
        """Run a try with a fresh operator; None if it died."""
        operator = self._operator(alarms=[self.alarm], deferrable=deferrable, waiter_delay=240)
        operator.sleep, operator.now = self._sleep, self.account.time
        wire = self.account.wire
        wire.begin(crash)
        before = len(wire.accepted)
        try:
            end = _end_of(operator, self.context)
            wire.go_on()
        except Died:
            return None
        finally:
            self.launches += len(wire.accepted) - before
        return end

    def _operator(self, **arguments: Any) -> Any:
        arguments |= {"task_id": self.task, "endpoint_name": self.endpoint}
        if self.task == "add":
            return SageMakerAddShadowVariantOperator(shadow_model_name="candidate", **arguments)
        return SageMakerRemoveShadowVariantOperator(delete_config=not arguments["deferrable"], **arguments)

    def _sleep(self, seconds: float) -> None:
        self.account.wire.go_on()
        self.account.advance(seconds=seconds)

    # The truth, asked by somebody else.

    def describe(self) -> dict[str, Any]:
        return self.account.world.sagemaker.describe_endpoint({"EndpointName": self.endpoint})

    @property
    def in_flight(self) -> bool:
        return self.describe()["EndpointStatus"] != "InService"

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

    def set_alarm(self, state: str) -> None:
        self.account.world.alarms.set_state(self.alarm, state=state, reason="Set by the test")

    @property
    def switch(self) -> AbortSwitch:
        return AbortSwitch(endpoint_name=self.endpoint)


def _end_of(operator: Any, context: dict[str, Any]) -> End:
    try:
        report = operator.execute(context)
    except TaskDeferred:
        return End("deferred")
    except RolloutError as error:
        report = error.report
    except GuardrailsError as error:
        return End(type(error).__name__)
    return End(report["outcome"], report["adopted"])


VARIANT = {"ModelName": "churn", "InstanceType": "ml.m5.large", "InitialInstanceCount": 4}
TAGGED = [{"Key": "airflow-guardrails:derived-from", "Value": "churn-v0"}]


def begin(account: Account, task: str) -> Case:
    number = next(account.numbers)
    case = Case(
        account=account,
        task=task,
        endpoint=f"churn-{number}",
        alarm=f"errors-{number}",
        old=f"churn-{number}-v1",
        context={"ti": guarded_update._task_instance()},
    )
    shadow = {"ShadowProductionVariants": [{**VARIANT, "VariantName": "shadow"}]} if task == "remove" else {}
    sagemaker = account.world.sagemaker
    sagemaker.catalogue.create_endpoint_config(
        {
            "EndpointConfigName": case.old,
            "ProductionVariants": [{**VARIANT, "VariantName": "All"}],
            "Tags": TAGGED,
            **shadow,
        }
    )
    sagemaker.create_endpoint({"EndpointName": case.endpoint, "EndpointConfigName": case.old})
    account._alarm(case.alarm)
    # Alarms are judged every 10 s: begun on a full minute, every case makes the same calls.
    account.advance(minutes=10)
    account.advance(seconds=60.4 - account.time() % 60)
    return case


@pytest.fixture(scope="module", autouse=True)
def candidate(account):
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:2"
    role = "arn:aws:iam::123456789012:role/sagemaker"
    request = {"ModelName": "candidate", "PrimaryContainer": {"Image": image}, "ExecutionRoleArn": role}
    account.world.sagemaker.catalogue.create_model(request)


@pytest.fixture
def case(account):
    """Make a case anew, and forget the one before."""
    cases: list[Case] = []

    def make(task: str) -> Case:
        while cases:
            account.forget(cases.pop())
        cases.append(begin(account, task))
        return cases[-1]

    yield make
    account.running.client.clear_faults()
    account.forget(cases.pop())


@pytest.fixture(scope="module")
def clean(account):
    """What each task calls when nothing crashes in it."""
    recorded = {}
    for task in CALLS:
        case = begin(account, task)
        assert case.run() == End("Succeeded")
        recorded[task] = tuple(account.wire.calls)
        account.forget(case)
    return recorded


# What happens between the crash and the retry; the alarm is OK again by then, as a retry would not get by it.


def time_passes(case: Case) -> None:
    case.account.advance(minutes=60)


def is_in_flight(case: Case) -> None:
    case.account.advance(seconds=30)


def is_rolled_back(case: Case) -> None:
    case.account.advance(minutes=4)
    case.set_alarm("ALARM")
    case.account.advance(minutes=30)
    case.set_alarm("OK")
    case.account.advance(minutes=1)


def is_scaled(case: Case) -> None:
    wish = {"VariantName": "All", "DesiredInstanceCount": 3}
    case.account.world.sagemaker.update_endpoint_weights_and_capacities(
        {"EndpointName": case.endpoint, "DesiredWeightsAndCapacities": [wish]}
    )
    case.account.advance(minutes=60)


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
    assert case.describe()["EndpointConfigName"] == (made if end.what == "Succeeded" else case.old), crash
    assert not case.in_flight, crash
    assert case.has_shadow is (case.task == "add" if end.what == "Succeeded" else case.task == "remove")
    case.account.advance(minutes=1)
    assert case.account.world.alarms.state(case.switch.alarm_name) != "ALARM", crash
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
        reads = calls[crash.at].startswith(("Describe", "List"))
        if not reads or crash.moment is Moment.UNSENT:
            yield crash


def from_the_launch_on(calls: tuple[str, ...]) -> Iterator[Crash]:
    return crashes(calls[: calls.index("UpdateEndpoint") + 3], beginning=calls.index("UpdateEndpoint"))


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_and_a_retry_while_the_update_runs(case, clean, task):
    for crash in from_the_launch_on(clean[task]):
        retry_after(case(task), is_in_flight, crash)


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_and_an_update_that_is_rolled_back(case, clean, task):
    for crash in from_the_launch_on(clean[task]):
        retry_after(case(task), is_rolled_back, crash, launched_ends=UNDONE, deferrable=True)


def test_a_crash_around_the_creation_and_production_that_scales_meanwhile(case, clean):
    calls = clean["add"]
    at = calls.index("CreateEndpointConfig")

    for crash in crashes(calls[: at + 2], beginning=at):
        scaled = case("add")
        retry_after(scaled, is_scaled, crash)
        assert scaled.describe()["ProductionVariants"][0]["DesiredInstanceCount"] == 3


def test_a_crash_of_a_task_that_may_not_tag(case, clean, account):
    guarded_update.may_not_tag(account)
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
