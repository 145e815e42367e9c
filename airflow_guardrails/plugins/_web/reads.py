"""
What the page reads from Airflow's database. Nothing else of the page touches it, and nothing here writes.

Reports are found by their keys first and read afterwards: sorting rows together with long values is slow.

Each task of this package leaves two XComs: its report, which may have 25 kB, and the data of its links, which
is short and has the name of the endpoint too. So the links tell which reports are worth reading.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import and_, literal, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

# SQLAlchemy 1.4, which Airflow 3.1's FAB provider needs, has it only here.
from sqlalchemy.sql.elements import ColumnElement

from airflow_guardrails.links.sagemaker import LINK_DATA_KEY
from airflow_guardrails.plugins._web.items import (
    KEY_BY_KIND,
    KIND_BY_KEY,
    LIVE_STATES,
    Item,
    Kind,
    Peer,
    Position,
    Told,
    items_of,
    task_group,
)

# Names of classes: importing them would load the operators into the API server.
CONCLUDING = "SageMakerConcludeRolloutOperator"
JUDGING = "SageMakerJudgeShadowTestOperator"
_VERDICT_KEY = "verdict"
# The tag of a DAG that rolls back any endpoint.
ROLLBACK_TAG = "airflow-guardrails-rollback"
# Several reports make one item.
_REPORTS_OF_ITEM = 3
# Only the reports themselves have the outcome. So many are looked into to find some, and then more at a time.
_OUTCOMES_AT_ONCE, _GROWTH, _MOST_AT_ONCE = 1000, 4, 16_000
# SQLite takes no more than 32,766 values in a statement.
_MOST_RUNS = 30_000

_POSITION = (
    XComModel.timestamp,
    XComModel.dag_run_id,
    XComModel.task_id,
    XComModel.map_index,
    XComModel.key,
)
_Links = aliased(XComModel)
_ITS_LINKS = and_(
    _Links.dag_run_id == XComModel.dag_run_id,
    _Links.task_id == XComModel.task_id,
    _Links.map_index == XComModel.map_index,
    _Links.key == LINK_DATA_KEY,
)
_ITS_TASK_INSTANCE = and_(
    TaskInstance.dag_id == XComModel.dag_id,
    TaskInstance.task_id == XComModel.task_id,
    TaskInstance.run_id == XComModel.run_id,
    TaskInstance.map_index == XComModel.map_index,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which items are asked for; None: all."""

    endpoint: str | None = None
    outcome: str | None = None
    live: bool | None = None
    kind: Kind | None = None

    def has(self, item: Item) -> bool:
        """Whether the item is one of them."""
        return (
            (self.endpoint is None or self.endpoint == item.endpoint)
            and (self.outcome is None or self.outcome == item.outcome)
            and (self.live is None or self.live == item.live)
        )

    def finds(self, told: Told) -> bool:
        """Whether this report alone leads to such an item."""
        return (
            (self.endpoint is None or self.endpoint == told.report["endpoint_name"])
            and (self.outcome is None or self.outcome == told.report["outcome"])
            and (not self.live or told.state in LIVE_STATES)
        )

    @property
    def keys(self) -> list[str]:
        """The keys of the XComs to look at."""
        return [KEY_BY_KIND[self.kind]] if self.kind else [*KIND_BY_KEY]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some items, newest first, and where the rest begins; None if there are no more."""

    items: tuple[Item, ...]
    next: Position | None


def read_dag_ids(session: Session) -> Sequence[str]:
    """Return the ids of all DAGs that have reported anything."""
    return session.scalars(select(XComModel.dag_id).where(XComModel.key.in_(KIND_BY_KEY)).distinct()).all()


def read_rollback_dags(session: Session) -> list[dict[str, Any]]:
    """
    Return the DAGs that roll back the endpoint in their parameter ``endpoint_name``, those that run first.

    A DAG says so by its tag: a serialized DAG does not show which endpoint a template means.
    """
    rows = session.execute(
        select(DagModel.dag_id, DagModel.is_paused)
        .join(DagTag, DagTag.dag_id == DagModel.dag_id)
        .where(DagTag.name == ROLLBACK_TAG, DagModel.is_stale.is_(False))
        .order_by(DagModel.is_paused, DagModel.dag_id)
    )
    return [{"dag_id": dag_id, "is_paused": is_paused} for dag_id, is_paused in rows]


def read_page(
    session: Session,
    dag_ids: frozenset[str],
    wanted: Wanted,
    *,
    limit: int,
    before: Position | None = None,
) -> Page:
    """
    Return the newest items of some DAGs.

    :param limit: how many at most.
    :param before: the end of the page before; None: begin with the newest.
    """
    runs = None if wanted.endpoint is None else _read_runs(session, wanted.endpoint)
    items: list[Item] = []
    size = limit * _REPORTS_OF_ITEM if wanted.outcome is None else _OUTCOMES_AT_ONCE
    while True:
        positions = _read_positions(session, dag_ids, wanted, runs=runs, before=before, limit=size)
        found = _with_outcome(session, positions, wanted.outcome)
        for some in _in_parts(found, limit):
            shown_at = _read_shown(session, some, wanted)
            for position in some:
                # At one of its reports only, so that an item comes once, on whatever page.
                if item := shown_at.get(position):
                    items.append(item)
                if len(items) == limit:
                    return Page(items=tuple(items), next=position)
        if len(positions) < size:
            return Page(items=tuple(items), next=None)
        before, size = positions[-1], min(size * _GROWTH, _MOST_AT_ONCE)


def read_item(session: Session, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> Item | None:
    """Return what a task instance has reported or concludes; None if there is nothing."""
    own = select(*_POSITION).where(
        XComModel.dag_id == dag_id,
        XComModel.run_id == run_id,
        XComModel.map_index == map_index,
        XComModel.key.in_(KIND_BY_KEY),
    )
    beside = [
        position
        for position in (Position(*row) for row in session.execute(own))
        # The task that concludes has perhaps reported nothing itself.
        if task_group(position.task_id) == task_group(task_id)
    ]
    told = [item for item in _read_items(session, beside) if item.is_told_by(task_id, map_index)]
    return max(told, key=lambda item: item.main.position, default=None)


def _read_runs(session: Session, endpoint: str) -> Sequence[int]:
    """Return the newest DAG runs with a task that has this endpoint."""
    # To look into all reports for the endpoint takes ten times as long.
    links = select(XComModel.dag_run_id).where(
        XComModel.key == LINK_DATA_KEY, _text("endpoint_name") == endpoint
    )
    return session.scalars(links.distinct().order_by(XComModel.dag_run_id.desc()).limit(_MOST_RUNS)).all()


def _read_positions(
    session: Session,
    dag_ids: frozenset[str],
    wanted: Wanted,
    *,
    runs: Sequence[int] | None,
    before: Position | None,
    limit: int,
) -> list[Position]:
    keys = select(*_POSITION).where(XComModel.key.in_(wanted.keys), XComModel.dag_id.in_(dag_ids))
    if runs is not None:
        keys = keys.where(XComModel.dag_run_id.in_(runs), _text("endpoint_name") == wanted.endpoint)
    if wanted.live:
        keys = keys.join(TaskInstance, _ITS_TASK_INSTANCE).where(TaskInstance.state.in_(LIVE_STATES))
    if before is not None:
        values = (before.at, before.dag_run_id, before.task_id, before.map_index, before.key)
        end = tuple_(*(literal(value, column.type) for value, column in zip(values, _POSITION, strict=True)))
        keys = keys.where(tuple_(*_POSITION) < end)
    keys = keys.order_by(*(column.desc() for column in _POSITION)).limit(limit)
    return [Position(*row) for row in session.execute(keys)]


def _with_outcome(session: Session, positions: list[Position], outcome: str | None) -> list[Position]:
    """Return those of *positions* whose report has the outcome; None: all."""
    if outcome is None or not positions:
        return positions
    rows = session.execute(
        select(*_POSITION).where(
            XComModel.dag_run_id.in_({position.dag_run_id for position in positions}),
            XComModel.key.in_(KIND_BY_KEY),
            _text("outcome") == outcome,
        )
    )
    having = {Position(*row) for row in rows}
    return [position for position in positions if position in having]


def _in_parts(positions: list[Position], size: int) -> Iterator[list[Position]]:
    for begin in range(0, len(positions), size):
        yield positions[begin : begin + size]


def _read_shown(session: Session, positions: list[Position], wanted: Wanted) -> dict[Position, Item]:
    """Return the wanted items with a report at *positions*, by the position at which each is shown."""
    shown = {}
    for item in _read_items(session, positions):
        found = [told.position for told in item.told_by if wanted.finds(told)]
        if found and wanted.has(item):
            shown[max(found)] = item
    return shown


def _read_items(session: Session, positions: Sequence[Position]) -> tuple[Item, ...]:
    """Return the items with a report at *positions*, and perhaps others of the same runs."""
    if not positions:
        return ()
    runs = sorted({position.dag_run_id for position in positions})
    told = _read_told(session, runs, _read_endpoints(session, positions))
    names = {one.report["name"] for one in told if one.kind == "shadow_test"}
    peers = _read_peers(session, runs, judged=names)
    return items_of(told, concluding=peers[CONCLUDING], judging=peers[JUDGING])


def _read_endpoints(session: Session, positions: Sequence[Position]) -> list[tuple[int, str | None]]:
    """Return DAG run and endpoint of the reports at *positions*; None if the endpoint is unknown."""
    reports = {(position.dag_run_id, position.task_id, position.map_index) for position in positions}
    rows = session.execute(
        select(XComModel.dag_run_id, _text("endpoint_name", _Links))
        .outerjoin(_Links, _ITS_LINKS)
        .where(
            XComModel.key.in_(KIND_BY_KEY),
            tuple_(XComModel.dag_run_id, XComModel.task_id, XComModel.map_index).in_(reports),
        )
        .distinct()
    )
    return [(run, endpoint) for run, endpoint in rows]


def _read_told(
    session: Session, runs: Sequence[int], endpoints: Sequence[tuple[int, str | None]]
) -> list[Told]:
    """Return the reports of these endpoints, and those whose endpoint is unknown."""
    endpoint = _text("endpoint_name", _Links)
    rows = session.execute(
        select(
            *_POSITION,
            XComModel.dag_id,
            XComModel.run_id,
            TaskInstance.state,
            TaskInstance.try_number,
            XComModel.value,
        )
        .join(TaskInstance, _ITS_TASK_INSTANCE)
        .outerjoin(_Links, _ITS_LINKS)
        .where(
            XComModel.dag_run_id.in_(runs),
            XComModel.key.in_(KIND_BY_KEY),
            or_(
                endpoint.is_(None),
                tuple_(XComModel.dag_run_id, endpoint).in_([one for one in endpoints if one[1] is not None]),
                XComModel.dag_run_id.in_([run for run, name in endpoints if name is None]),
            ),
        )
    )
    return [
        Told(
            position=Position(*position),
            dag_id=dag_id,
            run_id=run_id,
            state=state,
            try_number=try_number,
            value=value,
        )
        for *position, dag_id, run_id, state, try_number, value in rows
    ]


def _read_peers(
    session: Session, runs: Sequence[int], *, judged: Iterable[str]
) -> defaultdict[str, list[Peer]]:
    """
    Return operator -> the task instances of some runs that conclude or judge.

    :param judged: names of the shadow tests whose verdicts are wanted.
    """
    verdict = and_(_ITS_TASK_INSTANCE, XComModel.key == _VERDICT_KEY, _text("name").in_(judged))
    rows = session.execute(
        select(
            TaskInstance.operator,
            DagRun.id,
            TaskInstance.task_id,
            TaskInstance.map_index,
            TaskInstance.state,
            XComModel.value,
        )
        .select_from(DagRun)
        .join(TaskInstance, and_(TaskInstance.dag_id == DagRun.dag_id, TaskInstance.run_id == DagRun.run_id))
        .outerjoin(XComModel, verdict)
        .where(DagRun.id.in_(runs), TaskInstance.operator.in_((CONCLUDING, JUDGING)))
        .order_by(TaskInstance.task_id, TaskInstance.map_index)
    )
    peers = defaultdict[str, list[Peer]](list)
    for operator, run, task_id, map_index, state, value in rows:
        peers[operator].append(
            Peer(dag_run_id=run, task_id=task_id, map_index=map_index, state=state, verdict=value)
        )
    return peers


def _text(name: str, xcom: type[XComModel] = XComModel) -> ColumnElement[str]:
    """Return the text at a key of the report; NULL if the XCom is something else."""
    text: ColumnElement[str] = xcom.value[name].as_string()
    return text
