"""The page's API in a real API server of Airflow: what it serves, and how Airflow's own API acts on it."""

from __future__ import annotations

import pytest

from tests.support.rollout_reports import in_flight

pytestmark = pytest.mark.e2e

API = "/airflow-guardrails/api"
WHERE = {"dag_id": "deploy", "run_id": "manual__2026-03-02T00:00:00+00:00", "task_id": "update"}
TASK_PATH = f"/api/v2/dags/deploy/dagRuns/{WHERE['run_id']}/taskInstances/update"


def test_a_rollout_in_flight_is_listed_and_shown(server):
    server.add_rollout(in_flight(), **WHERE)

    (item,) = server.get(f"{API}/rollouts").json()["items"]
    shown = server.get(f"{API}/rollout", params=WHERE).json()

    assert (item["live"], item["stop"]) == (True, {"task_id": "update", "map_index": -1})
    assert shown["item"]["report"]["stages"] == []
    assert "stages" not in item["report"]
    assert [entry["endpoint_config_name"] for entry in shown["history"]] == ["churn-v42"]


def test_the_next_page_begins_where_this_one_ends(server):
    for number in range(3):
        where = {**WHERE, "run_id": f"run-{number}"}
        server.add_rollout(in_flight(endpoint_config_name=f"v{number}"), **where)

    first = server.get(f"{API}/rollouts", params={"limit": 2}).json()
    second = server.get(f"{API}/rollouts", params={"limit": 2, "before": first["next"]}).json()

    names = [item["report"]["endpoint_config_name"] for item in (*first["items"], *second["items"])]
    assert (names, second["next"]) == (["v2", "v1", "v0"], None)


def test_a_document_is_sent_again_only_if_it_has_changed(server):
    server.add_rollout(in_flight(), **WHERE)
    first = server.get(f"{API}/rollouts")
    known = {"If-None-Match": first.headers["ETag"]}

    unchanged = server.get(f"{API}/rollouts", headers=known)
    server.replace_report(in_flight(summary="BAKING 4 of 4"), **WHERE)
    changed = server.get(f"{API}/rollouts", headers=known)

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == first.headers["ETag"]
    assert changed.json()["items"][0]["report"]["summary"] == "BAKING 4 of 4"


@pytest.mark.parametrize("path", ["rollouts", "static/rollouts.js", "static/rollouts-host.js"])
def test_a_file_of_the_page_is_sent_again_only_if_it_has_changed(server, path):
    first = server.get(f"/airflow-guardrails/{path}")
    again = server.get(f"/airflow-guardrails/{path}", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


@pytest.mark.parametrize(
    "asked",
    [
        {"outcome": "Exploded"},
        {"kind": "deployment"},
        {"live": "perhaps"},
        {"limit": "0"},
        {"limit": "101"},
        {"before": "yesterday"},
        {"before": "WzEsMiwzXQ=="},
        {"before": "\u00fc"},
    ],
    ids=repr,
)
def test_a_question_that_makes_no_sense_is_refused(server, asked):
    assert server.get(f"{API}/rollouts", params=asked).status_code == 422


@pytest.mark.parametrize("other", [{"task_id": "train"}, {"map_index": 3}, {"run_id": "x"}, {"dag_id": "x"}])
def test_a_task_instance_without_a_rollout_is_not_found(server, other):
    server.add_rollout(in_flight(), **WHERE)

    assert server.get(f"{API}/rollout", params={**WHERE, **other}).status_code == 404


def test_a_number_that_json_does_not_have_is_null(server):
    server.add_rollout(in_flight(analysis={"reasons": [{"measured": float("nan")}]}), **WHERE)

    (item,) = server.get(f"{API}/rollouts").json()["items"]

    assert item["report"]["analysis"]["reasons"][0]["measured"] is None


def test_marking_the_task_failed_by_airflows_api_stops_it(server):
    server.add_rollout(in_flight(), **WHERE)

    answer = server.request("PATCH", TASK_PATH, json={"new_state": "failed"})

    assert answer.status_code == 200, answer.text
    assert server.state(**WHERE) == "failed"


def test_a_mapped_task_is_stopped_by_its_index(server):
    for map_index in (0, 1):
        report = in_flight(endpoint_name=f"churn-{map_index}")
        server.add_rollout(report, **WHERE, map_index=map_index)

    answer = server.request("PATCH", f"{TASK_PATH}/1", json={"new_state": "failed"})

    assert answer.status_code == 200, answer.text
    states = [server.state(**WHERE, map_index=map_index) for map_index in (0, 1)]
    assert states == ["deferred", "failed"]


def test_airflow_knows_where_its_ui_shows_the_page(server):
    (plugin,) = [
        plugin
        for plugin in server.get("/api/v2/plugins", params={"limit": 100}).json()["plugins"]
        if plugin["name"] == "airflow_guardrails"
    ]

    shown = {app["destination"]: app["name"] for app in plugin["react_apps"]}
    bundles = {app["bundle_url"] for app in plugin["react_apps"]}
    assert shown == {
        "nav": "Rollouts",
        "task_instance": "Rollout",
        "dashboard": "AirflowGuardrailsCard",
    }
    assert bundles == {"/airflow/airflow-guardrails/static/rollouts-host.js"}
