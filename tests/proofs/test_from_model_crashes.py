"""
Every call of a deployment from a model, and of a first endpoint, and a crash at it: one of everything.

As in the crashes of a guarded update, the calls are recorded from a clean run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce
from tests.support.churn import alarm_request
from tests.support.crashing import Account, Crash, Moment, is_reading, new_context
from tests.support.crashing_updates import (
    VARIANT,
    End,
    OneAtATime,
    UpdateCase,
    crashes,
    is_in_flight,
    may_not_tag,
    time_passes,
    updating_account,
)
from tests.support.fakes import TaskState

pytestmark = pytest.mark.proof

STRATEGY = AllAtOnce(termination_wait=timedelta(minutes=5))
OTHERS_MODEL = {
    "ModelName": "candidate",
    "PrimaryContainer": {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:2"},
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/sagemaker",
}

LOOK = ("DescribeEndpointConfig", "DescribeEndpoint")
MAKE_SWITCH = ("PutMetricAlarm", "PutMetricData")
PLAN = ("DescribeEndpointConfig", "ListInferenceExperiments", "DescribeModel", "ListTags")
PREFLIGHT = ("DescribeEndpointConfig", "DescribeAlarms", "DescribeModel", "DescribeModel")
MAKE = ("CreateEndpointConfig", "DescribeEndpointConfig")
MAKE_MODEL = ("CreateModel", *MAKE)
MARK = "AddTags"
SEE_SWITCH_OK = ("DescribeAlarms",) * 3
ASK = ("DescribeEndpoint", "UpdateEndpoint")
STAGE = ("DescribeEndpoint", "DescribeAlarms")
CLEAN_UP = ("PutMetricData", "DescribeAlarms", "DescribeAlarms", "DeleteAlarms")
WAIT = ("DescribeEndpoint", *STAGE, "DescribeEndpoint", "DescribeAlarms", "DescribeEndpoint")
UPDATE = ("ListTags", MARK, *SEE_SWITCH_OK, *ASK, MARK, *STAGE, MARK, *WAIT, *CLEAN_UP)
CREATE = ("ListTags", MARK, "CreateEndpoint", MARK, "DescribeEndpoint", MARK)
WAIT_FOR_CREATION = ("DescribeEndpoint",) * 2
CALLS = {
    "model": (*LOOK, *MAKE_SWITCH, *PLAN, *PREFLIGHT, *MAKE, *UPDATE),
    "config": (*LOOK, *MAKE_SWITCH, "DescribeModel", *PREFLIGHT, *MAKE_MODEL, *UPDATE),
    "first": (*LOOK, "DescribeModel", *MAKE, *CREATE, *WAIT_FOR_CREATION),
}


@dataclass(kw_only=True)
class Case(UpdateCase):
    """An endpoint that gets a model, or that does not exist yet."""

    task: str

    def operator(self, *, endpoint_name: str, **arguments: Any) -> Any:
        arguments |= {"task_id": "update", "strategy": STRATEGY}
        if self.task == "config":
            variant = {**VARIANT, "ModelName": self.model}
            config = {
                "Model": {**OTHERS_MODEL, "ModelName": self.model},
                "EndpointConfig": {
                    "EndpointConfigName": f"{self.endpoint}-new",
                    "ProductionVariants": [variant],
                },
                "Endpoint": {"EndpointName": self.endpoint, "EndpointConfigName": f"{self.endpoint}-new"},
            }
            return SageMakerGuardedUpdateOperator(config=config, **arguments)
        first = {"instance_type": "ml.m5.large", "if_missing": "create"} if self.task == "first" else {}
        return SageMakerGuardedUpdateOperator(
            endpoint_name=endpoint_name, model_name="candidate", **first, **arguments
        )

    @property
    def model(self) -> str:
        return f"{self.endpoint}-model"

    @property
    def exists(self) -> bool:
        return self.account.world.sagemaker.endpoint(self.endpoint) is not None

    @property
    def target(self) -> str | None:
        return next(iter(self.made), None)

    @property
    def made(self) -> list[str]:
        request = {"NameContains": f"{self.endpoint}-", "MaxResults": 100}
        rows = self.account.world.sagemaker.catalogue.list_endpoint_configs(request)["EndpointConfigs"]
        return [row["EndpointConfigName"] for row in rows if row["EndpointConfigName"] != self.old]

    @property
    def models(self) -> list[str]:
        request = {"NameContains": self.model, "MaxResults": 100}
        rows = self.account.world.sagemaker.catalogue.list_models(request)["Models"]
        return [row["ModelName"] for row in rows]

    def begin(self, **config: Any) -> None:
        if self.task != "first":
            super().begin(**config)
            return
        self.account.world.alarms.put_metric_alarm(alarm_request(self.alarm))
        self.set_alarm("OK")
        self.account.align()

    def forget(self) -> None:
        if self.exists:
            self.account.world.sagemaker.vanish(self.endpoint)
        self.account.world.alarms.delete([self.alarm, *self.switches])


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
    case.begin(ProductionVariants=[VARIANT])
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


def retry_after(case: Case, happens: Any, crash: Crash, **first: Any) -> None:
    """Crash, let something happen, retry; then there is one of everything, and it serves."""
    assert case.run(crash=crash, **first) is None, f"the first try did not die at {crash}"
    began = case.launches > 0 or (case.task == "first" and case.exists)
    happens(case)

    end = case.run()

    assert end == End("Succeeded", adopted="own" if began else None), crash
    assert case.launches == (0 if case.task == "first" else 1), crash
    (made,) = case.made
    assert (case.serves, case.in_flight) == (made, False), crash
    assert len(case.models) == (1 if case.task == "config" else 0), crash
    assert case.report["guarded"] is (case.task != "first"), crash
    assert bool(case.switches) is (case.task != "first"), crash


def crashes_that_differ(calls: tuple[str, ...]) -> Any:
    """A call that only reads leaves the same behind whenever the process dies at it."""
    for crash in crashes(calls):
        if not is_reading(calls[crash.at]) or crash.moment is Moment.UNSENT:
            yield crash


@pytest.mark.parametrize("task", list(CALLS))
def test_every_call_has_been_thought_about(clean, task):
    assert clean[task] == CALLS[task]


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_at_any_call(case, clean, task):
    for crash in crashes_that_differ(clean[task]):
        retry_after(case(task), time_passes, crash)


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_and_a_retry_while_it_runs(case, clean, task):
    start = "CreateEndpoint" if task == "first" else "UpdateEndpoint"
    at = clean[task].index(start)
    for crash in crashes(clean[task][: at + 3], beginning=at):
        retry_after(case(task), is_in_flight, crash)


def test_a_crash_of_a_first_deployment_that_may_not_tag(case, clean, account):
    may_not_tag(account)
    calls = tuple(call for call in clean["first"] if call != "AddTags")
    for crash in crashes_that_differ(calls[: calls.index("CreateEndpoint") + 1]):
        untagged = case("first")
        untagged.context["task_state_store"] = TaskState()
        retry_after(untagged, time_passes, crash)
