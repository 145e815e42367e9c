"""What Airflow hands to a task, as far as this package uses it (end-to-end tests run the real one)."""

from __future__ import annotations

import json
from typing import Any


class TaskInstance:
    """One task instance, over all of its tries: its state, and the XComs that it pushes."""

    dag_id = "deploy"
    run_id = "scheduled__2026-03-02"
    task_id = "update"
    map_index = -1
    try_number = 1

    def __init__(self, **changes: Any) -> None:
        self.xcoms: dict[str, Any] = {}
        self.state = "running"
        vars(self).update(changes)

    def get_task_states(self, *, dag_id, run_ids, task_ids, map_index=None):
        mapped = self.map_index if self.map_index >= 0 else None
        expected = (self.dag_id, [self.run_id], [self.task_id], mapped)
        assert (dag_id, run_ids, task_ids, map_index) == expected
        name = self.task_id if mapped is None else f"{self.task_id}_{mapped}"
        return {self.run_id: {name: self.state}}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))


class TaskState:
    """The task state store of Airflow 3.3, which keeps JSON over all tries of a task instance."""

    def __init__(self, *, works: bool = True) -> None:
        self._kept: dict[str, str] = {}
        self._works = works

    def get(self, key: str) -> Any:
        self._check()
        return json.loads(self._kept[key]) if key in self._kept else None

    def set(self, key: str, value: Any) -> None:
        self._check()
        self._kept[key] = json.dumps(value)

    def _check(self) -> None:
        if not self._works:
            raise RuntimeError("Airflow's API does not answer")
