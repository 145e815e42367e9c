"""What a triggerer has around a trigger: a supervisor that answers, and cancels that come again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, GetXCom, SetXCom, TaskStatesResult, XComResult


class Supervisor:
    """
    Answers from what Airflow's database would hold.

    :param state: of the one task instance there is.
    :param states: instead, those of its next answers; the last one stays.
    :param late: what an answer waits for.
    """

    def __init__(
        self,
        state: str | None = "failed",
        *,
        states: tuple[str, ...] = (),
        xcoms: dict[str, Any] | None = None,
        late: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.states = [*states] or [state]
        self.xcoms = {"rollout_try": {"try_number": 1, "deferred": True}} if xcoms is None else xcoms
        self.late = late
        self.messages: list[Any] = []
        self.cancelled: list[Any] = []

    @classmethod
    def in_place(cls, patch: pytest.MonkeyPatch, *arguments: Any, **more: Any) -> Supervisor:
        """Create one, to which Airflow's code in this process sends its messages until the test ends."""
        supervisor = cls(*arguments, **more)
        patch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
        return supervisor

    async def asend(self, message: Any) -> Any:
        self.messages.append(message)
        if self.late is not None:
            try:
                await self.late()
            except asyncio.CancelledError:
                self.cancelled.append(message)
                raise
        if isinstance(message, GetTaskStates):
            state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
            return TaskStatesResult(task_states={message.run_ids[0]: {message.task_ids[0]: state}})
        if isinstance(message, GetXCom):
            return XComResult(key=message.key, value=self.xcoms.get(message.key))
        assert isinstance(message, SetXCom)
        return None

    def kept(self, kind: type) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]


def held(trigger: Any, task_id: str = "update") -> Any:
    """Give *trigger* what a triggerer gives it."""
    trigger.trigger_id = 7
    trigger.task_instance = SimpleNamespace(
        dag_id="deploy", run_id="run", task_id=task_id, map_index=-1, try_number=1
    )
    return trigger


async def cancelled(trigger: Any, *, once: Callable[[], bool], every: float = 0.0) -> list[Any]:
    """
    Run *trigger*; once that is so, cancel it as a triggerer does, again and again until it has ended.

    :param every: seconds of the loop's time between two cancels; 0 cancels at every turn of the loop.
    :return: the events that it fired.
    """
    events: list[Any] = []

    async def run() -> None:
        events.extend([event async for event in trigger.run()])

    task = asyncio.create_task(run())
    while not (once() or task.done()):  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(every)
    while not task.done():
        task.cancel()
        await asyncio.sleep(every)
    assert task.cancelled(), "a cancelled trigger must end as one"
    return events
