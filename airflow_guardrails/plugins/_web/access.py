"""Which DAGs a user may see the rollouts of: those that he may read, XComs included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.configuration import conf
from airflow.models.dag import DagModel
from sqlalchemy.orm import Session


def may_read(dag_id: str, *, user: Any, session: Session) -> bool:
    """Return whether *user* may read the DAG and its XComs."""
    return _may_read_all([dag_id], user=user, session=session)


def readable(dag_ids: Iterable[str], *, user: Any, session: Session) -> frozenset[str]:
    """Return those of *dag_ids* that *user* may read, XComs included."""
    # An auth manager may answer for all DAGs at once, but not for their XComs.
    allowed = get_auth_manager().get_authorized_dag_ids(user=user, method="GET", session=session)
    wanted = [dag_id for dag_id in dag_ids if dag_id in allowed]
    # Most users may read all of them. Some auth managers ask another service: once here, instead of for each.
    if _may_read_all(wanted, user=user, session=session):
        return frozenset(wanted)
    return frozenset(dag_id for dag_id in wanted if may_read(dag_id, user=user, session=session))


def first_readable(
    dags: Iterable[Mapping[str, Any]], *, user: Any, session: Session
) -> Mapping[str, Any] | None:
    """Return the first of *dags* (each with a ``dag_id``) that *user* may read; its XComs do not matter."""
    allowed = get_auth_manager().get_authorized_dag_ids(user=user, method="GET", session=session)
    return next((dag for dag in dags if dag["dag_id"] in allowed), None)


def _may_read_all(dag_ids: list[str], *, user: Any, session: Session) -> bool:
    teams = _teams(dag_ids, session)
    details = [DagDetails(id=dag_id, team_name=teams.get(dag_id)) for dag_id in dag_ids]
    return get_auth_manager().batch_is_authorized_dag(
        [
            {"method": "GET", "access_entity": entity, "details": dag}
            for entity in (None, DagAccessEntity.XCOM)
            for dag in details
        ],
        user=user,
    )


def _teams(dag_ids: list[str], session: Session) -> dict[str, str | None]:
    if not conf.getboolean("core", "multi_team", fallback=False):
        return {}
    teams: dict[str, str | None] = DagModel.get_dag_id_to_team_name_mapping(dag_ids, session=session)
    return teams
