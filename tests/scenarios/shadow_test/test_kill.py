"""A task that waits for its shadow test and is killed stops it only if a person has marked it failed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.exceptions import ShadowTestCancelled, TaskKilled


def killed(operator, task_instance, state: str, *, experiment, sleep) -> None:
    """Let Airflow kill the worker once the test runs."""

    def sleep_and_die(seconds: float) -> None:
        sleep(seconds * 60)  # half a second's slice is half a minute of AWS
        name = task_instance.xcoms["name"]
        if task_instance.state == "running" and experiment(name)["Status"] == "Running":
            task_instance.state = state
            operator.on_kill()

    operator.sleep = sleep_and_die


@pytest.fixture
def waiting(create, task_instance):
    """A task that waits to the end, for which Airflow has a state."""
    task_instance.task_id = "shadow"

    def build(**changes):
        return create(wait_until="Completed", duration=timedelta(hours=2), waiter_delay=1, **changes)

    return build


def test_a_task_marked_failed_stops_its_test_and_keeps_production(
    waiting, context, task_instance, candidate, experiment, simulated_sleep
):
    operator = waiting(on_kill="stop")
    killed(operator, task_instance, "failed", experiment=experiment, sleep=simulated_sleep)

    with pytest.raises(ShadowTestCancelled, match="was marked failed"):
        operator.execute(context)

    assert candidate.describe()["EndpointStatus"] == "InService"
    assert "ShadowProductionVariants" not in candidate.describe()


@pytest.mark.parametrize("state", ["restarting", "None"])
def test_a_task_that_is_killed_for_another_reason_stops_nothing(
    waiting, context, task_instance, experiment, simulated_sleep, state
):
    operator = waiting(on_kill="stop")
    killed(operator, task_instance, state, experiment=experiment, sleep=simulated_sleep)

    assert operator.execute(context)["status"] == "Completed"


def test_by_default_a_kill_leaves_the_test_alone(
    waiting, context, task_instance, experiment, simulated_sleep
):
    operator = waiting()
    killed(operator, task_instance, "failed", experiment=experiment, sleep=simulated_sleep)

    assert operator.execute(context)["status"] == "Completed"


def test_a_task_that_is_killed_before_it_has_made_a_test_makes_none(waiting, context, candidate):
    operator = waiting(on_kill="stop")
    operator.on_kill()

    with pytest.raises(TaskKilled, match="before it changed anything in AWS"):
        operator.execute(context)

    assert candidate.calls("CreateInferenceExperiment") == 0


def test_a_task_marked_failed_while_its_test_is_being_made_stops_it_without_a_wait(
    waiting, context, candidate, task_instance, monkeypatch
):
    operator = waiting(on_kill="stop")
    create = operator.hook.create_inference_experiment

    def create_and_kill(**request):
        create(**request)
        candidate.advance(minutes=10)
        task_instance.state = "failed"
        operator.on_kill()

    monkeypatch.setattr(operator.hook, "create_inference_experiment", create_and_kill)
    with pytest.raises(ShadowTestCancelled, match="was marked failed"):
        operator.execute(context)
    assert candidate.calls("StopInferenceExperiment") == 1


def test_a_stop_that_aws_does_not_answer_is_tried_again_before_the_worker_dies(
    waiting, context, candidate, task_instance, experiment, simulated_sleep
):
    operator = waiting(on_kill="stop")
    candidate.simulator.client.fault(
        "StopInferenceExperiment",
        kind="error",
        code="ServiceUnavailable",
        message="busy",
        status=503,
        times=2,
    )
    killed(operator, task_instance, "failed", experiment=experiment, sleep=simulated_sleep)

    with pytest.raises(ShadowTestCancelled, match="was marked failed"):
        operator.execute(context)
    assert candidate.calls("StopInferenceExperiment") == 3


def test_a_task_whose_state_airflow_does_not_tell_stops_nothing(
    waiting, context, task_instance, experiment, simulated_sleep, monkeypatch
):
    def refuse(**_):
        raise RuntimeError("the API server is away")

    operator = waiting(on_kill="stop")
    killed(operator, task_instance, "failed", experiment=experiment, sleep=simulated_sleep)
    monkeypatch.setattr(task_instance, "get_task_states", refuse)

    assert operator.execute(context)["status"] == "Completed"
