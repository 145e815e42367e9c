"""Run a DAG in this process, and keep what came of each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from airflow_guardrails.triggers._keys import REPORT_KEY

if TYPE_CHECKING:
    from airflow.sdk import DAG

_BUNDLE = "airflow-guardrails-testing"


class DagTestRun:
    """
    One run of a DAG that has ended.

    :ivar state: ``"success"`` or ``"failed"``.
    :ivar states: task id -> state of its task instance; of a mapped task ``id[0]``, ``id[1]``, ...
    """

    def __init__(self, run: Any, errors: Mapping[str, BaseException]) -> None:
        self.state = str(run.state)
        instances = run.get_task_instances()
        self.states = {_name(each): None if each.state is None else str(each.state) for each in instances}
        self._instances = {_name(each): each for each in instances}
        self._errors = errors

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """
        Return what a task has pushed; None if it has not.

        :raises KeyError: if the run has no such task.
        """
        instance = self._instances[task_id]
        return instance.xcom_pull(
            task_ids=instance.task_id, key=key, map_indexes=instance.map_index, run_id=instance.run_id
        )

    def report(self, task_id: str | None = None) -> dict[str, Any]:
        """
        Return the report of a rollout.

        :param task_id: the task that has reported it; default: the first that has.
        :raises LookupError: if there is no report; the text has the states and errors of the tasks.
        """
        names = [task_id] if task_id else list(self._instances)
        found = next((report for name in names if (report := self.xcom(name, REPORT_KEY))), None)
        if found is None:
            raise LookupError(f"No rollout was reported. States: {self.states}. Errors: {dict(self._errors)}")
        return dict(found)

    def outcome(self, task_id: str | None = None) -> str:
        """Return the outcome of a rollout, for example ``"RolledBack"``; see :meth:`report`."""
        return str(self.report(task_id)["outcome"])

    def error(self, task_id: str) -> BaseException | None:
        """
        Return the error with which a task failed; None if it has not failed.

        :raises KeyError: if the run has no such task.
        """
        if task_id not in self.states:
            raise KeyError(task_id)
        return self._errors.get(task_id)


def run_dag(dag: DAG, *, conf: Mapping[str, Any] | None) -> DagTestRun:
    """Run *dag* by ``dag.test()``; see :meth:`airflow_guardrails.testing.world.RolloutWorld.run`."""
    _write_dag(dag)
    errors: dict[str, BaseException] = {}
    with _errors_kept(errors):
        run = dag.test(run_conf=dict(conf or {}))
    return DagTestRun(run, errors)


def _write_dag(dag: DAG) -> None:
    """Write the DAG to the database: ``dag.test()`` does so only with DAGs from the folder of DAGs."""
    from airflow.models.dag import DagModel  # noqa: PLC0415 - needs the database
    from airflow.models.dagbundle import DagBundleModel  # noqa: PLC0415
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
    from airflow.serialization.serialized_objects import LazyDeserializedDAG  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    with create_session() as session:
        if session.get(DagBundleModel, _BUNDLE) is None:
            session.add(DagBundleModel(name=_BUNDLE))
            session.flush()
        if session.get(DagModel, dag.dag_id) is None:
            new: Any = DagModel  # Airflow has no types for it
            model = new(dag_id=dag.dag_id, bundle_name=_BUNDLE, is_paused=False, is_stale=False)
            model.fileloc = dag.fileloc
            model.relative_fileloc = dag.relative_fileloc or dag.fileloc
            model.max_active_tasks = dag.max_active_tasks
            model.max_consecutive_failed_dag_runs = 0
            model.has_task_concurrency_limits = False
            session.add(model)
            session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDagModel.write_dag(lazy, bundle_name=_BUNDLE, min_update_interval=None, session=session)


@contextmanager
def _errors_kept(errors: dict[str, BaseException]) -> Iterator[None]:
    """Keep the error of each task that fails: ``dag.test()`` only logs it."""
    from airflow.sdk.execution_time import supervisor  # noqa: PLC0415 - slow

    run = supervisor.run_task_in_process

    def run_and_keep(ti: Any, task: Any) -> Any:
        result = run(ti=ti, task=task)
        if result.error is not None:
            errors[_name(ti)] = result.error
        return result

    with mock.patch.object(supervisor, "run_task_in_process", run_and_keep):
        yield


def _name(instance: Any) -> str:
    index = instance.map_index
    return f"{instance.task_id}[{index}]" if index is not None and index >= 0 else str(instance.task_id)
