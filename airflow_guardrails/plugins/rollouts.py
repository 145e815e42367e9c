"""
The page "Rollouts" in Airflow's UI.

Airflow loads this module through the entry point ``airflow.plugins`` in each of its components. The app is
built only in the API server, because importing FastAPI takes half a second.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/airflow-guardrails"


class RolloutsPlugin(AirflowPlugin):
    """A page with all rollouts, a tab at each task instance, a card on the dashboard, and their JSON API."""

    name = "airflow_guardrails"

    # A property, because every component loads plugins, and only the API server reads this attribute.
    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The app that serves the page and its API."""
        from airflow_guardrails.plugins._web.app import create_app  # noqa: PLC0415 - see the module

        return [{"app": create_app(), "url_prefix": PREFIX, "name": "Rollouts"}]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Where Airflow's UI shows the page. The module registers a component under each of these names."""
        bundle = f"{base_path()}{PREFIX}/static/rollouts-host.js"
        return [
            {"name": name, "bundle_url": bundle, "destination": destination, "url_route": route, **more}
            for name, destination, route, more in (
                ("Rollouts", "nav", "rollouts", {"category": "browse"}),
                ("Rollout", "task_instance", "rollout", {}),
                ("AirflowGuardrailsCard", "dashboard", "rollouts-card", {}),
            )
        ]


def base_path() -> str:
    """Return the path under which Airflow is served, without a trailing slash; "" for the root."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
