"""The list of all rollouts, and the card on Airflow's dashboard."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.e2e.ui import reports

pytestmark = pytest.mark.e2e
RUN = "manual__2026-11-30T01:00:00+00:00"


def where(dag_id: str) -> dict[str, str]:
    return {"dag_id": dag_id, "run_id": RUN, "task_id": "update"}


@pytest.fixture
def several(server):
    """One that is live, three that have ended, and a shadow test."""
    server.add_rollout(reports.succeeded(), **where("good"), state="success")
    server.add_rollout(reports.rolled_back_by_alarm(endpoint_name="fraud"), **where("bad"), state="failed")
    server.add_rollout(reports.rollback_failed(), **where("worse"), state="failed")
    server.add_rollout(reports.live_judged(endpoint_name="pricing"), **where("live"))
    server.add_rollout(reports.shadow_test(), **where("shadow"), kind="shadow_test")


def test_an_empty_list_says_what_will_appear(server, visitor):
    page = visitor.list()

    expect(page.locator(".empty")).to_contain_text("appears here when its task starts")


def test_a_live_rollout_answers_everything_on_the_first_screen(several, visitor):
    page = visitor.list()

    card = page.locator("article.rollout").filter(has_text="pricing")
    for text in ("BAKING", "25", "churn-v41 → churn-v42", "no data", "INCONCLUSIVE", "Stop…", "it acts now"):
        expect(card.get_by_text(text).first).to_be_visible()
    expect(card.locator("svg[role=img]").first).to_be_visible()
    expect(card.locator("dl.facts")).to_contain_text(re.compile("New instances ready.*1 of 4"))


def test_an_address_with_an_endpoint_shows_its_rollouts_only(several, server, visitor):
    page = visitor.list("?endpoint=fraud")

    expect(page.locator("table.ended tbody tr")).to_have_count(1)
    expect(page.locator("input[name=endpoint]")).to_have_value("fraud")


def test_a_stage_is_in_words_in_the_list_too(server, visitor):
    summary = "ACTIVATINGTRAFFIC 1 of 4 instances: churn-v42; churn-v41 serves"
    server.add_rollout(reports.live_canary(summary=summary), **where("live"))

    page = visitor.list()

    expect(page.locator(".title .badge")).to_have_text("SHIFTING TRAFFIC")


def test_what_has_ended_is_a_line_with_its_cause(several, visitor):
    page = visitor.list()

    lines = page.locator("table.ended tbody tr")
    expect(lines).to_have_count(3)
    expect(lines.filter(has_text="fraud")).to_contain_text(
        re.compile(r"ROLLED BACK.*alarm churn-errors 2\.5 > 1")
    )
    expect(lines.filter(has_text="worse")).to_contain_text("a mix of both models serves")


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ({"Outcome": "rolled back"}, ["fraud"]),
        ({"Show": "live"}, ["churn-shadow", "pricing"]),
        ({"Show": "ended"}, ["churn", "fraud", "churn"]),
        ({"Kind": "shadow tests"}, ["churn-shadow"]),
        ({"Kind": "updates", "Show": "live"}, ["pricing"]),
    ],
)
def test_filters(several, visitor, filters, shown):
    page = visitor.list()

    for label, option in filters.items():
        page.get_by_label(label).select_option(option)

    names = page.locator("article.rollout h2, table.ended tbody tr td:nth-child(2) a")
    expect(names).to_have_text(shown)


def test_a_filter_by_endpoint_keeps_the_focus(several, visitor):
    page = visitor.list()
    endpoint = page.get_by_label("Endpoint")

    endpoint.fill("fraud")
    endpoint.press("Enter")

    expect(page.locator("table.ended tbody tr")).to_have_count(1)
    expect(page.locator("article.rollout")).to_have_count(0)
    expect(endpoint).to_be_focused()
    endpoint.fill("nothing")
    endpoint.press("Enter")
    expect(page.locator(".empty")).to_have_text("Nothing matches these filters.")


def test_a_rollout_opens_in_place_and_the_browser_goes_back(several, visitor):
    page = visitor.list()

    page.get_by_role("link", name="fraud").click()
    expect(page.locator("h2")).to_have_text("fraud")
    assert "dag_id=bad" in page.url
    page.go_back()
    expect(page.locator("table.ended")).to_be_visible()
    page.go_forward()
    expect(page.locator("h2")).to_have_text("fraud")
    page.get_by_role("link", name="All rollouts").click()
    expect(page.get_by_role("heading", name="Rollouts")).to_be_visible()


def test_older_ones_are_read_on_demand(server, visitor):
    for number in range(27):
        report = reports.succeeded(endpoint_name=f"endpoint-{number}")
        server.add_rollout(report, **where(f"dag-{number}"), state="success")
    page = visitor.list()
    lines = page.locator("table.ended tbody tr")
    expect(lines).to_have_count(25)

    page.get_by_role("button", name="Show older ones").click()

    expect(lines).to_have_count(27)
    expect(page.get_by_role("button", name="Show older ones")).to_have_count(0)


def test_a_new_rollout_appears_without_a_reload(several, server, visitor):
    page = visitor.list()

    server.add_rollout(reports.live_canary(endpoint_name="new"), **where("another"))
    visitor.poll(page)

    expect(page.locator("article.rollout h2").filter(has_text="new")).to_be_visible()


def test_hostile_text_is_only_text(server, visitor):
    server.add_rollout(reports.hostile(), **where("hostile"), state="failed")
    live = {**reports.hostile(), "outcome": None}
    server.add_rollout(live, **where("live"))

    page = visitor.list()

    expect(page.locator("table.ended")).to_contain_text(reports.HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, main b:text-is('bold')").count() == 0


def test_the_dashboard_has_what_is_live_and_the_last_bad_ends(several, server, visitor):
    page = visitor.page()

    page.goto(f"{server.base_url}/")

    lines = page.locator(".card .lines li")
    expect(lines).to_have_count(4, timeout=20_000)
    expect(lines.nth(0)).to_contain_text("737 of 1,000 requests")
    expect(lines.nth(1)).to_contain_text(re.compile("BAKING.*pricing.*25.*on churn-v42"))
    expect(lines.nth(3)).to_contain_text(re.compile(r"ROLLED BACK.*fraud.*alarm churn-errors: 2\.5 > 1"))


def test_the_dashboard_shows_five_lines_at_most(server, visitor):
    for number in range(7):
        server.add_rollout(reports.rolled_back_by_alarm(), **where(f"dag-{number}"), state="failed")
    page = visitor.page()

    page.goto(f"{server.base_url}/")

    expect(page.locator(".card .lines li")).to_have_count(5, timeout=20_000)
