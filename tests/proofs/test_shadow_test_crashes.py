"""
Every call that making and stopping a shadow test takes, and a crash at it: a retry finds one test, and leaves
none running.

The calls are recorded from a clean run, so one that is added is crashed at as well; ``CALLS`` makes whoever
adds it think about where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from tests.support.crashing import Account, Crash, Died, Moment, crashable_simulator, new_context

pytestmark = pytest.mark.proof

ROLE = "arn:aws:iam::123456789012:role/experiments"

LOOK, ENDPOINT = "DescribeInferenceExperiment", "DescribeEndpoint"
CREATE = (
    LOOK,
    ENDPOINT,
    "DescribeEndpointConfig",
    "DescribeModel",
    "DescribeModel",
    "CreateInferenceExperiment",
)
STOP = (LOOK, "StopInferenceExperiment")
# At each a crash, and a retry after it. A new call belongs here once it is clear what a retry makes of it.
CALLS = {
    "create": (*CREATE, LOOK),
    "create and wait": (*CREATE, *[LOOK] * 3),
    "stop": (*STOP, *[LOOK] * 2, ENDPOINT, LOOK),
}

AT_EACH = [
    Crash(at, moment) for flow in ("create and wait",) for at in range(len(CALLS[flow])) for moment in Moment
]
AT_EACH_STOP = [Crash(at, moment) for at in range(len(CALLS["stop"])) for moment in Moment]


def named(crash: Crash) -> str:
    return f"{crash.at} {crash.moment.value}"


@dataclass
class Case:
    """One endpoint, and the tasks that try a model on it and stop that again."""

    account: Account
    endpoint: str
    context: dict[str, Any]
    adopted: list[bool] = field(default_factory=list)

    def create(self, *, wait_until: str | None = None, crash: Crash | None = None) -> dict[str, Any] | None:
        """Run a try; None if it died."""
        operator = SageMakerCreateShadowTestOperator(
            task_id="shadow",
            name=self.endpoint,
            endpoint_name=self.endpoint,
            role_arn=ROLE,
            shadow_model_name="candidate",
            duration=timedelta(hours=2),
            wait_until=wait_until,
            waiter_delay=300,
        )
        return self._run(operator, crash)

    def stop(self, name: str, *, crash: Crash | None = None) -> dict[str, Any] | None:
        return self._run(SageMakerStopShadowTestOperator(task_id="stop", name=name, waiter_delay=300), crash)

    def _run(self, operator: Any, crash: Crash | None) -> dict[str, Any] | None:
        wire = self.account.wire
        operator.sleep, operator.monotonic = self._sleep, self.account.time
        wire.begin(crash)
        try:
            report = operator.execute(self.context)
            wire.go_on()
        except Died:
            return None
        return report

    def _sleep(self, seconds: float) -> None:
        self.account.wire.go_on()
        self.account.advance(seconds=seconds)

    # The truth, asked by somebody else.

    @property
    def tests(self) -> list[dict[str, Any]]:
        experiments = self.account.world.sagemaker.experiments
        wanted = {"NameContains": f"{self.endpoint}-", "MaxResults": 100}
        return experiments.list_inference_experiments(wanted)["InferenceExperiments"]

    @property
    def serves(self) -> tuple[str, int]:
        look = self.account.world.sagemaker.describe_endpoint({"EndpointName": self.endpoint})
        return look["EndpointStatus"], len(look.get("ShadowProductionVariants", ()))


def begin(account: Account) -> Case:
    name = f"churn-{next(account.numbers):03}"
    variant = {"VariantName": "All", "ModelName": "churn", "InstanceType": "ml.m5.large"}
    account.config(name, ProductionVariants=[{**variant, "InitialInstanceCount": 2}])
    account.world.sagemaker.create_endpoint({"EndpointName": name, "EndpointConfigName": name})
    account.advance(minutes=10)
    return Case(account=account, endpoint=name, context=new_context("shadow"))


@pytest.fixture(scope="module")
def account(shared_models):
    with crashable_simulator() as account:
        for model in ("churn", "candidate"):
            account.model(model)
        yield account


@pytest.fixture
def case(account):
    return begin(account)


def test_the_calls_are_the_ones_that_are_crashed_at(account):
    case = begin(account)
    case.create()
    assert tuple(account.wire.calls) == CALLS["create"]

    case = begin(account)
    name = case.create(wait_until="Running")["name"]
    assert tuple(account.wire.calls) == CALLS["create and wait"]

    case.stop(name)
    assert tuple(account.wire.calls) == CALLS["stop"]


@pytest.mark.parametrize("crash", AT_EACH, ids=named)
def test_whatever_call_it_dies_at_a_retry_has_one_test_and_can_end_it(case, crash):
    assert case.create(wait_until="Running", crash=crash) is None

    report = case.create(wait_until="Running")

    assert [test["Name"] for test in case.tests] == [report["name"]]
    assert report["status"] == "Running"
    case.stop(report["name"])
    assert [test["Status"] for test in case.tests] == ["Completed"]
    assert case.serves == ("InService", 0)


@pytest.mark.parametrize("crash", AT_EACH, ids=named)
def test_a_retry_after_the_test_is_over_takes_it_for_what_it_was(case, crash):
    case.create(wait_until="Running", crash=crash)
    made = bool(case.tests)
    case.account.advance(hours=3)

    report = case.create(wait_until="Completed")

    assert len(case.tests) == 1
    assert report["adopted"] is made
    assert (report["status"], case.serves) == ("Completed", ("InService", 0))


@pytest.mark.parametrize("crash", AT_EACH_STOP, ids=named)
def test_whatever_call_of_the_stop_it_dies_at_a_retry_leaves_none_running(case, crash):
    name = case.create(wait_until="Running")["name"]
    assert case.stop(name, crash=crash) is None

    report = case.stop(name)

    assert report["status"] == "Completed"
    assert [test["Status"] for test in case.tests] == ["Completed"]
    assert case.serves == ("InService", 0)
