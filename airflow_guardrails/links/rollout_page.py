"""The link from a task to its rollout on the page "Rollouts", which this package adds to Airflow's UI."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

# Below Airflow's base URL.
PAGE_PREFIX = "/airflow-guardrails"


def is_page_on() -> bool:
    """Return whether Airflow serves the page: option ``[airflow_guardrails] page``, by default True."""
    return bool(conf.getboolean("airflow_guardrails", "page", fallback=True))


def airflow_url() -> str:
    """Return ``[api] base_url`` without a trailing slash; "" if it is not set, which is the server's root."""
    return (conf.get("api", "base_url", fallback="") or "").rstrip("/")


class RolloutPageLink(BaseOperatorLink):
    """The rollout or shadow test of the task, on a page of its own, which needs no right to read plugins."""

    @property
    def name(self) -> str:
        """The text of the button."""
        return "Rollout"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL; "" if the page is turned off."""
        # Airflow calls this in the worker, also at a deferral, and stores the URL for the UI.
        if not is_page_on():
            return ""
        task_instance = {name: getattr(ti_key, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
        return f"{airflow_url()}{PAGE_PREFIX}/rollouts?{urlencode(task_instance)}"


def endpoint_page_url(endpoint_name: str) -> str | None:
    """Return the absolute URL of all rollouts of an endpoint; None without ``[api] base_url``, or a page."""
    if not (airflow_url() and is_page_on()):
        return None
    return f"{airflow_url()}{PAGE_PREFIX}/rollouts?{urlencode({'endpoint': endpoint_name})}"
