"""Tasks in Airflow's own task runner: the outcome in the list of task instances, and in the metrics."""

from __future__ import annotations

from datetime import timedelta

import pytest
from jinja2 import StrictUndefined

from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Canary
from tests.support.metrics import counted
from tests.support.worker import Worker

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))


@pytest.fixture
def worker(monkeypatch):
    return Worker(monkeypatch)


@pytest.fixture
def update(churn, guarded_update, worker):
    return lambda **changes: guarded_update(strategy=CANARY, dag=worker.dag, **changes)


@pytest.fixture
def conclude(worker, simulated_sleep):
    def build(update):
        task = SageMakerConcludeRolloutOperator(task_id="conclude", update=update, dag=worker.dag)
        task.sleep = simulated_sleep
        return task

    return build


@pytest.fixture
def finished(monkeypatch):
    """Return the outcomes that were counted so far."""
    tags_of = counted(monkeypatch)
    return lambda: [tags["outcome"] for tags in tags_of("guardrails.rollout.finished")]


def shown(worker):
    return worker.last_message.rendered_map_index


def trip_at(churn, task, minutes):
    """Let the alarm go off once *task* has waited so many minutes."""
    sleep, ends = task.sleep, churn.now() + timedelta(minutes=minutes)

    def sleep_and_trip(seconds):
        sleep(seconds)
        if churn.now() >= ends:
            churn.trip("errors")

    task.sleep = sleep_and_trip
    return task


def test_a_success_shows_and_is_counted_once(worker, update, conclude, finished):
    task = update()
    concluding = conclude(task)

    assert worker.run(task) == "success"
    assert shown(worker) == "SUCCEEDED"

    worker.states["update"] = "success"
    assert worker.run(concluding) == "success"
    assert shown(worker) == "SUCCEEDED"
    assert finished() == ["Succeeded"]


def test_a_rollback_shows_how_far_the_update_got(churn, worker, update, conclude, finished):
    task = update()
    concluding = conclude(task)

    assert worker.run(trip_at(churn, task, minutes=8)) == "failed"
    assert shown(worker) == "ROLLED BACK 25%"

    worker.states["update"] = "failed"
    assert worker.run(concluding) == "success"
    assert shown(worker) == "ROLLED BACK 25%"
    assert finished() == ["RolledBack"]


def test_an_update_that_nobody_waits_for_is_counted_by_the_concluding_task(
    worker, update, conclude, finished
):
    task = update(wait_for_completion=False)
    concluding = conclude(task)
    worker.run(task)
    assert (shown(worker), finished()) == (None, [])

    worker.states["update"] = "success"
    worker.run(concluding)
    assert (shown(worker), finished()) == ("SUCCEEDED", ["Succeeded"])


def test_a_wait_that_times_out_is_counted_when_it_has_ended(worker, update, finished):
    task = update(max_wait=timedelta(minutes=1))
    assert worker.run(task) == "failed"
    assert (shown(worker), finished()) == ("TIMED OUT", [])

    task.max_wait = None
    assert worker.run(task) == "success"
    assert (shown(worker), finished()) == ("SUCCEEDED", ["Succeeded"])


def test_a_task_that_fails_before_an_update_shows_no_outcome(worker, update, finished):
    assert worker.run(update(endpoint_name="other")) == "failed"

    assert (shown(worker), finished()) == (None, [])


@pytest.mark.parametrize(
    "strict", [{"template_undefined": StrictUndefined}, {"render_template_as_native_obj": True}]
)
@pytest.mark.parametrize("endpoint_name", ["churn", "other"])
def test_the_dag_may_render_templates_in_another_way(worker, update, strict, endpoint_name):
    for name, value in strict.items():
        setattr(worker.dag, name, value)

    state = worker.run(update(endpoint_name=endpoint_name))

    assert (state, shown(worker)) == (
        ("success", "SUCCEEDED") if endpoint_name == "churn" else ("failed", None)
    )


def test_a_template_of_the_user_is_used_instead(worker, update):
    worker.run(update(map_index_template="{{ task.endpoint_name }}: {{ outcome }}"))

    assert shown(worker) == "churn: SUCCEEDED"


def test_a_mapped_task_shows_its_index_too(churn, worker, simulated_sleep, monkeypatch):
    monkeypatch.setattr(SageMakerGuardedUpdateOperator, "sleep", staticmethod(simulated_sleep))
    task = SageMakerGuardedUpdateOperator.partial(
        task_id="update", endpoint_config_name="churn-v2", strategy=CANARY, waiter_delay=60, dag=worker.dag
    ).expand(endpoint_name=["other", "churn"])

    assert worker.run(task, map_index=1) == "success"
    assert shown(worker) == "1: SUCCEEDED"

    assert worker.run(task, map_index=0) == "failed"
    assert shown(worker) is None
