"""A task that waits for its shadow test and is killed stops it only if a person has marked it failed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_guardrails.exceptions import ShadowTestCancelled


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


def test_a_kill_before_the_wait_does_nothing(waiting):
    waiting(on_kill="stop").on_kill()
