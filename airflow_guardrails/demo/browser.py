"""The page "Rollouts" of the demo's Airflow: its addresses, and a window of the user's browser for it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from urllib.parse import urlencode

# In Airflow's UI, and on its own. Neither asks for a login: every visitor of the demo's Airflow is an admin.
_IN_AIRFLOW = "/plugin/rollouts"
_ON_ITS_OWN = "/airflow-guardrails/rollouts"


def list_page(airflow_url: str) -> str:
    """Return the URL of the list in Airflow's UI."""
    return f"{airflow_url}{_IN_AIRFLOW}"


def rollout_page(airflow_url: str, *, dag_id: str, run_id: str, task_id: str) -> str:
    """Return the URL of one rollout or shadow test."""
    return f"{airflow_url}{_ON_ITS_OWN}?{urlencode({'dag_id': dag_id, 'run_id': run_id, 'task_id': task_id})}"


def open_in_browser(url: str) -> bool:
    """
    Open *url* in the user's browser; return whether that was tried.

    Nothing is opened in CI, without a display, or if the output is not a terminal: then nobody watches.
    """
    if not (sys.stdout.isatty() and _has_display(os.environ, sys.platform)):
        return False
    try:
        browser = webbrowser.get()
        # A browser of this very type runs in the terminal and blocks it, for example w3m.
        return type(browser) is not webbrowser.GenericBrowser and browser.open(url)
    except (OSError, webbrowser.Error):
        return False


def _has_display(environ: Mapping[str, str], platform: str) -> bool:
    if environ.get("CI") or environ.get("SSH_CONNECTION"):
        return False
    return platform in ("darwin", "win32") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
