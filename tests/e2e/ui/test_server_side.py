import pytest

from tests.e2e.ui.server import in_flight

pytestmark = pytest.mark.e2e
API = "/airflow-guardrails/api"
WHERE = {"dag_id": "deploy", "run_id": "manual__2026-03-02T00:00:00+00:00", "task_id": "update"}


def test_a_rollout_in_flight_is_listed_and_shown(server):
    server.add_rollout(in_flight(), **WHERE)

    (item,) = server.get(f"{API}/rollouts").json()["items"]
    shown = server.get(f"{API}/rollout", params=WHERE).json()

    assert (item["live"], item["stop"]) == (True, {"task_id": "update", "map_index": -1})
    assert shown["item"]["report"]["summary"] == in_flight()["summary"]
    assert [entry["endpoint_config_name"] for entry in shown["history"]] == ["churn-v42"]
    assert server.get(f"/api/v2/dags/deploy/dagRuns/{WHERE['run_id']}/taskInstances/update").json()["state"]


def test_marking_the_task_failed_by_airflows_api_stops_it(server):
    server.add_rollout(in_flight(), **WHERE)
    path = f"/api/v2/dags/deploy/dagRuns/{WHERE['run_id']}/taskInstances/update"

    answer = server.request("PATCH", path, json={"new_state": "failed"})

    assert answer.status_code == 200, answer.text
    assert server.state(**WHERE) == "failed"


def test_a_mapped_task_is_stopped_by_its_index(server):
    for map_index in (0, 1):
        report = in_flight(endpoint_name=f"churn-{map_index}")
        server.add_rollout(report, **WHERE, map_index=map_index)
    path = f"/api/v2/dags/deploy/dagRuns/{WHERE['run_id']}/taskInstances/update/1"

    answer = server.request("PATCH", path, json={"new_state": "failed"})

    assert answer.status_code == 200, answer.text
    states = [server.state(**WHERE, map_index=map_index) for map_index in (0, 1)]
    assert states == ["deferred", "failed"]
