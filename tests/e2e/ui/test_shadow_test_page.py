"""The page of one shadow test."""

# ruff: noqa: RUF001 - minus and times as the page shows them

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.e2e.ui import reports

pytestmark = pytest.mark.e2e
WHERE = {"dag_id": "shadow", "run_id": "manual__2026-11-30T01:00:00+00:00", "task_id": "test"}


def test_a_running_test_shows_both_variants_and_what_it_still_needs(server, visitor):
    server.add_rollout(reports.shadow_test(), **WHERE, kind="shadow_test")

    page = visitor.rollout(WHERE)

    expect(page.locator(".title .badge")).to_have_text("RUNNING")
    facts = page.locator("dl.facts")
    expect(page.locator(".title")).to_contain_text("shadow test of churn")
    for text in ("737 of 1,000", "Mirrored", "eu-west-1", "Starts"):
        expect(facts).to_contain_text(text)
    expect(facts).to_contain_text(re.compile(r"Ends.*in 1 h 59 min"))
    production, shadow = page.get_by_label("Production"), page.get_by_label("Shadow", exact=True)
    expect(production).to_contain_text("churn-model-41")
    expect(production).to_contain_text("1,474 of at least 1,000")
    expect(shadow).to_contain_text("2 × ml.m5.large")
    expect(shadow).to_contain_text("737 of at least 1,000")
    expect(page.locator(".judge")).to_contain_text("NO VERDICT YET")


def test_an_ended_test_shows_the_verdict_of_its_run_and_answers_that_differ(server, visitor):
    server.add_rollout(reports.ended_shadow_test(), **WHERE, kind="shadow_test", state="success")
    judge = {**WHERE, "task_id": "judge"}
    server.add_task(**judge, state="success", operator="SageMakerJudgeShadowTestOperator")
    server.add_xcom("verdict", reports.verdict(), **judge)

    page = visitor.rollout(WHERE)

    expect(page.locator(".title .badge")).to_have_text("PASSED")
    expect(page.locator(".judge > header")).to_contain_text("PASS")
    expect(page.locator(".tile").first).to_contain_text("ModelLatency avg")
    expect(page.locator(".answers")).to_contain_text(
        re.compile(r"29 of 1,474 compared requests.*label: 21, score: 8")
    )
    expect(page.get_by_role("button", name="Stop…")).to_have_count(0)


def test_a_test_that_has_enough_requests_is_not_called_ended_while_it_runs(server, visitor):
    report = reports.ended_shadow_test(status="Running")
    server.add_rollout(report, **WHERE, kind="shadow_test", state="success")

    page = visitor.rollout(WHERE)

    expect(page.locator(".title .badge")).to_have_text("ENOUGH REQUESTS")


def test_a_rejected_model_stands_first_with_the_reason(server, visitor):
    server.add_rollout(reports.ended_shadow_test(), **WHERE, kind="shadow_test", state="success")
    judge = {**WHERE, "task_id": "judge"}
    server.add_task(**judge, state="failed", operator="SageMakerJudgeShadowTestOperator")
    server.add_xcom("verdict", reports.verdict("Fail"), **judge)

    page = visitor.rollout(WHERE)

    expect(page.locator(".title .badge")).to_have_text("REJECTED")
    expect(page.locator("article > p").first).to_contain_text("judge: ModelLatency avg: +1.0% > limit +10%")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("Cancelled", "CANCELLED"), ("TooFewRequests", "TOO FEW REQUESTS"), ("TimedOut", "TIMED OUT")],
)
def test_a_bad_end_is_in_words_with_the_reason(server, visitor, outcome, words):
    report = reports.ended_shadow_test(outcome=outcome, reason="The role may not create instances")
    server.add_rollout(report, **WHERE, kind="shadow_test", state="failed")

    page = visitor.rollout(WHERE)

    expect(page.locator(".title .badge")).to_have_text(words)
    expect(page.locator("section[aria-label=Warnings]")).to_contain_text("The role may not create instances")


def test_it_is_stopped_from_its_page(server, visitor):
    server.add_rollout(reports.shadow_test(), **WHERE, kind="shadow_test")
    page = visitor.rollout(WHERE)

    page.get_by_role("button", name="Stop… shadow test churn-shadow").click()
    dialog = page.get_by_role("dialog", name="Stop the shadow test churn-shadow?")
    expect(dialog).to_contain_text("stops the shadow test; production stays")
    dialog.get_by_role("button", name="Stop the shadow test").click()

    expect(page.locator(".notice")).to_contain_text("Waiting for the test to end")
    assert server.state(**WHERE) == "failed"
