"""What every waiting task does when it is killed in a worker, from the first moment on."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk.execution_time.context import set_current_context

from airflow_guardrails.exceptions import TaskKilled
from airflow_guardrails.tasks.waiting import WaitingTask
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger


@pytest.fixture
def task():
    found = WaitingTask(task_id="update")
    found.kill_action = "abort"
    found.slept = []
    found.sleep = found.slept.append
    return found


@pytest.fixture
def stopped(task, context):
    """Called times of what stops the task's work."""
    calls = []

    def begin(*failures):
        left = list(failures)

        def stop():
            calls.append(task.task_id)
            if left:
                raise left.pop(0)

        task._stop_if_killed(context, stop)
        return calls

    return begin


def test_nothing_begins_once_a_task_is_killed(task):
    task.refuse_if_killed()
    task.on_kill()
    with pytest.raises(TaskKilled, match="before it changed anything in AWS"):
        task.refuse_if_killed()


def test_a_sleep_before_the_beginning_ends_within_half_a_second_of_a_kill(task):
    def sleep(seconds):
        task.slept.append(seconds)
        if len(task.slept) == 3:
            task.on_kill()

    task.sleep = sleep
    with pytest.raises(TaskKilled):
        task.sleep_unless_killed(60)
    assert task.slept == [0.5, 0.5, 0.5]


def test_an_undisturbed_sleep_takes_its_seconds(task):
    task.sleep_unless_killed(2.2)
    assert sum(task.slept) == pytest.approx(2.2)


def test_a_kill_before_there_is_something_to_stop_is_acted_on_at_once_when_there_is(
    task, task_instance, stopped
):
    task.on_kill()
    task_instance.state = "failed"
    assert stopped() == ["update"]


@pytest.mark.parametrize("state", ["running", "restarting", "success", "skipped"])
def test_a_kill_in_any_other_state_stops_nothing(task, task_instance, stopped, state, capsys):
    task.on_kill()
    task_instance.state = state
    assert stopped() == []
    assert f"Airflow says this task is {state}: nothing is stopped" in capsys.readouterr().out


def test_what_airflow_says_is_asked_once(task, task_instance, stopped):
    task.on_kill()
    task_instance.state = "restarting"
    calls = stopped()
    task_instance.state = "failed"
    task._sleep(30)
    assert calls == []


def test_a_killed_task_stops_its_work_before_it_defers(task, context, task_instance, stopped):
    calls = stopped()
    task.on_kill()
    task_instance.state = "failed"
    with set_current_context(context), pytest.raises(TaskDeferred):
        task.defer(
            trigger=SageMakerRolloutTrigger(endpoint_name="churn", endpoint_config_name="churn-v2"),
            method_name="execute_complete",
        )
    assert calls == ["update"]


@pytest.mark.parametrize(("later", "calls"), [(1, []), (119, []), (121, ["update"])])
def test_a_worker_that_stood_still_takes_no_kill_for_a_request_until_airflow_must_have_noticed(
    task, task_instance, stopped, later, calls
):
    """Airflow fails a task whose worker it has lost; without retries that looks like a mark."""
    clock = [1000.0]
    task._killing.monotonic = lambda: clock[0]

    def stand_still(seconds):
        clock[0] += 600

    told = stopped()
    task._killing.sleep(0.5, stand_still)
    clock[0] += later
    task.on_kill()
    task_instance.state = "failed"
    task._killing.stop_if_marked_failed()
    assert told == calls
