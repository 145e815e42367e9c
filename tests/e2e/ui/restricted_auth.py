"""Airflow's simple auth manager, with three users who may do less than their role; the API server's."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

# Reads this DAG only.
ONE_DAG_USER, ONE_DAG = "one_dag", "deploy_allowed"
# Reads DAGs, but not their XComs.
NO_XCOMS_USER = "no_xcoms"
# As the role Viewer of the FAB auth manager, which may not read plugins: Airflow's UI shows it no tabs.
NO_PLUGINS_USER = "no_plugins"


class RestrictedAuthManager(SimpleAuthManager):
    def is_authorized_dag(self, *, user: Any, access_entity: Any = None, details: Any = None, **more: Any):
        name = user.username
        if name == ONE_DAG_USER and details and details.id and details.id != ONE_DAG:
            return False
        if name == NO_XCOMS_USER and access_entity is DagAccessEntity.XCOM:
            return False
        return super().is_authorized_dag(user=user, access_entity=access_entity, details=details, **more)

    def is_authorized_view(self, *, access_view: Any, user: Any):
        if user.username == NO_PLUGINS_USER and access_view is AccessView.PLUGINS:
            return False
        return super().is_authorized_view(access_view=access_view, user=user)
