"""How Airflow finds the page, and what its other components pay for it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from airflow_guardrails.plugins.rollouts import RolloutsPlugin

PROGRAM = """
import sys
from airflow import plugins_manager
before = set(sys.modules)
from airflow_guardrails.plugins.rollouts import RolloutsPlugin
RolloutsPlugin.validate()
plugin = RolloutsPlugin()
plugin.on_load()
plugin.listeners, plugin.macros, plugin.timetables
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new & {"fastapi", "starlette", "pydantic", "boto3", "botocore", "sqlalchemy"}))
print(*[name for name in sys.modules if name.startswith("airflow_guardrails.plugins")])
"""


def test_the_entry_point_leads_to_the_plugin():
    (point,) = [
        point for point in entry_points(group="airflow.plugins") if point.name == "airflow_guardrails"
    ]

    assert point.load() is RolloutsPlugin


def test_components_that_serve_no_page_import_nothing_for_it():
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    *_, heavy, ours = done.stdout.splitlines()
    assert heavy == ""
    assert ours.split() == ["airflow_guardrails.plugins", "airflow_guardrails.plugins.rollouts"]


@pytest.mark.parametrize(
    ("base_url", "bundle"),
    [
        (
            "https://airflow.example.com/team/airflow/",
            "/team/airflow/airflow-guardrails/static/rollouts-host.js",
        ),
        ("http://localhost:8080", "/airflow-guardrails/static/rollouts-host.js"),
        ("", "/airflow-guardrails/static/rollouts-host.js"),
    ],
)
def test_the_ui_loads_the_page_from_below_airflows_base_path(monkeypatch, base_url, bundle):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)

    assert {app["bundle_url"] for app in RolloutsPlugin().react_apps} == {bundle}


def test_the_app_is_built_once():
    plugin = RolloutsPlugin()

    assert plugin.fastapi_apps[0]["app"] is plugin.fastapi_apps[0]["app"]


def test_a_page_that_is_turned_off_is_not_served(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AIRFLOW_GUARDRAILS__PAGE", "False")

    plugin = RolloutsPlugin()

    assert (plugin.fastapi_apps, plugin.react_apps) == ([], [])
