"""A rollback dies at each of its calls: its retry goes back to the same configuration, by one update."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from airflow_guardrails.domain.versions.history import History
from airflow_guardrails.domain.versions.record import RecordedOutcome, RolloutRecord, record_text
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.strategies import AllAtOnce
from tests.support.crashing import START, Account, new_context
from tests.support.crashing_updates import (
    VARIANT,
    End,
    OneAtATime,
    UpdateCase,
    crashes,
    is_in_flight,
    time_passes,
    updating_account,
)

pytestmark = pytest.mark.proof

# The plan comes first; all else are the calls of an update, see test_crashes.py.
PLAN = (
    *("DescribeEndpoint", "ListTags"),
    # Whether the target and its model exist.
    *("DescribeEndpointConfig", "DescribeModel"),
    "AddTags",
)


@dataclass(kw_only=True)
class Case(UpdateCase):
    """An endpoint that serves its third configuration; the first and the second served well before."""

    def operator(self, **arguments: Any) -> SageMakerRollbackOperator:
        strategy = AllAtOnce(termination_wait=timedelta(minutes=5))
        return SageMakerRollbackOperator(task_id="back", strategy=strategy, **arguments)

    @property
    def target(self) -> str:
        return f"{self.endpoint}-v2"

    @property
    def history(self) -> History:
        catalogue = self.account.world.sagemaker.catalogue
        return History.of_tags(catalogue.tags.of(catalogue.arn("endpoint", self.endpoint)))


def begin(account: Account) -> Case:
    name = f"churn-{next(account.numbers)}"
    case = Case(
        account=account,
        endpoint=name,
        old=f"{name}-v3",
        alarm=f"{name}-errors",
        context=new_context("back"),
    )
    for number in (1, 2):
        account.config(f"{name}-v{number}", ProductionVariants=[VARIANT])
    case.begin(ProductionVariants=[VARIANT])
    catalogue = account.world.sagemaker.catalogue
    for number in (1, 2, 3):
        record = RolloutRecord(
            config=f"{name}-v{number}",
            outcome=RecordedOutcome.SUCCEEDED,
            at=START - timedelta(hours=9 - number),
        )
        tag = {"Key": record.tag_key, "Value": record_text(record)}
        catalogue.tags.add({"ResourceArn": catalogue.arn("endpoint", name), "Tags": [tag]})
    return case


@pytest.fixture(scope="module")
def account(shared_models):
    with updating_account() as account:
        yield account


@pytest.fixture
def case(account):
    make = OneAtATime(lambda: begin(account))
    yield make
    make.forget()


def calls_of(case: Case) -> tuple[str, ...]:
    assert case.run() == End("Succeeded")
    return tuple(case.account.wire.calls)


def test_the_plan_is_made_and_noted_before_anything_else(case):
    assert calls_of(case())[: len(PLAN)] == PLAN


@pytest.mark.parametrize("happens", [time_passes, is_in_flight])
def test_a_retry_after_a_crash_at_any_call_goes_back_to_the_same(case, happens):
    for crash in crashes(calls_of(case())):
        crashed = case()
        assert crashed.run(crash=crash) is None, crash
        happens(crashed)

        assert crashed.run().what == "Succeeded", crash

        assert crashed.launches == 1, crash
        assert crashed.serves == crashed.target, crash
        assert crashed.history.find(crashed.old).reverted_at is not None, crash
        assert crashed.history.find(crashed.target).good, crash
        assert crashed.run().what == "Succeeded", crash
        assert (crashed.launches, crashed.serves) == (1, crashed.target), crash
