"""DAGs, runs, task instances and XComs in Airflow's database, as a test needs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from airflow_guardrails.links.rollout_page import RolloutPageLink
from airflow_guardrails.links.sagemaker import LINK_DATA_KEY

BUNDLE = "dags-folder"
KEY_BY_KIND = {"rollout": "rollout_report", "shadow_test": "shadow_test_report"}


class AirflowRows:
    """Writes into the database of an Airflow, without that Airflow."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # DAG -> task -> whether it is mapped
        self._tasks: dict[str, dict[str, bool]] = {}

    def add_rollout(
        self,
        report: Any,
        *,
        dag_id: str,
        run_id: str,
        task_id: str,
        state: str | None = "deferred",
        map_index: int = -1,
        kind: str = "rollout",
        seen_at: datetime | None = None,
        operator: str = "SageMakerGuardedUpdateOperator",
    ) -> None:
        """
        Add a task instance that has published *report*, with its run and DAG where they are not there yet.

        :param kind: ``"rollout"`` or ``"shadow_test"``.
        :param seen_at: when it was published; default: now.
        """
        where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        self.add_task(**where, state=state, operator=operator)
        self.add_xcom(KEY_BY_KIND[kind], report, **where, at=seen_at)
        if isinstance(report, Mapping):
            links = {"region": "eu-west-1", "endpoint_name": report.get("endpoint_name"), "alarms": []}
            self.add_xcom(LINK_DATA_KEY, links, **where, at=seen_at)

    def replace_report(
        self,
        report: Any,
        *,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int = -1,
        state: str | None = None,
        kind: str = "rollout",
        seen_at: datetime | None = None,
    ) -> None:
        """Publish another report of a task instance; *state*: its new state, None: as before."""
        where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        if state is not None:
            self.set_state(state, **where)
        self.add_xcom(KEY_BY_KIND[kind], report, **where, at=seen_at)

    def add_task(
        self, *, dag_id: str, run_id: str, task_id: str, state: str | None, operator: str, map_index: int = -1
    ) -> None:
        """Add a task instance that has published nothing."""
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

        tasks = self._tasks.setdefault(dag_id, {})
        is_new = task_id not in tasks
        tasks[task_id] = map_index >= 0
        with Session(self.engine) as session:
            version = self._write_dag(session, dag_id) if is_new else _latest_version(session, dag_id)
            self._write_run(session, dag_id, run_id, version)
            task = _add_operator(task_id)
            instance = TaskInstance(task=task, run_id=run_id, map_index=map_index, dag_version_id=version)
            instance.dag_id, instance.state, instance.operator = dag_id, state, operator
            instance.try_number, instance.max_tries = 1, 0
            instance.start_date = datetime.now(timezone.utc)
            session.add(instance)
            session.commit()

    def add_dag(self, dag_id: str, *, tag: str, is_paused: bool = False) -> None:
        """Add a DAG of one task, with a tag and the parameter ``endpoint_name``."""
        from airflow.models.dag import DagModel, DagTag  # noqa: PLC0415

        self._tasks.setdefault(dag_id, {})["task"] = False
        with Session(self.engine) as session:
            self._write_dag(session, dag_id, params={"endpoint_name": "none"})
            session.add(DagTag(dag_id=dag_id, name=tag))
            session.get_one(DagModel, dag_id).is_paused = is_paused
            session.commit()

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the configurations with which runs of a DAG were started."""
        from airflow.models.dagrun import DagRun  # noqa: PLC0415

        with Session(self.engine) as session:
            return [run.conf for run in session.scalars(select(DagRun).filter_by(dag_id=dag_id))]

    def set_state(
        self, state: str | None, *, dag_id: str, run_id: str, task_id: str, map_index: int = -1
    ) -> None:
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

        with Session(self.engine) as session:
            self._instance(session, TaskInstance, dag_id, run_id, task_id, map_index).state = state
            session.commit()

    def state(self, *, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str | None:
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

        with Session(self.engine) as session:
            state: str | None = self._instance(
                session, TaskInstance, dag_id, run_id, task_id, map_index
            ).state
            return state

    def add_xcom(
        self,
        key: str,
        value: Any,
        *,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int = -1,
        at: datetime | None = None,
    ) -> None:
        """Publish a value, in the place of an older one."""
        from airflow.models.xcom import XComModel  # noqa: PLC0415

        with Session(self.engine) as session:
            run = _run(session, dag_id, run_id)
            assert run is not None
            where = {"dag_run_id": run.id, "task_id": task_id, "map_index": map_index, "key": key}
            session.execute(delete(XComModel).filter_by(**where))
            moment = at or datetime.now(timezone.utc)
            session.add(XComModel(**where, dag_id=dag_id, run_id=run_id, value=value, timestamp=moment))
            session.commit()

    def clear(self) -> None:
        """Delete all DAGs and what they have, so that a test sees only its own."""
        from airflow.models.dag import DagModel, DagTag  # noqa: PLC0415
        from airflow.models.dag_version import DagVersion  # noqa: PLC0415
        from airflow.models.dagrun import DagRun  # noqa: PLC0415
        from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
        from airflow.models.xcom import XComModel  # noqa: PLC0415

        with Session(self.engine) as session:
            for model in (XComModel, TaskInstance, DagRun, SerializedDagModel, DagVersion, DagTag, DagModel):
                session.execute(delete(model))
            session.commit()
        self._tasks.clear()

    def _write_dag(self, session: Session, dag_id: str, params: dict[str, Any] | None = None) -> Any:
        from airflow.models.dag import DagModel  # noqa: PLC0415
        from airflow.models.dagbundle import DagBundleModel  # noqa: PLC0415
        from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
        from airflow.sdk import DAG  # noqa: PLC0415
        from airflow.serialization.serialized_objects import LazyDeserializedDAG  # noqa: PLC0415

        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
        start = datetime(2026, 1, 1, tzinfo=timezone.utc)
        with DAG(dag_id, schedule=None, start_date=start, params=params) as dag:
            for task_id, is_mapped in self._tasks[dag_id].items():
                _add_operator(task_id, is_mapped=is_mapped)
        dag.fileloc, dag.relative_fileloc = __file__, f"{dag_id}.py"
        if session.get(DagModel, dag_id) is None:
            model = DagModel(dag_id=dag_id, bundle_name=BUNDLE, is_paused=False, is_stale=False)
            model.fileloc, model.relative_fileloc = dag.fileloc, dag.relative_fileloc
            model.max_active_tasks, model.max_consecutive_failed_dag_runs = 16, 0
            model.has_task_concurrency_limits = False
            session.add(model)
            session.flush()
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name=BUNDLE, session=session)
        session.flush()
        return _latest_version(session, dag_id)

    def _write_run(self, session: Session, dag_id: str, run_id: str, version: Any) -> None:
        from airflow.models.dagrun import DagRun  # noqa: PLC0415

        if _run(session, dag_id, run_id) is not None:
            return
        now = datetime.now(timezone.utc)
        run = DagRun(dag_id=dag_id, run_id=run_id, run_type="manual", run_after=now, start_date=now)
        run.created_dag_version_id, run._state = version, "running"
        session.add(run)
        session.flush()

    @staticmethod
    def _instance(
        session: Session, model: Any, dag_id: str, run_id: str, task_id: str, map_index: int
    ) -> Any:
        where = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        return session.scalars(select(model).filter_by(**where)).one()


def _run(session: Session, dag_id: str, run_id: str) -> Any:
    from airflow.models.dagrun import DagRun  # noqa: PLC0415

    return session.scalars(select(DagRun).filter_by(dag_id=dag_id, run_id=run_id)).one_or_none()


def _latest_version(session: Session, dag_id: str) -> Any:
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415

    query = select(DagVersion.id).filter_by(dag_id=dag_id).order_by(DagVersion.version_number.desc()).limit(1)
    return session.scalar(query)


def _add_operator(task_id: str, *, is_mapped: bool = False) -> Any:
    from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: PLC0415

    if is_mapped:
        return EmptyOperator.partial(task_id=task_id).expand(doc=["mapped"])
    operator = EmptyOperator(task_id=task_id)
    # As the tasks of this package have it.
    operator.operator_extra_links = (RolloutPageLink(),)
    return operator
