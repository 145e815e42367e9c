"""Which DAGs a user may see the rollouts of: those that he may read, XComs included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.configuration import conf
from airflow.models.dag import DagModel
from sqlalchemy.orm import Session


def may_read(dag_id: str, *, user: Any, session: Session) -> bool:
    """Return whether *user* may read the DAG and its XComs."""
    is_authorized = get_auth_manager().is_authorized_dag
    details = DagDetails(id=dag_id, team_name=_team(dag_id, session))
    return is_authorized(method="GET", details=details, user=user) and is_authorized(
        method="GET", access_entity=DagAccessEntity.XCOM, details=details, user=user
    )


def readable(dag_ids: Iterable[str], *, user: Any, session: Session) -> frozenset[str]:
    """Return those of *dag_ids* that *user* may read, XComs included."""
    # An auth manager may answer for all DAGs at once, but not for their XComs.
    allowed = get_auth_manager().get_authorized_dag_ids(user=user, method="GET", session=session)
    return frozenset(
        dag_id for dag_id in dag_ids if dag_id in allowed and may_read(dag_id, user=user, session=session)
    )


def _team(dag_id: str, session: Session) -> str | None:
    if not conf.getboolean("core", "multi_team", fallback=False):
        return None
    return DagModel.get_team_name(dag_id, session=session)
