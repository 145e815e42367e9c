"""How long a cancelled trigger waits for whom: in the loop's own time, which passes at once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_guardrails.aws.errors import Unanswered
from airflow_guardrails.triggers._base import LONGEST_STOP, WaitingTrigger, push_report
from airflow_guardrails.triggers._stopping import LONGEST_RESPONSE
from tests.support.supervisor import Supervisor, cancelled, held
from tests.support.warped_loop import end_what_is_left, warped

SECOND = 1.0


class RolloutState(WaitingTrigger):
    """Waits for ever; its stop takes so many seconds."""

    own_fields = ()

    def __init__(self, *, stopping=0.0, failures=(), **common):
        super().__init__(waiter_delay=30, on_kill="abort", **common)
        self.stopping = stopping
        self.failures = list(failures)
        self.waits = False
        self.stopped_at = []

    async def wait_for_report(self):
        self.waits = True
        await asyncio.Event().wait()

    async def stop(self, still_wanted):
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.sleep(self.stopping)
        if await still_wanted():
            self.stopped_at.append(asyncio.get_running_loop().time())


@pytest.fixture
def play(monkeypatch):
    """Cancel a trigger every second until it has ended; tell how many seconds that took."""

    def play(trigger, supervisor):
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)

        async def story():
            await cancelled(held(trigger), once=lambda: trigger.waits, every=SECOND)
            ended_at = asyncio.get_running_loop().time()
            assert supervisor.cancelled == [], "a request that is cancelled ends a triggerer of Airflow 3.1"
            await end_what_is_left()
            return ended_at

        return warped(story())

    return play


def test_a_stop_outlasts_the_cancel_that_comes_again_every_second(play):
    trigger = RolloutState(stopping=45.0)
    play(trigger, Supervisor("failed"))
    assert trigger.stopped_at == [pytest.approx(46, abs=2)]


def test_an_answer_that_is_late_is_waited_for(play):
    trigger = RolloutState()
    play(trigger, Supervisor("failed", late=partial(asyncio.sleep, 6)))
    assert len(trigger.stopped_at) == 1


def test_without_an_answer_in_time_nothing_is_stopped(play, capsys):
    trigger = RolloutState()
    assert play(trigger, Supervisor("failed", late=partial(asyncio.sleep, LONGEST_RESPONSE + 1))) < 25
    assert trigger.stopped_at == []
    assert "no response within 20 s): nothing is stopped" in capsys.readouterr().out


def test_a_supervisor_that_never_answers_holds_a_trigger_for_20_seconds(play):
    trigger = RolloutState()
    seconds = play(trigger, Supervisor("failed", late=lambda: asyncio.Event().wait()))
    assert seconds == pytest.approx(LONGEST_RESPONSE, abs=3)
    assert trigger.stopped_at == []


def test_a_triggerer_that_shuts_down_is_not_held_up(play, capsys):
    supervisor = Supervisor("failed", late=lambda: asyncio.Event().wait())
    supervisor._reader_task = asyncio.Future(loop=asyncio.new_event_loop())
    supervisor._reader_task.set_result(None)
    trigger = RolloutState()

    assert play(trigger, supervisor) < 3

    assert (supervisor.messages, trigger.stopped_at) == ([], [])
    assert "the triggerer is shutting down): nothing is stopped" in capsys.readouterr().out


def test_a_shutdown_in_the_middle_of_a_stop_ends_it(monkeypatch):
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor("failed"), raising=False)
    trigger = held(RolloutState(stopping=45.0))

    async def story():
        async def run():
            async for _ in trigger.run():
                pass

        task = asyncio.create_task(run())
        await asyncio.sleep(SECOND)
        task.cancel()
        await asyncio.sleep(SECOND)
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()
        await asyncio.wait({task})
        return asyncio.get_running_loop().time(), task.cancelled()

    seconds, was_cancelled = warped(story())
    assert was_cancelled
    assert seconds < 5
    assert trigger.stopped_at == []


def test_a_stop_that_takes_too_long_ends_with_a_warning(play, capsys):
    trigger = RolloutState(stopping=300.0)
    assert play(trigger, Supervisor("failed")) == pytest.approx(LONGEST_STOP, abs=3)
    assert trigger.stopped_at == []
    assert "could not be stopped: it took longer than 60 s" in capsys.readouterr().out


def test_a_stop_that_aws_does_not_answer_is_tried_again_while_it_is_wanted(play):
    trigger = RolloutState(failures=[Unanswered(reason="busy")] * 3)
    play(trigger, Supervisor("failed"))
    assert trigger.stopped_at == [pytest.approx(8, abs=3)]


def test_a_task_that_is_cleared_while_the_stop_is_tried_again_is_left_alone(play):
    trigger = RolloutState(failures=[Unanswered(reason="busy")] * 3)
    play(trigger, Supervisor(states=("failed", "running")))
    assert trigger.stopped_at == []


def test_an_error_of_the_stop_is_logged_and_the_trigger_ends_as_cancelled(play, capsys):
    trigger = RolloutState(failures=[RuntimeError("no such thing")])
    assert play(trigger, Supervisor("failed")) < 5
    assert "could not be stopped: RuntimeError: no such thing" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["trigger_id", "task_instance"])
def test_outside_a_triggerer_a_cancel_just_cancels(monkeypatch, missing):
    supervisor = Supervisor("failed")
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    trigger = held(RolloutState())
    setattr(trigger, missing, None)

    warped(cancelled(trigger, once=lambda: trigger.waits, every=SECOND))

    assert (supervisor.messages, trigger.stopped_at) == ([], [])


def test_a_report_that_is_being_published_when_the_trigger_is_cancelled_is_not_taken_back(monkeypatch):
    supervisor = Supervisor("deferred", late=partial(asyncio.sleep, 6))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)

    async def story():
        publishing = asyncio.create_task(
            push_report(held(RolloutState()).task_instance, "rollout_report", {})
        )
        await asyncio.sleep(SECOND)
        publishing.cancel()
        await asyncio.wait({publishing})
        told = publishing.cancelled(), len(supervisor.messages), [*supervisor.cancelled]
        await end_what_is_left()
        return told

    assert warped(story()) == (True, 1, [])
