"""A concluding task that dies at any call is tried again, and ends as if it had not."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.operators._launch.intent_store import owner_in
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary
from tests.support.airflow_run import Run, defer
from tests.support.crashing import Crash, Died, Moment, crashable_simulator

pytestmark = pytest.mark.proof

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
VARIANT = {
    "VariantName": "All",
    "ModelName": "churn",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 4,
}


@pytest.fixture(scope="module")
def account(shared_models):
    with crashable_simulator() as account:
        account.model("churn")
        yield account


class Case:
    """An endpoint of its own, with an update of one task in flight that has been marked failed."""

    def __init__(self, account):
        self.account = account
        self.endpoint = f"churn-{next(account.numbers)}"
        self.run = Run()
        for version in (1, 2):
            account.config(f"{self.endpoint}-v{version}", ProductionVariants=[VARIANT])
        account.world.sagemaker.create_endpoint(
            {"EndpointName": self.endpoint, "EndpointConfigName": f"{self.endpoint}-v1"}
        )
        account.advance(minutes=10)
        account.wire.begin(None)
        defer(
            self.operator(SageMakerGuardedUpdateOperator, task_id="update", strategy=CANARY, deferrable=True),
            self.run.context("update"),
        )
        account.advance(minutes=4)
        self.run.mark("update", "failed")

    def operator(self, kind, **arguments):
        operator = kind(
            endpoint_name=self.endpoint,
            endpoint_config_name=f"{self.endpoint}-v2",
            waiter_delay=240,
            **arguments,
        )
        operator.sleep, operator.monotonic = self.sleep, self.account.time
        return operator

    def sleep(self, seconds):
        self.account.wire.go_on()
        self.account.advance(seconds=seconds)

    def conclude(self, crash=None):
        """Run a try; None if it died."""
        self.account.wire.begin(crash)
        operator = self.operator(
            SageMakerConcludeRolloutOperator, task_id="conclude", update_task_id="update", deferrable=False
        )
        try:
            report = operator.execute(self.run.context("conclude"))
            self.account.wire.go_on()
        except Died:
            return None
        return report["outcome"], report["cause"] and report["cause"]["kind"]

    def truth(self):
        """What became of the update; without a throw it goes its way, and an hour later it is over."""
        endpoint = self.account.world.sagemaker.describe_endpoint({"EndpointName": self.endpoint})
        if endpoint["EndpointConfigName"] == f"{self.endpoint}-v2":
            return ("Succeeded", None)
        return ("RolledBack", "abort")

    @property
    def switch(self):
        owner = owner_in(self.run.context("update"), self.endpoint)
        return AbortSwitch.of(self.endpoint, owner=owner, target=f"{self.endpoint}-v2").alarm_name

    def forget(self):
        self.account.world.sagemaker.vanish(self.endpoint)
        self.account.world.alarms.delete({self.switch})


@pytest.mark.parametrize("minutes", [0, 60], ids=["in flight", "over"])
@pytest.mark.parametrize("moment", list(Moment))
def test_a_try_after_a_crash_at_any_call_ends_as_the_first_would_have(account, moment, minutes):
    """:param minutes: those between the two tries."""
    for at in itertools.count():
        case = Case(account)
        end = case.conclude(Crash(at, moment))
        if end is None:
            account.advance(minutes=minutes)
            assert case.conclude() == case.truth(), f"call {at}, {case.account.wire.calls}"
        account.advance(seconds=30)
        assert account.world.alarms.state(case.switch) == "OK"
        case.forget()
        if end is not None:
            break
    assert (end, at > 5) == (("RolledBack", "abort"), True)
