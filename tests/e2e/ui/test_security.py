"""Who sees what on the page, and that texts of others stay texts."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.ui.restricted_auth import ONE_DAG, ONE_DAG_USER
from tests.support.rollout_reports import in_flight

pytestmark = pytest.mark.e2e

PREFIX = "/airflow-guardrails"
API = f"{PREFIX}/api"
WHERE = {"dag_id": "deploy", "run_id": "monday", "task_id": "update"}
ALLOWED = {**WHERE, "dag_id": ONE_DAG}
ROUTES = {
    "page": f"{PREFIX}/rollouts",
    "script": f"{PREFIX}/static/rollouts.js",
    "host": f"{PREFIX}/static/rollouts-host.js",
    "no file": f"{PREFIX}/static/nothing.js",
    "list": f"{API}/rollouts",
    "one": f"{API}/rollout?dag_id=deploy&run_id=monday&task_id=update",
    "unreadable question": f"{API}/rollouts?limit=no",
}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</script><script>alert(1)</script>",
    "\u2028\u0000{{ 7 * 7 }}",
]


@pytest.mark.parametrize("path", ROUTES.values(), ids=ROUTES)
def test_nobody_who_is_not_logged_in_sees_anything(server, path):
    server.add_rollout(in_flight(), **WHERE)

    answer = server.get(path, user=None)

    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})


@pytest.mark.parametrize("path", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize("way", ["header", "cookie"])
def test_a_token_that_airflow_did_not_sign_is_refused(server, path, way):
    header, payload, signature = server.token().split(".")
    token = f"{header}.{payload}.{signature[::-1]}"
    headers = {"Authorization": f"Bearer {token}"} if way == "header" else {"Cookie": f"_token={token}"}

    answer = httpx.get(f"{server.base_url}{path}", headers=headers, trust_env=False)

    assert answer.status_code in {401, 403}
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize(
    "path", [path for name, path in ROUTES.items() if name not in {"no file", "unreadable question"}]
)
def test_the_cookie_of_airflows_ui_is_enough(server, path):
    server.add_rollout(in_flight(), **WHERE)
    cookie = server.cookie("viewer")

    headers = {"Cookie": f"{cookie['name']}={cookie['value']}"}
    assert httpx.get(f"{server.base_url}{path}", headers=headers, trust_env=False).status_code == 200


def test_a_user_of_one_dag_sees_its_rollouts_only(server):
    for where in (WHERE, ALLOWED):
        server.add_rollout(in_flight(endpoint_config_name=where["dag_id"]), **where)

    listed = server.get(f"{API}/rollouts", ONE_DAG_USER).json()["items"]
    by_endpoint = server.get(f"{API}/rollouts?endpoint=churn", ONE_DAG_USER).json()["items"]
    own = server.get(f"{API}/rollout", ONE_DAG_USER, params=ALLOWED).json()

    assert [item["dag_id"] for item in listed] == [ONE_DAG]
    assert [item["dag_id"] for item in by_endpoint] == [ONE_DAG]
    assert [entry["dag_id"] for entry in own["history"]] == [ONE_DAG]
    assert server.get(f"{API}/rollout", ONE_DAG_USER, params=WHERE).status_code == 403
    assert len(server.get(f"{API}/rollouts").json()["items"]) == 2


def test_whether_a_rollout_exists_is_not_told_to_who_may_not_see_it(server):
    server.add_rollout(in_flight(), **WHERE)

    there = server.get(f"{API}/rollout", ONE_DAG_USER, params=WHERE)
    not_there = server.get(f"{API}/rollout", ONE_DAG_USER, params={**WHERE, "run_id": "never"})

    assert (there.status_code, there.json()) == (not_there.status_code, not_there.json())


def test_a_user_who_may_not_read_xcoms_sees_no_rollout(server):
    server.add_rollout(in_flight(), **WHERE)

    listed = server.get(f"{API}/rollouts", "no_xcoms").json()

    assert (listed["items"], listed["next"]) == ([], None)
    assert server.get(f"{API}/rollout", "no_xcoms", params=WHERE).status_code == 403


def test_a_user_who_may_not_read_plugins_sees_the_page(server):
    server.add_rollout(in_flight(), **WHERE)

    assert server.get("/api/v2/plugins", "no_plugins").status_code == 403
    assert server.get(f"{PREFIX}/rollouts", "no_plugins").status_code == 200
    assert len(server.get(f"{API}/rollouts", "no_plugins").json()["items"]) == 1


@pytest.mark.parametrize("user", ["viewer", "no_plugins", ONE_DAG_USER])
def test_airflow_refuses_to_stop_what_the_user_may_not_change(server, user):
    server.add_rollout(in_flight(), **WHERE)
    path = "/api/v2/dags/deploy/dagRuns/monday/taskInstances/update"

    answer = server.request("PATCH", path, user, json={"new_state": "failed"})

    assert answer.status_code == 403
    assert server.state(**WHERE) == "deferred"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ROUTES.values(), ids=ROUTES)
def test_no_route_writes(server, path, method):
    assert server.request(method, path).status_code == 405


@pytest.mark.parametrize(
    "name",
    [
        "../app.py",
        "..%2Fapp.py",
        "%2e%2e/app.py",
        "....//app.py",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "app.py",
        "__init__.py",
    ],
)
def test_only_files_of_the_page_are_served(server, name):
    answer = server.get(f"{PREFIX}/static/{name}")

    # A path that leaves the prefix gets to Airflow's UI, which answers with its own page.
    assert "airflow_guardrails" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_others_are_json_text_and_nothing_else(server, text):
    # PostgreSQL has no NUL in JSON, and SQLite keeps it.
    report = hostile(in_flight(), text)
    server.add_rollout({**report, "outcome": None}, **WHERE)

    answers = [server.get(f"{API}/rollouts"), server.get(f"{API}/rollout", params=WHERE)]
    page = server.get(f"{PREFIX}/rollouts", params={**WHERE, "dag_id": text})

    listed, shown = (answer.json() for answer in answers)
    assert listed["items"][0]["report"]["failure_reason"] == text
    assert shown["item"]["report"]["strategy"]["description"] == text
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert page.text == server.get(f"{PREFIX}/rollouts").text


def hostile(value: Any, text: str) -> Any:
    """*value* with *text* in the place of each text and each null in it."""
    if isinstance(value, dict):
        return {key: hostile(inner, text) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner, text) for inner in value]
    return text if isinstance(value, str | None) else value


def test_the_page_runs_no_script_but_its_own_files(server):
    page = server.get(f"{PREFIX}/rollouts")

    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert not {"script-src", "script-src-elem", "style-src"} & set(policy)
    assert page.text.count("<script") == page.text.count('<script type="module" src="static/')
    assert page.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize("user", [None, "admin"])
def test_no_proxy_keeps_a_response_for_others(server, path, user):
    answer = server.get(path, user)

    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
