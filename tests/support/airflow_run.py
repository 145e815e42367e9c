"""What Airflow knows of the task instances of one run, for tasks that ask about each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk.execution_time.context import set_current_context

WAITING = {"try_number": 1, "deferred": True}


class Run:
    """
    States and XComs, by task and map index.

    *refusing* are the methods of a task instance that raise; *asked* is called at each question for a state.
    """

    def __init__(self) -> None:
        self.states: dict[tuple[str, int], str | None] = {}
        self.xcoms: dict[tuple[str, int, str], Any] = {}
        self.refusing: set[str] = set()
        self.asked: Any = lambda: None

    def task(self, task_id: str, map_index: int = -1) -> RunTask:
        return RunTask(self, task_id, map_index)

    def context(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        return {"ti": self.task(task_id, map_index), "outlet_events": Events()}

    def mark(self, task_id: str, state: str | None, map_index: int = -1) -> None:
        self.states[task_id, map_index] = state

    def delete_xcoms(self, task_id: str, map_index: int = -1) -> None:
        """Airflow does so when the next try of a task starts."""
        self.xcoms = {key: value for key, value in self.xcoms.items() if key[:2] != (task_id, map_index)}


class RunTask:
    """A task instance, of which Airflow's own is exercised in the end-to-end tests."""

    dag_id = "deploy"
    run_id = "scheduled__2026-03-02"
    try_number = 1

    def __init__(self, run: Run, task_id: str, map_index: int) -> None:
        self.run = run
        self.task_id = task_id
        self.map_index = map_index

    def get_task_states(self, *, dag_id, run_ids, task_ids, map_index=None):
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        self._answer("get_task_states")
        self.run.asked()
        (task_id,) = task_ids
        name, index = (task_id, -1) if map_index is None else (f"{task_id}_{map_index}", map_index)
        return {self.run_id: {name: self.run.states.get((task_id, index))}}

    def xcom_push(self, key, value):
        self._answer("xcom_push")
        self.run.xcoms[self.task_id, self.map_index, key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids, key, map_indexes):
        self._answer("xcom_pull")
        return self.run.xcoms.get((task_ids, map_indexes, key))

    def _answer(self, method: str) -> None:
        if method in self.run.refusing:
            raise RuntimeError(f"{method} is not to be had")


class Events(dict):
    """The outlet events of a task by the name of the outlet, as Airflow hands them to it."""

    def __getitem__(self, outlet):
        # An alias has no hash before Airflow 3.2.
        return self.setdefault(outlet.name, Added())


class Added(list):
    def add(self, asset, extra):
        self.append((asset.uri, extra))


def defer(operator: Any, context: Any) -> TaskDeferred:
    """Run *operator* until it defers."""
    with set_current_context(context), pytest.raises(TaskDeferred) as deferral:
        operator.execute(context)
    return deferral.value
