"""Airflow around the tasks: rows, XComs, task state, and triggerers that run triggers and cancel them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, GetXCom, SetXCom, TaskStatesResult, XComResult

from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from tests.proofs.schedules.account import Account
from tests.proofs.schedules.model import Run
from tests.proofs.schedules.process import Log, Process, Wire, hook_on


class Row:
    """A task instance as Airflow's database has it."""

    dag_id = "deploy"
    run_id = "scheduled__2026-03-02"

    def __init__(self, run: Run, *, task_id: str, map_index: int) -> None:
        self.task_id = task_id
        self.map_index = map_index
        self.try_number = 0
        self.state: str | None = None
        self.xcoms: dict[str, Any] = {}
        self.xcom_works = run.xcom == "works"

    def begin_try(self) -> None:
        """Airflow deletes what the try before has pushed."""
        self.try_number += 1
        self.state = "running"
        self.xcoms = {}

    def push(self, key: str, value: Any) -> None:
        if not self.xcom_works:
            raise RuntimeError("Airflow's API does not answer")
        self.xcoms[key] = json.loads(json.dumps(value))


class TaskInstance:
    """The row, as one try of the task sees it."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self.try_number = row.try_number
        self.dag_id, self.run_id = row.dag_id, row.run_id
        self.task_id, self.map_index = row.task_id, row.map_index

    def get_task_states(
        self, *, dag_id: str, run_ids: list[str], task_ids: list[str], map_index: int | None
    ) -> dict[str, dict[str, Any]]:
        mapped = self.map_index if self.map_index >= 0 else None
        expected = (self.dag_id, [self.run_id], [self.task_id], mapped)
        assert (dag_id, run_ids, task_ids, map_index) == expected
        return {self.run_id: {self.task_id: self._row.state}}

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        if not self._row.xcom_works:
            raise RuntimeError("Airflow's API does not answer")
        return self._row.xcoms.get(key)

    def xcom_push(self, key: str, value: Any) -> None:
        if self.try_number == self._row.try_number:
            self._row.push(key, value)


class Supervisor:
    """Answers a trigger's questions from the row, late or not at all."""

    def __init__(self, row: Row, *, late: int) -> None:
        self._row = row
        self._late = late
        self.stopped = False
        self._reader_task = SimpleNamespace(done=lambda: self.stopped)

    async def asend(self, message: Any) -> Any:
        if isinstance(message, SetXCom):
            self._row.push(message.key, message.value)
            return None
        if self._late:
            await asyncio.sleep(self._late)
        if isinstance(message, GetTaskStates):
            return TaskStatesResult(task_states={message.run_ids[0]: {message.task_ids[0]: self._row.state}})
        assert isinstance(message, GetXCom)
        if not self._row.xcom_works:
            raise RuntimeError("Airflow's API does not answer")
        return XComResult(key=message.key, value=self._row.xcoms.get(message.key))


class Loop(asyncio.SelectorEventLoop):
    """An event loop in simulated time, which is turned by the clock."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self._began = account.now()
        self._account = account

    def time(self) -> float:
        return (self._account.now() - self._began).total_seconds()

    def turn(self) -> None:
        """Run whatever can run now."""
        while True:
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready:
                return

    @property
    def wakes_in(self) -> float | None:
        scheduled = [handle for handle in self._scheduled if not handle._cancelled]
        return max(min(handle._when for handle in scheduled) - self.time(), 0.001) if scheduled else None


class WiredTrigger(SageMakerRolloutTrigger):
    """The trigger with a hook of the test; it is created from its serialized arguments only."""

    shares_poller = False
    line: Wire

    @property
    def make_hook(self) -> Any:
        return partial(hook_on, self.line)


class TriggerRun:
    """One copy of a trigger, in a triggerer."""

    def __init__(
        self, account: Account, stored: str, *, row: Row, run: Run, who: str, fired: Callable[..., None]
    ) -> None:
        self.line = Wire(account, who)
        self.over = self.cancelled = False
        self.supervisor = Supervisor(row, late=run.supervisor_late)
        self._account = account
        self._fired = fired
        self._process = Process(account, who, offset=run.triggerer_clock)
        self._loop = Loop(account)
        self._timer: Any = None
        self._trigger = WiredTrigger(**json.loads(stored))
        self._trigger.line = self.line
        self._trigger.monotonic = self._process.monotonic  # type: ignore[method-assign]
        self._trigger._log = Log(account, who)  # type: ignore[assignment]
        self._trigger.trigger_id, self._trigger.task_instance = 7, TaskInstance(row)
        self._task: Any = None
        account.clock.after(1, self._begin)

    def cancel(self) -> None:
        """Cancel it, as a triggerer does, every second until it has ended."""
        if self.over:
            return
        self.cancelled = True
        if self._task is None:
            self.drop()
            return
        self._task.cancel()
        self._turn()
        self._account.clock.after(1, self.cancel)

    def drop(self) -> None:
        """Its process is gone."""
        if not self.over:
            self.over = True
            if self._task is not None:
                self._task._log_destroy_pending = False
                self._loop._ready.clear()
            self._loop.close()

    def _begin(self) -> None:
        if self.over:
            return
        self._task = self._loop.create_task(anext(self._trigger.run()))  # type: ignore[arg-type]
        self._turn()

    def _turn(self) -> None:
        if self.over:
            return
        if self._timer is not None:
            self._timer.cancel()
        with self._process.runs():
            task_runner.SUPERVISOR_COMMS = self.supervisor  # type: ignore[assignment]
            try:
                self._loop.turn()
            finally:
                del task_runner.SUPERVISOR_COMMS
        if self._task.done():
            self._end()
        elif (pause := self._loop.wakes_in) is not None:
            self._timer = self._account.clock.after(pause, self._turn)

    def _end(self) -> None:
        self.over = True
        self._loop.close()
        if self._task.cancelled():
            return
        if error := self._task.exception():
            self._account.breaks(f"the trigger raised {type(error).__name__}: {error}")
        elif not self.cancelled:
            self._fired(self, json.loads(json.dumps(self._task.result().payload)))
