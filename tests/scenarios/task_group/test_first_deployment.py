"""The group of day one is that of day two: it creates the endpoint, and tests nothing before that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.domain.shadow.spec import NO_TEST
from airflow_guardrails.strategies import AllAtOnce
from airflow_guardrails.task_groups import guarded_deployment
from tests.support.lab import ROLE
from tests.support.worker import Worker

TESTED = ("shadow_test", "observe", "judge", "stop_shadow_test")


@pytest.fixture
def worker(monkeypatch):
    return Worker(monkeypatch)


@pytest.fixture
def deploy(churn, worker, simulated_sleep):
    """Build the group for the endpoint ``new``, and return its tasks by their names."""

    def build(**changes):
        arguments = {
            "endpoint_name": "new",
            "model_name": "churn",
            "instance_type": "ml.m5.large",
            "if_missing": "create",
            "strategy": AllAtOnce(termination_wait=timedelta(minutes=5)),
            "shadow_test": {"role_arn": ROLE, "duration": timedelta(hours=2)},
            "deferrable": False,
        }
        with worker.dag:
            group = guarded_deployment(**{**arguments, **changes})
        tasks = {name.rpartition(".")[2]: task for name, task in group.children.items()}
        for task in tasks.values():
            task.sleep = simulated_sleep
            task.monotonic = lambda: churn.now().timestamp()
        return tasks

    return build


def created(churn, name="new"):
    config = churn.sagemaker.list_endpoint_configs()["EndpointConfigs"][0]["EndpointConfigName"]
    churn.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    churn.advance(minutes=10)


def test_the_whole_group_succeeds_and_creates_the_endpoint(churn, worker, deploy):
    tasks = deploy()

    states = {name: worker.run(tasks[name]) for name in (*TESTED, "guarded_update", "conclude")}

    assert set(states.values()) == {"success"}
    assert churn.sagemaker.describe_endpoint(EndpointName="new")["EndpointStatus"] == "InService"
    report = worker.xcoms["guarded_deployment.guarded_update", "rollout_report"]
    assert (report["outcome"], report["guarded"]) == ("Succeeded", False)
    calls = ("CreateInferenceExperiment", "StopInferenceExperiment", "UpdateEndpoint")
    assert [churn.calls(name) for name in calls] == [0, 0, 0]


def test_no_task_of_the_test_claims_anything(worker, deploy):
    tasks = deploy()

    for name in TESTED:
        worker.run(tasks[name])

    of = {name: f"guarded_deployment.{name}" for name in TESTED}
    assert worker.xcoms[of["shadow_test"], "name"] == NO_TEST
    assert (of["judge"], "verdict") not in worker.xcoms
    assert worker.xcoms.get((of["judge"], "return_value")) is None
    for name in ("shadow_test", "observe", "stop_shadow_test"):
        report = worker.xcoms[of[name], "return_value"]
        assert (report["outcome"], report["summary"]) == (None, NO_TEST)
        assert (of[name], "shadow_test_report") not in worker.xcoms


def test_without_if_missing_the_test_fails_as_before(churn, worker, deploy):
    tasks = deploy(if_missing="fail")

    assert worker.run(tasks["shadow_test"]) == "failed"
    assert ("guarded_deployment.shadow_test", "name") not in worker.xcoms


@pytest.mark.parametrize("last", ["shadow_test", "stop_shadow_test"])
def test_an_endpoint_that_appears_after_the_test_was_left_out_is_not_updated(churn, worker, deploy, last):
    tasks = deploy()
    for name in TESTED[: TESTED.index(last) + 1]:
        worker.run(tasks[name])

    created(churn)

    assert worker.run(tasks["guarded_update"]) == "failed"
    assert "the model was not tested" in str(worker.error)
    assert (churn.calls("UpdateEndpoint"), churn.calls("PutMetricAlarm")) == (0, 0)


def test_a_retry_adopts_the_endpoint_that_the_first_try_has_created(churn, worker, deploy):
    tasks = deploy()
    for name in TESTED:
        worker.run(tasks[name])
    worker.run(tasks["guarded_update"])

    assert worker.run(tasks["guarded_update"]) == "success"
    assert (churn.calls("CreateEndpoint"), churn.calls("UpdateEndpoint")) == (1, 0)


def test_on_day_two_the_model_is_tested(churn, worker, deploy):
    tasks = deploy(endpoint_name="churn")

    assert worker.run(tasks["shadow_test"]) == "success"
    assert churn.calls("CreateInferenceExperiment") == 1
    assert worker.xcoms["guarded_deployment.shadow_test", "name"] != NO_TEST
