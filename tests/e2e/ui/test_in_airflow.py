"""Where Airflow's own UI shows the page, and what it asks it for, seen with a browser."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.rollout_reports import in_flight

pytestmark = pytest.mark.e2e

RUN = "manual__2026-03-02T00:00:00+00:00"
WHERE = {"dag_id": "deploy", "run_id": RUN, "task_id": "update"}
IN_URL = {"base": "/airflow", "view": "rollout", "dagId": "deploy", "runId": RUN}
TASKS = f"/dags/deploy/runs/{RUN.replace('+', '%2B')}/tasks"
# In the place of the page's own module: shows what it is asked for.
ECHO = """
export function mount(element, options) {
  element.innerHTML = "<samp></samp>";
  element.firstChild.textContent = JSON.stringify(options);
  return () => element.replaceChildren();
}
"""


@pytest.fixture
def opened(server, browser):
    """Open a page as a user; returns Playwright's page."""
    contexts = []

    def open_page(path, user="admin"):
        context = browser.new_context()
        contexts.append(context)
        context.add_cookies([server.cookie(user)])
        page = context.new_page()
        page.route(re.compile(r"/static/rollouts\.js$"), answer_with_echo)
        page.goto(server.base_url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def answer_with_echo(route):
    route.fulfill(body=ECHO, content_type="text/javascript")


def asked_for(page):
    return json.loads(page.locator("samp").inner_text(timeout=30_000))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", {"base": "/airflow", "view": "card", "mapIndex": -1}),
        ("/plugin/rollouts", {"base": "/airflow", "view": "list", "mapIndex": -1}),
        (f"{TASKS}/update/plugin/rollout", {**IN_URL, "taskId": "update", "mapIndex": -1}),
        (f"{TASKS}/each/mapped/1/plugin/rollout", {**IN_URL, "taskId": "each", "mapIndex": 1}),
    ],
    ids=["card", "list", "task", "mapped task"],
)
def test_airflows_ui_shows_the_page(server, opened, path, expected):
    server.add_rollout(in_flight(), **WHERE)
    for map_index in (0, 1):
        server.add_rollout(in_flight(), **{**WHERE, "task_id": "each"}, map_index=map_index)

    assert asked_for(opened(path)) == expected


def test_the_menu_leads_to_the_list(server, opened):
    page = opened("/")
    page.get_by_text("Browse", exact=True).first.click()
    page.get_by_role("menuitem", name="Rollouts").click()
    page.wait_for_url(f"{server.base_url}/plugin/rollouts")

    assert asked_for(page)["view"] == "list"


@pytest.mark.parametrize("user", ["admin", "no_plugins"])
def test_the_page_stands_alone_too(opened, user):
    query = f"dag_id=deploy&run_id={RUN.replace('+', '%2B')}&task_id=each&map_index=1"

    one = asked_for(opened(f"/airflow-guardrails/rollouts?{query}", user))
    all_of_them = asked_for(opened("/airflow-guardrails/rollouts", user))

    assert one == {**IN_URL, "taskId": "each", "mapIndex": 1, "endpoint": None}
    assert (all_of_them["view"], all_of_them["base"]) == ("list", "/airflow")


def test_the_button_of_a_task_leads_to_its_rollout(server, opened):
    server.add_rollout(in_flight(), **WHERE)
    url = f"{server.base_url}/airflow-guardrails/rollouts?dag_id=deploy"
    server.add_xcom("_link_RolloutPageLink", url, **WHERE)

    links = server.get(f"/api/v2/dags/deploy/dagRuns/{RUN}/taskInstances/update/links").json()

    assert links["extra_links"] == {"Rollout": url}
