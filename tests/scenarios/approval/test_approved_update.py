"""The report of an update says who approved it, if the task before it has asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.sdk import DAG

from airflow_guardrails.operators._launch.approval import approval_before
from airflow_guardrails.operators.approval import SageMakerApproveRolloutOperator
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary
from tests.support.airflow_run import Run
from tests.support.worker import Worker

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
NAMES = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"}
APPROVED = {
    "schema_version": 1,
    "answer": "Approved",
    "answered_by": {"id": "jane", "name": "Jane Doe"},
    "answered_at": "2026-03-02T12:00:00+00:00",
    "evidence_digest": "sha256:abc",
}
REPORTED = {"approved": True, "by": "Jane Doe", "at": "2026-03-02T12:00:00+00:00", "digest": "sha256:abc"}


@pytest.fixture
def worker(monkeypatch):
    return Worker(monkeypatch)


@pytest.fixture
def update(churn, worker, simulated_sleep):
    """Build an update behind the task that asks."""

    def build(**changes):
        task = SageMakerGuardedUpdateOperator(
            task_id="update",
            strategy=CANARY,
            alarms=["errors"],
            waiter_delay=60,
            dag=worker.dag,
            **NAMES,
            **changes,
        )
        task.sleep = simulated_sleep
        SageMakerApproveRolloutOperator(task_id="approve", dag=worker.dag, **NAMES) >> task
        return task

    return build


@pytest.mark.parametrize("waits", [True, False])
def test_the_approval_is_in_the_report_of_the_update(worker, update, waits):
    worker.xcoms["approve", "approval"] = APPROVED

    assert worker.run(update(wait_for_completion=waits)) == "success"

    assert worker.xcoms["update", "rollout_report"]["approval"] == REPORTED


def test_the_approval_is_in_the_report_of_the_concluding_task_too(worker, update, simulated_sleep):
    worker.xcoms["approve", "approval"] = APPROVED
    task = update(wait_for_completion=False)
    conclude = SageMakerConcludeRolloutOperator(task_id="conclude", update=task, dag=worker.dag)
    conclude.sleep = simulated_sleep
    worker.run(task)
    worker.xcoms["update", "rollout_report"] = None

    assert worker.run(conclude) == "success"

    report = worker.xcoms["conclude", "rollout_report"]
    assert (report["outcome"], report["approval"]) == ("Succeeded", REPORTED)


@pytest.mark.parametrize("approval", [None, {"answer": "Perhaps"}, "Approved"])
def test_what_is_no_answer_is_no_approval(worker, update, approval):
    worker.xcoms["approve", "approval"] = approval

    assert worker.run(update()) == "success"

    assert worker.xcoms["update", "rollout_report"]["approval"] is None


def test_an_update_without_a_task_that_asks_has_no_approval(worker, update):
    task = update()
    worker.xcoms["approve", "approval"] = APPROVED
    task.upstream_task_ids.clear()

    worker.run(task)

    assert worker.xcoms["update", "rollout_report"]["approval"] is None


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def before():
    """Read the approval before an update, which one task after another precedes."""

    def read(context, **more):
        with DAG("deploy", schedule=None):
            task = SageMakerGuardedUpdateOperator(task_id="update", strategy=CANARY, **NAMES)
            asks = SageMakerApproveRolloutOperator
            if more.pop("mapped", False):
                partial = asks.partial(task_id="approve", endpoint_config_name="churn-v2")
                approve = partial.expand(endpoint_name=["churn"])
            else:
                approve = asks(task_id="approve", **NAMES)
            [BaseOperator(task_id="train"), approve] >> task
            return approval_before(task, context, warn=more.pop("warn", pytest.fail))

    return read


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("asked_at", [-1, 2])
def test_the_approval_of_a_mapped_update_is_that_of_its_index_or_of_all(run, before, asked_at, mapped):
    run.xcoms["approve", asked_at, "approval"] = APPROVED
    run.xcoms["approve", 1, "approval"] = {**APPROVED, "answer": "Rejected"}

    assert before(run.context("update", 2), mapped=mapped) == REPORTED


def test_an_approval_that_cannot_be_read_is_a_warning(run, before):
    run.refusing.add("xcom_pull")
    warnings = []

    assert before(run.context("update"), warn=warnings.append) is None
    assert warnings == ["XCom approval could not be read (RuntimeError: xcom_pull is not to be had)"]
