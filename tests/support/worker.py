"""A task in Airflow's own task runner and its callbacks, without Airflow's other processes."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import structlog
from airflow.api_fastapi.execution_api.datamodels.taskinstance import TaskInstance
from airflow.callbacks.callback_requests import TaskCallbackRequest
from airflow.dag_processing import processor
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    GetTaskStates,
    GetXCom,
    InactiveAssetsResult,
    OKResponse,
    SetXCom,
    TaskStatesResult,
    ValidateInletsAndOutlets,
    XComResult,
)
from airflow.utils.state import TaskInstanceState

RUN_AFTER = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


class Worker:
    """Runs the tasks of one DAG, and keeps what they send to Airflow."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.dag = DAG("deploy", start_date=RUN_AFTER, schedule=None)
        self.messages: list[Any] = []
        # Whether Airflow has retries left for a task that fails.
        self.should_retry = False
        # What the last task told Airflow of its end.
        self.last_message: Any = None
        # What the last task raised.
        self.error: BaseException | None = None
        self.xcoms: dict[tuple[str, str], Any] = {}
        self.states: dict[str, str] = {}
        patch.setattr(task_runner, "SUPERVISOR_COMMS", self, raising=False)

    def run(self, task: Any, map_index: int = -1) -> TaskInstanceState:
        """Run *task* to its end and call its callbacks; return the state that it ended with."""
        task_instance = self._task_instance(task, map_index)
        context = task_instance.get_template_context()
        log = structlog.get_logger("task")
        state, self.last_message, error = task_runner.run(task_instance, context, log)
        self.error = error
        # As task_runner.main() does it.
        context["exception"] = error
        task_runner.finalize(task_instance, state, context, log, error)
        return state

    def lose(self, task: Any) -> None:
        """Let the DAG processor call the callbacks of *task*, as it does if the worker was lost."""
        request = TaskCallbackRequest.model_construct(
            ti=TaskInstance.model_construct(**_ids(task)),
            task_callback_type=TaskInstanceState.FAILED,
            context_from_server=self._run_context(),
        )
        bag: Any = SimpleNamespace(dags={"deploy": self.dag}, import_errors={})
        processor._execute_task_callbacks(bag, request, structlog.get_logger("callbacks"))

    def send(self, msg: Any) -> Any:
        """Answer a message of the task, as the supervisor of a worker does."""
        self.messages.append(msg)
        match msg:
            case SetXCom():
                self.xcoms[msg.task_id, msg.key] = msg.value
            case GetXCom():
                return XComResult(key=msg.key, value=self.xcoms.get((msg.task_id, msg.key)))
            case GetTaskStates():
                states = {task_id: self.states.get(task_id) for task_id in msg.task_ids}
                return TaskStatesResult(task_states={"run": states})
            case ValidateInletsAndOutlets():
                return InactiveAssetsResult(inactive_assets=[])
        return OKResponse(ok=True)

    def _task_instance(self, task: Any, map_index: int) -> task_runner.RuntimeTaskInstance:
        return task_runner.RuntimeTaskInstance.model_construct(
            **{**_ids(task), "map_index": map_index},
            task=task,
            max_tries=0,
            start_date=RUN_AFTER,
            bundle_instance=None,
            _ti_context_from_server=self._run_context(),
        )

    def _run_context(self) -> TIRunContext:
        nothing = dict.fromkeys(DagRun.model_fields)
        known = {"dag_id": "deploy", "run_id": "run", "run_after": RUN_AFTER, "consumed_asset_events": []}
        run = DagRun.model_construct(**{**nothing, **known})
        return TIRunContext.model_construct(dag_run=run, max_tries=0, should_retry=self.should_retry)


def _ids(task: Any) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "dag_id": "deploy",
        "task_id": task.task_id,
        "run_id": "run",
        "map_index": -1,
        "try_number": 1,
    }
