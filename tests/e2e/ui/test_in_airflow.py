"""Where Airflow's own UI shows the page, seen with a browser."""

from __future__ import annotations

import pytest

from tests.support.rollout_reports import in_flight

pytestmark = pytest.mark.e2e

RUN = "manual__2026-03-02T00:00:00+00:00"
WHERE = {"dag_id": "deploy", "run_id": RUN, "task_id": "update"}
MAPPED = {**WHERE, "task_id": "update_each"}
TASKS = f"/dags/deploy/runs/{RUN.replace('+', '%2B')}/tasks"
PLACES = {
    "list": "/plugin/rollouts",
    "rollout": f"{TASKS}/update/plugin/rollout",
    "card": "/",
}
SECONDS = 1000


@pytest.fixture
def opened(server, browser):
    """Open a page as a user; returns Playwright's page."""
    contexts = []

    def open_page(path, user="admin"):
        context = browser.new_context()
        contexts.append(context)
        context.add_cookies([server.cookie(user)])
        page = context.new_page()
        page.goto(server.base_url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def shown(page, view):
    element = page.locator(f"[data-rollouts={view}]")
    element.locator(":scope > *").first.wait_for(timeout=30 * SECONDS)
    return element


@pytest.mark.parametrize("view", PLACES)
def test_airflows_ui_shows_the_page(server, opened, view):
    server.add_rollout(in_flight(), **WHERE)

    assert shown(opened(PLACES[view]), view).inner_text().strip()


def test_the_tab_of_a_mapped_task_asks_for_its_own_rollout(server, opened):
    for map_index in (0, 1):
        report = in_flight(endpoint_name=f"churn-{map_index}")
        server.add_rollout(report, **MAPPED, map_index=map_index)
    page = opened(f"{TASKS}/update_each/mapped/1/plugin/rollout")

    assert shown(page, "rollout")
    assert page.url.endswith("/mapped/1/plugin/rollout")


def test_the_menu_leads_to_the_list(server, opened):
    page = opened("/")
    page.get_by_text("Browse", exact=True).first.click()
    page.get_by_role("menuitem", name="Rollouts").click()

    shown(page, "list")
    assert page.url == f"{server.base_url}/plugin/rollouts"


def test_a_user_who_may_not_read_plugins_has_the_page_for_itself(server, opened):
    server.add_rollout(in_flight(), **WHERE)
    page = opened(
        f"/airflow-guardrails/rollouts?dag_id=deploy&run_id={RUN.replace('+', '%2B')}&task_id=update",
        "no_plugins",
    )

    page.locator("#rollouts > *").first.wait_for(timeout=30 * SECONDS)
