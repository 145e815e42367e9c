"""Rolling an endpoint back from the page."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from airflow_guardrails.plugins._web.reads import ROLLBACK_TAG
from tests.e2e.ui import reports
from tests.e2e.ui.restricted_auth import ONE_DAG

pytestmark = pytest.mark.e2e
WHERE = {"dag_id": "retrain", "run_id": "manual__2026-11-30T01:00:00+00:00", "task_id": "update"}


@pytest.fixture
def served(server):
    """A DAG that rolls back, and a rollout that has succeeded."""
    server.add_dag("roll_back", tag=ROLLBACK_TAG)
    server.add_rollout(reports.succeeded(), **WHERE, state="success")
    return server


def button(page: Page):
    return page.get_by_role("button", name="Roll back… endpoint churn")


def confirm(page: Page) -> None:
    button(page).click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()


def test_the_dialog_says_what_will_happen(served, visitor):
    page = visitor.rollout(WHERE)
    button(page).click()

    dialog = page.get_by_role("dialog", name="Roll back endpoint churn?")
    expect(dialog).to_contain_text("churn-v42 was deployed last")
    expect(dialog).to_contain_text("Airflow starts a run of DAG roll_back")
    expect(dialog.get_by_role("button", name="Leave it")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("dialog")).to_have_count(0)
    assert served.runs("roll_back") == []


def test_a_run_of_the_dag_is_started_for_the_endpoint_and_shown(served, visitor):
    page = visitor.rollout(WHERE)
    confirm(page)

    notice = page.locator(".notice")
    expect(notice).to_contain_text("Roll back started: run manual__")
    assert served.runs("roll_back") == [{"endpoint_name": "churn"}]
    assert "/airflow/dags/roll_back/runs/manual__" in notice.get_by_role("link").get_attribute("href")
    expect(button(page)).to_have_count(0)


def test_only_the_newest_rollout_of_the_endpoint_can_be_rolled_back(served, visitor):
    newer = {**WHERE, "run_id": "manual__2026-11-30T02:00:00+00:00"}
    served.add_rollout(reports.succeeded(endpoint_config_name="churn-v43"), **newer, state="success")

    old = visitor.rollout(WHERE)
    expect(old.locator(".history")).to_be_visible()
    expect(button(old)).to_have_count(0)
    expect(button(visitor.rollout(newer))).to_be_visible()


@pytest.mark.parametrize(
    "report", [reports.live_canary(), reports.rolled_back_by_alarm(), reports.rollback_failed()], ids=repr
)
def test_what_has_not_succeeded_cannot_be_rolled_back(server, visitor, report):
    server.add_dag("roll_back", tag=ROLLBACK_TAG)
    server.add_rollout(report, **WHERE)

    page = visitor.rollout(WHERE)

    expect(page.locator(".title .badge")).to_be_visible()
    expect(button(page)).to_have_count(0)


def test_without_a_dag_there_is_no_button(server, visitor):
    server.add_dag("other", tag="something else")
    server.add_rollout(reports.succeeded(), **WHERE, state="success")

    page = visitor.rollout(WHERE)

    expect(page.locator(".title .badge")).to_have_text("SUCCEEDED")
    expect(button(page)).to_have_count(0)


def test_a_paused_dag_is_named_instead(server, visitor):
    server.add_dag("roll_back", tag=ROLLBACK_TAG, is_paused=True)
    server.add_rollout(reports.succeeded(), **WHERE, state="success")

    page = visitor.rollout(WHERE)

    expect(page.locator(".stopping")).to_have_text("To roll back: unpause DAG roll_back")
    expect(button(page)).to_have_count(0)


def test_somebody_without_the_right_is_told_so(served, visitor):
    page = visitor.rollout(WHERE, user="viewer")

    confirm(page)

    expect(page.locator(".notice")).to_contain_text(
        "Not rolled back: you may not start runs of DAG roll_back"
    )
    assert served.runs("roll_back") == []


def test_a_dag_that_the_user_may_not_read_is_not_shown(served, visitor):
    may_read = {**WHERE, "dag_id": ONE_DAG}
    served.add_rollout(reports.succeeded(), **may_read, state="success")

    page = visitor.rollout(may_read, user="one_dag")

    expect(page.locator(".title .badge")).to_have_text("SUCCEEDED")
    expect(button(page)).to_have_count(0)


@pytest.mark.parametrize(
    ("status", "text"), [(401, "Log in"), (404, "does not find DAG"), (500, "(500)"), (422, "Because.")]
)
def test_a_refusal_is_said_in_plain_words(served, visitor, status, text):
    page = visitor.rollout(WHERE)
    page.route("**/dagRuns", lambda route: route.fulfill(status=status, json={"detail": "Because."}))

    confirm(page)

    expect(page.locator(".notice")).to_contain_text(text)
    expect(button(page)).to_be_visible()


def test_no_answer_is_not_taken_for_a_refusal(served, visitor):
    page = visitor.rollout(WHERE)
    page.route("**/dagRuns", lambda route: route.abort())

    confirm(page)

    expect(page.locator(".notice")).to_contain_text("it is not known whether the run has started")
