"""The page where something around it goes wrong: sessions, clocks, proxies, deleted DAGs, huge XComs."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.e2e.ui import reports

pytestmark = pytest.mark.e2e
API = "/airflow-guardrails/api"
WHERE = {"dag_id": "retrain", "run_id": "manual__2026-11-30T01:00:00+00:00", "task_id": "update"}


def test_a_second_tab_that_stops_it_too_learns_how_it_stands(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    first, second = visitor.rollout(WHERE), visitor.rollout(WHERE)
    _stop(first)
    expect(first.locator(".notice")).to_contain_text("Waiting for the abort to take effect")

    _stop(second)

    told = re.compile("Waiting for the abort to take effect|has this state already")
    expect(second.locator(".notice")).to_contain_text(told)
    assert server.state(**WHERE) == "failed"


def _stop(page: Page) -> None:
    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the update").click()


def test_a_tab_that_did_not_stop_it_says_that_the_task_was_ended(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.rollout(WHERE)

    server.set_state("failed", **WHERE)
    visitor.poll(page)

    expect(page.locator(".title .badge")).to_have_text("NOT WATCHED ANY MORE")
    expect(page.get_by_role("button", name="Stop…")).to_have_count(0)


def test_a_session_of_before_a_restart_with_another_secret_leads_to_the_login(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.rollout(WHERE)
    header, payload, signature = server.token().split(".")
    cookie = {**server.cookie(), "value": f"{header}.{payload}.{signature[::-1]}"}

    page.context.add_cookies([cookie])
    visitor.poll(page)

    expect(page.get_by_role("alert")).to_contain_text("log in to Airflow again")
    expect(page.locator(".title .badge")).to_have_text("BAKING")


def test_a_proxy_that_strips_etags_costs_bytes_only(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.page()
    statuses: list[int] = []

    def strip(route):
        answer = route.fetch()
        statuses.append(answer.status)
        headers = {name: value for name, value in answer.headers.items() if name != "etag"}
        route.fulfill(response=answer, headers=headers)

    page.route("**/api/rollout?*", strip)
    page.goto(visitor.url(WHERE))
    page.locator("article.rollout").wait_for()

    server.replace_report(reports.rolled_back_by_alarm(), **WHERE, state="failed")
    visitor.poll(page)

    expect(page.locator(".title .badge")).to_have_text("ROLLED BACK")
    assert set(statuses) == {200}


@pytest.mark.parametrize(("hours", "age"), [(-5, "stale: last seen 5 h"), (5, r"seen \d s ago")])
def test_an_api_server_whose_clock_is_wrong_makes_no_negative_age(server, visitor, hours, age):
    seen_at = datetime.now(timezone.utc) + timedelta(hours=hours)
    server.add_rollout(reports.live_canary(), **WHERE, seen_at=seen_at)

    page = visitor.rollout(WHERE)

    expect(page.locator(".title")).to_contain_text(re.compile(age))


def test_the_rollouts_of_a_deleted_dag_are_gone(server):
    server.add_rollout(reports.succeeded(), **WHERE, state="success")

    assert server.request("DELETE", f"/api/v2/dags/{WHERE['dag_id']}").is_success

    assert server.get(f"{API}/rollouts").json()["items"] == []
    assert server.get(f"{API}/rollout", params=WHERE).status_code == 404


def test_a_task_that_was_cleared_keeps_its_report_until_its_next_try(server):
    server.add_rollout(reports.rolled_back_by_alarm(), **WHERE, state="failed")
    path = f"/api/v2/dags/{WHERE['dag_id']}/clearTaskInstances"
    cleared = {"dry_run": False, "dag_run_id": WHERE["run_id"], "task_ids": [WHERE["task_id"]]}

    assert server.request("POST", path, json=cleared).is_success

    (item,) = server.get(f"{API}/rollouts").json()["items"]
    assert (item["live"], item["report"]["outcome"]) == (False, "RolledBack")


def test_an_xcom_of_a_megabyte_hides_no_other(server, visitor):
    huge = reports.rolled_back_by_alarm(failure_reason="x" * 1_000_000)
    server.add_rollout(huge, **{**WHERE, "dag_id": "huge"}, state="failed")
    server.add_rollout(reports.live_canary(), **WHERE)

    page = visitor.list()

    expect(page.locator("article.rollout")).to_have_count(1)
    expect(page.locator("table.ended tbody tr")).to_have_count(1)
