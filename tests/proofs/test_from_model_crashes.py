"""
Every call of a deployment, from a model, a package or a config, and of a first endpoint, and a crash at it.

There is one of everything then, and the clean-up finds what the crash has left.

As in the crashes of a guarded update, the calls are recorded from a clean run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from airflow_guardrails.domain.versions.history import History
from airflow_guardrails.guards import ErrorRate, Latency
from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator
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
from tests.support.simulated import new_client

pytestmark = pytest.mark.proof

FULL = bool(os.environ.get("FULL_MATRIX"))

STRATEGY = AllAtOnce(termination_wait=timedelta(minutes=5))
GUARDS = (ErrorRate(above=0.01), Latency(above=timedelta(milliseconds=250)))
OTHERS_MODEL = {
    "ModelName": "candidate",
    "PrimaryContainer": {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:2"},
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/sagemaker",
}

LOOK = ("DescribeEndpointConfig", "DescribeEndpoint")
MAKE_SWITCH = ("PutMetricAlarm", "PutMetricData")
BASE = ("DescribeEndpointConfig", "ListInferenceExperiments")
PLAN = (*BASE, "DescribeModel", "ListTags")
# The role of the model in service, and whether the model is there.
PACKAGE = ("DescribeModelPackage", "DescribeModel", "DescribeModel")
PREFLIGHT = ("DescribeEndpointConfig", "DescribeAlarms", "DescribeModel", "DescribeModel")
READ_HISTORY = ("ListTags",)
MAKE_GUARDS = ("PutMetricAlarm",) * 2
MAKE = ("CreateEndpointConfig", "DescribeEndpointConfig")
MAKE_MODEL = ("CreateModel", *MAKE)
MARK = "AddTags"
SEE_SWITCH_OK = ("DescribeAlarms",) * 3
ASK = ("DescribeEndpoint", "UpdateEndpoint")
STAGE = ("DescribeEndpoint", "DescribeAlarms")
CLEAN_UP = ("PutMetricData", "DescribeAlarms", "DescribeAlarms", "DeleteAlarms")
WAIT = ("DescribeEndpoint", *STAGE, "DescribeEndpoint", "DescribeAlarms", "DescribeEndpoint")
# The outcome is written to the configuration, to its model, and last to the endpoint.
LOOK_AT_TAGS = ("DescribeEndpoint", "ListTags", "DescribeEndpointConfig", "ListTags")
RECORD = (*LOOK_AT_TAGS, "AddTags", "DescribeModel", "AddTags", "AddTags")
UPDATE = ("ListTags", MARK, *SEE_SWITCH_OK, *ASK, MARK, *STAGE, MARK, *WAIT, *CLEAN_UP, *RECORD)
CREATE = ("ListTags", MARK, "CreateEndpoint", MARK, "DescribeEndpoint", MARK)
WAIT_FOR_CREATION = ("DescribeEndpoint",) * 2
END_CREATION = (*CREATE, *WAIT_FOR_CREATION, *RECORD)
# The version of a model of a package is that of the package's containers.
READ_PACKAGE = "DescribeModelPackage"
WRITE_BACK = ("DescribeModelPackage", "UpdateModelPackage")
STARTS = {"CreateEndpoint", "UpdateEndpoint"}
CALLS = {
    "model": (*LOOK, *PLAN, *MAKE_SWITCH, *PREFLIGHT, *READ_HISTORY, "DescribeModel", *MAKE, *UPDATE),
    "config": (*LOOK, "DescribeModel", *MAKE_SWITCH, *PREFLIGHT, *READ_HISTORY, *MAKE_MODEL, *UPDATE),
    "package": (
        *(*LOOK, *BASE, *PACKAGE, "ListTags", *MAKE_SWITCH),
        *(*PREFLIGHT, *READ_HISTORY, READ_PACKAGE, *MAKE_GUARDS, *MAKE_MODEL, *UPDATE, *WRITE_BACK),
    ),
    # The existence of the model is checked, and its version is read for the record.
    "first": (*LOOK, "DescribeModel", "DescribeModel", *MAKE, *END_CREATION),
    "first package": (
        *(*LOOK, "DescribeModelPackage", "DescribeModel", READ_PACKAGE),
        *(*MAKE_MODEL, *END_CREATION, *WRITE_BACK),
    ),
}


@dataclass(kw_only=True)
class Case(UpdateCase):
    """An endpoint that gets a model, or that does not exist yet."""

    task: str
    package: str
    may_tag: bool = True

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
        if "package" in self.task:
            # The same task creates the endpoint, or updates it.
            return SageMakerGuardedUpdateOperator(
                endpoint_name=endpoint_name,
                model_package_arn=self.package,
                instance_type="ml.m5.large",
                role_arn=OTHERS_MODEL["ExecutionRoleArn"] if self.is_first else None,
                if_missing="create",
                guards=GUARDS,
                **arguments,
            )
        first = {"instance_type": "ml.m5.large", "if_missing": "create"} if self.task == "first" else {}
        return SageMakerGuardedUpdateOperator(
            endpoint_name=endpoint_name, model_name="candidate", **first, **arguments
        )

    @property
    def is_first(self) -> bool:
        return self.task.startswith("first")

    @property
    def creates_model(self) -> bool:
        return self.task == "config" or "package" in self.task

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
        request = {"NameContains": f"{self.endpoint}-", "MaxResults": 100}
        rows = self.account.world.sagemaker.catalogue.list_models(request)["Models"]
        return [row["ModelName"] for row in rows]

    def begin(self, **config: Any) -> None:
        if not self.is_first:
            super().begin(**config)
            return
        self.account.world.alarms.put_metric_alarm(alarm_request(self.alarm))
        self.set_alarm("OK")
        self.account.align()

    def forget(self) -> None:
        if self.exists:
            self.account.world.sagemaker.vanish(self.endpoint)
        self.account.world.alarms.delete([self.alarm, *self.switches, *self.guards])
        catalogue = self.account.world.sagemaker.catalogue
        for name in self.made:
            catalogue.delete_endpoint_config({"EndpointConfigName": name})
        for name in self.models:
            catalogue.delete_model({"ModelName": name})

    def clean_up(self) -> None:
        """Let the operator delete all that nothing needs."""
        operator = SageMakerCleanUpOperator(task_id="clean", endpoint_name=self.endpoint, keep=1)
        operator.sleep = lambda seconds: self.account.advance(seconds=seconds)
        self.account.wire.begin(None)
        operator.execute(new_context("clean"))

    @property
    def alarms_in_use(self) -> set[str]:
        """Names of the alarms that the last deployment of the endpoint names."""
        last = self.describe().get("LastDeploymentConfig", {})
        found = last.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        return {alarm["AlarmName"] for alarm in found}


def begin(account: Account, task: str, package: str) -> Case:
    name = f"churn-{next(account.numbers)}"
    case = Case(
        account=account,
        task=task,
        package=package,
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


@pytest.fixture(scope="module")
def package(account):
    """An approved version of the model registry."""
    registry = new_client(account.running.url, "sagemaker")
    registry.create_model_package_group(ModelPackageGroupName="churn")
    response = registry.create_model_package(
        ModelPackageGroupName="churn",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": OTHERS_MODEL["PrimaryContainer"]["Image"]}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    return response["ModelPackageArn"]


@pytest.fixture
def case(account, package):
    """Make a case anew, and forget the one before."""
    make = OneAtATime(lambda task: begin(account, task, package))
    yield make
    account.running.client.clear_faults()
    make.forget()


@pytest.fixture(scope="module")
def clean(account, package):
    """What each task calls when nothing crashes in it."""
    recorded = {}
    for task in CALLS:
        case = begin(account, task, package)
        assert case.run() == End("Succeeded")
        recorded[task] = tuple(account.wire.calls)
        case.forget()
    return recorded


def retry_after(case: Case, happens: Any, crash: Crash, **first: Any) -> None:
    """Crash, let something happen, retry; then there is one of everything, and it serves."""
    assert case.run(crash=crash, **first) is None, f"the first try did not die at {crash}"
    began = case.launches > 0 or (case.is_first and case.exists)
    happens(case)

    end = case.run()

    assert end == End("Succeeded", adopted="own" if began else None), crash
    assert case.launches == (0 if case.is_first else 1), crash
    (made,) = case.made
    assert (case.serves, case.in_flight) == (made, False), crash
    assert len(case.models) == (1 if case.creates_model else 0), crash
    assert case.report["guarded"] is not case.is_first, crash
    guards = [alarm["name"] for alarm in case.report["alarms"] if alarm["kind"] == "guard"]
    assert len(guards) == (len(GUARDS) if case.task == "package" else 0), crash
    assert set(guards) <= set(case.guards), crash
    assert bool(case.switches) is not case.is_first, crash
    if case.may_tag:
        what_is_recorded_and_what_is_left(case, made, crash)


def what_is_recorded_and_what_is_left(case: Case, made: str, crash: Crash) -> None:
    """The outcome is recorded; two hours later, the clean-up finds all that the crash has left."""
    record = History.of_tags(case.account.tags(case.endpoint, kind="endpoint")).find(made)
    assert record is not None, crash
    assert record.version is not None, crash
    if "package" not in case.task:
        return  # the same, and these create all that there is
    before = case.models
    case.account.advance(minutes=120)
    case.clean_up()
    assert (case.made, case.models) == ([made], before), crash
    assert {*case.switches, *case.guards} == case.alarms_in_use - {case.alarm}, crash


def crashes_that_differ(calls: tuple[str, ...]) -> Any:
    """
    A call that only reads leaves the same behind whenever the process dies at it.

    Before the launch, that is what the call before it has left, right after its answer.
    """
    launch = next((at for at, call in enumerate(calls) if call in STARTS), len(calls))
    for crash in crashes(calls):
        is_first = crash.moment is Moment.UNSENT and not 0 < crash.at < launch
        if not is_reading(calls[crash.at]) or is_first:
            yield crash


@pytest.mark.parametrize("task", list(CALLS))
def test_every_call_has_been_thought_about(clean, task):
    assert clean[task] == CALLS[task]


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_at_any_call(case, clean, task):
    for crash in crashes_that_differ(clean[task]):
        # The longest tasks lose each response, which says the least; make soak adds the other moments.
        if "package" not in task or crash.moment is Moment.UNANSWERED or FULL:
            retry_after(case(task), time_passes, crash)


@pytest.mark.parametrize("task", list(CALLS))
def test_a_crash_and_a_retry_while_it_runs(case, clean, task):
    at = next(at for at, call in enumerate(clean[task]) if call in STARTS)
    for crash in crashes(clean[task][: at + 3], beginning=at):
        retry_after(case(task), is_in_flight, crash)


def test_a_crash_of_a_first_deployment_that_may_not_tag(case, clean, account):
    may_not_tag(account)
    calls = tuple(call for call in clean["first"] if call != "AddTags")
    for crash in crashes_that_differ(calls[: calls.index("CreateEndpoint") + 1]):
        untagged = case("first")
        untagged.may_tag = False
        untagged.context["task_state_store"] = TaskState()
        retry_after(untagged, time_passes, crash)
