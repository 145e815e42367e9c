"""
The page "Rollouts" in Airflow's UI.

Airflow loads this module through the entry point ``airflow.plugins``, in all of its components. Only the API
server reads ``fastapi_apps``, so only there FastAPI is imported, which takes half a second.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

from airflow_guardrails.links.rollout_page import PAGE_PREFIX, airflow_url, is_page_on


class RolloutsPlugin(AirflowPlugin):
    """A page with all rollouts, a tab at each task instance, a card on the dashboard, and their JSON API."""

    name = "airflow_guardrails"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The app that serves the page and its API."""
        if not is_page_on():
            return []
        from airflow_guardrails.plugins._web.app import create_app  # noqa: PLC0415 - see the module

        return [{"app": create_app(), "url_prefix": PAGE_PREFIX, "name": "Rollouts"}]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Where Airflow's UI shows the page; ``rollouts-host.js`` has a component for each of these names."""
        if not is_page_on():
            return []
        # React instead of an iframe: in an iframe of Airflow, confirm() and links to new tabs do nothing.
        # Airflow 3.1 does not resolve the URL against its own base path.
        bundle = f"{urlsplit(airflow_url()).path}{PAGE_PREFIX}/static/rollouts-host.js"
        return [
            {
                "name": "Rollouts",
                "destination": "nav",
                "url_route": "rollouts",
                "category": "browse",
                "bundle_url": bundle,
            },
            {"name": "Rollout", "destination": "task_instance", "url_route": "rollout", "bundle_url": bundle},
            {
                "name": "AirflowGuardrailsCard",
                "destination": "dashboard",
                "url_route": "rollouts-card",
                "bundle_url": bundle,
            },
        ]
