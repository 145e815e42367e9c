"""The page of one rollout: twelve things that somebody on call looks for, in each state of a rollout."""

# ruff: noqa: RUF001 - minus and times as the page shows them

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.e2e.ui import reports

pytestmark = pytest.mark.e2e
WHERE = {"dag_id": "retrain_churn", "run_id": "manual__2026-11-30T01:00:00+00:00", "task_id": "deploy.update"}
# Element of the page -> where it is.
ELEMENTS = {
    "status": ".title .badge",
    "traffic": "dl.facts div:has(dt:text-is('Traffic on new model'))",
    "step": "dl.facts div:has(dt:text-matches('^Step'))",
    "next": "dl.facts div:has(dt:text-is('Next'))",
    "configuration": "dl.facts div:has(dt:text-is('Configuration'))",
    "instances": "dl.facts div:has(dt:text-is('New instances ready'))",
    "chart": "section[aria-label=Traffic] svg[role=img]",
    "cause": ".cause",
    "alarms": "section[aria-label=Alarms]",
    "judge": "section.judge > header",
    "latency": ".tile:has(h4:text-is('ModelLatency avg'))",
    "course": ".tile:has(h4:text-is('ModelLatency avg')) .course",
    "no data": ".tile:has(h4:text-is('GPUUtilization avg'))",
    "verdicts": ".runs",
    "stop": "button.danger",
    "history": "ol.history",
    "links": "nav.links",
}
MINUTES = r"1[78] min"
ENDED = {"next": None, "stop": None, "links": r"Log of deploy\.update.*Endpoint in SageMaker"}
LIVE = {
    "status": "BAKING",
    "traffic": "25 % planned 25 %",
    "step": "1 of 2 canary",
    "next": f"100 % in {MINUTES}",
    "configuration": "churn-v41 → churn-v42 serve now: both",
    "instances": "1 of 4",
    "chart": "now.*100 % at",
    "cause": None,
    "alarms": r"no data churn-latency alarm at > 250\sms.*ok churn-errors alarm at > 1.*not thrown",
    "stop": "Stop…",
    "history": "baking churn-v42",
    "links": ENDED["links"],
}
COMPARED = {
    "judge": "INCONCLUSIVE.*737 new / 2,263 old requests.*14 looks",
    "latency": r"INCONCLUSIVE.*−0\.4 % −18\.7 … \+13\.4 % limit \+10 %.*Missing: a longer trial",
    "course": "2 no data, 12 undecided",
    "no data": "NO DATA, IGNORED",
    "verdicts": "inconclusive × 14 from",
}
ROLLED_BACK = {
    **ENDED,
    "status": "ROLLED BACK",
    "traffic": "0 %",
    "step": "Step reached 1 of 2",
    "configuration": "churn-v41 → churn-v42 serves now: churn-v41",
    "instances": None,
    "chart": "end",
    "history": r"rolled back: alarm churn-errors 2\.5 > 1",
}
STATES = {
    "live": (reports.live_canary, "deferred", {**LIVE, "judge": "no analysis", "latency": None}),
    "judged": (reports.live_judged, "deferred", {**LIVE, **COMPARED}),
    "rolled back by alarm": (
        reports.rolled_back_by_alarm,
        "failed",
        {
            **ROLLED_BACK,
            "cause": r"alarm churn-errors: 2\.5 > 1 at ",
            "alarms": r"ALARM churn-errors 2\.5 > 1 AWS/SageMaker Invocation5XXErrors",
            "judge": "no analysis",
        },
    ),
    "rolled back by the judge": (
        reports.rolled_back_by_judge,
        "failed",
        {
            **ROLLED_BACK,
            "cause": r"judge: ModelLatency avg: \+18\.2% > limit \+10%",
            "alarms": "ok churn-errors.*Abort switch: thrown at",
            "judge": "FAIL.*737 new / 2,263 old requests.*it has thrown the abort switch",
            "latency": r"FAIL.*\+18\.2 % \+12\.9 … \+23\.4 % limit \+10 %",
            "course": "2 no data, 3 undecided, 9 beyond limit",
            "verdicts": "inconclusive × 12 from.*fail × 2 from",
            "history": r"rolled back: judge: ModelLatency avg \+18\.2% > \+10%",
        },
    ),
    "rollback failed": (
        reports.rollback_failed,
        "failed",
        {
            **ROLLED_BACK,
            **COMPARED,
            "status": "ROLLBACK FAILED",
            "instances": "1 of 4",
            "traffic": "unknown: mixed",
            "configuration": "serves now: a mix of both",
            "cause": r"churn-errors: 2\.5 > 1.*InsufficientInstanceCapacity.*update the endpoint again",
            "alarms": "ALARM churn-errors",
            "history": "rollback failed: no capacity",
        },
    ),
}


def pattern(text: str) -> re.Pattern[str]:
    """Let a space stand for any white space, or none: between two elements, and the narrow one before a %."""
    return re.compile(text.replace(" ", r"\s*"))


@pytest.fixture
def shown(server, visitor):
    """Publish a report and open its page."""

    def show(report: Any, state: str = "deferred", *, seen_at: datetime | None = None, **more: Any) -> Page:
        server.add_rollout(report, **WHERE, state=state, seen_at=seen_at)
        return visitor.rollout(WHERE, **more)

    return show


@pytest.mark.parametrize("state", STATES)
def test_the_page_answers_what_somebody_on_call_asks(shown, state):
    report, task_state, expected = STATES[state]

    page = shown(report(), task_state)

    for element, text in expected.items():
        found = page.locator(ELEMENTS[element])
        if text is None:
            expect(found, element).to_have_count(0)
        else:
            expect(found, element).to_contain_text(pattern(text))


def test_the_chart_draws_both_courses_and_says_them_in_words(shown):
    page = shown(reports.live_canary())

    chart = page.locator(ELEMENTS["chart"])
    assert chart.locator("line.actual").count() == 3
    assert chart.locator("line.planned").count() >= 4
    expect(chart).to_have_accessible_name(pattern(f"25 % now; next change in {MINUTES}"))
    assert page.get_by_role("table", name="Traffic on the new model").get_by_role("row").count() > 4


def test_the_countdown_does_not_depend_on_the_browsers_clock(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.page()
    page.clock.set_fixed_time(datetime.now(timezone.utc) + timedelta(hours=5))

    page.goto(visitor.url(WHERE))

    expect(page.locator(ELEMENTS["next"])).to_contain_text(pattern(f"100 % in {MINUTES}"))
    expect(page.locator(".title")).to_contain_text(pattern(r"seen \d s ago"))


def test_the_countdown_counts_from_when_sagemaker_answered(shown):
    # AWS's clock is an hour behind, and the report is five minutes old.
    report = reports.live_canary(as_of=reports.iso(-65), next_change_at=reports.iso(-47))

    page = shown(report, seen_at=datetime.now(timezone.utc) - timedelta(minutes=5))

    expect(page.locator(ELEMENTS["next"])).to_contain_text(pattern("100 % in 1[23] min"))
    expect(page.locator(".stale")).to_contain_text("stale: last seen 5 min")


def test_times_are_in_the_readers_zone_and_name_it(shown):
    report = reports.rolled_back_by_alarm(ended_at="2026-07-01T16:05:00+00:00")

    page = shown(report, "failed")

    ended = page.locator(".title time")
    expect(ended).to_have_text("1 Jul, 18:05 CEST")
    expect(ended).to_have_attribute("title", "2026-07-01T16:05:00.000Z")
    expect(page.locator(".footer")).to_contain_text("Europe/Berlin")


def test_stages_that_nobody_saw_are_not_shown_as_seen(shown):
    page = shown(reports.succeeded(), "success")

    stages = page.locator("table.stages tbody tr")
    assert [row.split("\t")[:2] for row in stages.all_inner_texts()][-2:] == [
        ["Baking", "not seen"],
        ["Deleting the old instances", "not seen"],
    ]
    expect(page.locator("section[aria-label=Stages]")).to_contain_text("not every stage was seen")


def test_warnings_findings_approval_and_deadline_are_shown(shown):
    page = shown(reports.live_judged())

    warnings = page.locator("section[aria-label=Warnings]")
    expect(warnings).to_contain_text("no sagemaker:ListTags")
    expect(warnings).to_contain_text("no data for 3 h → check its dimensions")
    expect(page.locator("section[aria-label=Details]")).to_contain_text("approved by Ada Lovelace at")
    expect(page.locator("section[aria-label=Details]")).to_contain_text("Task waits until")


def test_an_alarm_that_fires_during_the_update_stands_at_the_top(shown):
    firing = reports.alarm("churn-errors", "ALARM", value=2.5)

    page = shown(reports.live_canary(alarms=[reports.alarm("other", "OK"), firing]))

    expect(page.locator(".cause")).to_contain_text("alarm churn-errors: 2.5 > 1")
    expect(page.locator(".alarms li").first).to_contain_text("ALARM")


def test_an_alarm_that_is_ok_again_still_says_that_it_went_off(shown):
    again = [reports.alarm("churn-errors", "OK", value=0.0)]

    page = shown(reports.rolled_back_by_alarm(alarms=again), "failed")

    expect(page.locator(".alarms")).to_contain_text(pattern("ok churn-errors.*went off: 2.5 > 1 at"))


def test_the_new_instances_that_go_are_a_rollback_and_not_the_end_of_a_success(shown):
    stages = [
        {"stage": "Deleting", "at": reports.iso(-1), "instances": 0, "desired_instances": 0, "seen": True}
    ]

    page = shown(reports.live_canary(stages=stages, stopping={"aborts": False, "text": "It is rolled back"}))

    expect(page.locator(ELEMENTS["status"])).to_have_text("ROLLING BACK")
    expect(page.locator(".notice")).to_contain_text("SageMaker removes the new instances")
    expect(page.locator(ELEMENTS["configuration"])).to_contain_text(pattern("serves now: churn-v41"))
    expect(page.locator(ELEMENTS["stop"])).to_have_count(0)


def test_with_all_traffic_the_new_configuration_serves(shown):
    page = shown(reports.live_canary(traffic={"percent": 100.0, "course": []}))

    expect(page.locator(ELEMENTS["configuration"])).to_contain_text(pattern("serves now: churn-v42"))


def test_traffic_that_came_and_went_between_two_looks_is_not_drawn_as_none(shown):
    course = [{"at": reports.iso(-58), "percent": 0.0}]

    page = shown(reports.rolled_back_by_alarm(traffic={"percent": 0.0, "course": course}), "failed")

    expect(page.locator(ELEMENTS["step"])).to_contain_text("not seen")
    expect(page.get_by_label("Traffic")).to_contain_text("No look saw a shift of traffic")


def test_what_a_sensor_does_not_know_is_unknown(shown):
    page = shown(reports.seen_by_sensor(), "failed")

    expect(page.locator(".cause")).to_contain_text("cause unknown")
    expect(page.locator(ELEMENTS["configuration"])).to_contain_text("unknown → churn-v42")
    expect(page.locator(ELEMENTS["alarms"])).to_contain_text(
        "Not guarded: the alarms of this update were not"
    )


def test_a_report_of_an_older_release_is_shown(shown):
    page = shown(reports.version_1(), "failed")

    expect(page.locator(ELEMENTS["status"])).to_have_text("ROLLED BACK")
    expect(page.locator(".cause")).to_contain_text("alarm churn-errors: 2.5 > 1")


def test_a_report_without_an_end_whose_task_is_over_is_not_called_live(shown):
    page = shown(reports.live_canary(), "failed")

    expect(page.locator(ELEMENTS["status"])).to_have_text("NOT WATCHED ANY MORE")
    expect(page.locator(".notice")).to_contain_text("SageMaker may still be at work")


def test_links_lead_to_airflows_pages_and_to_aws(shown, server):
    page = shown(reports.live_canary())

    log = page.get_by_role("link", name="Log of deploy.update")
    path = "/airflow/dags/retrain_churn/runs/manual__2026-11-30T01%3A00%3A00%2B00%3A00/tasks/deploy.update"
    expect(log).to_have_attribute("href", path)
    console = page.get_by_role("link", name="Endpoint in SageMaker")
    expect(console).to_have_attribute("rel", "noopener noreferrer")
    log.click()
    # Airflow's own UI finds the task instance at this address.
    expect(page.get_by_text("deploy.update").first).to_be_visible(timeout=20_000)
    expect(page.get_by_text("404")).to_have_count(0)


def test_hostile_text_is_only_text(shown):
    page = shown(reports.hostile(), "failed")

    expect(page.locator("h2")).to_have_text(reports.HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, main b:text-is('bold')").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0
    assert page.locator("[style]").count() == 0


def test_a_report_with_values_of_other_types_is_a_notice(server, visitor):
    server.add_rollout(reports.live_canary(alarms=7, warnings="x"), **WHERE)
    page = visitor.page()

    page.goto(visitor.url(WHERE))

    expect(page.locator(".notice").first).to_be_visible()


def test_an_update_keeps_focus_and_opened_details(shown, server, visitor):
    page = shown(reports.rolled_back_by_alarm(outcome=None), "deferred")
    page.locator(".cause summary").click()
    page.locator(".cause summary").focus()

    server.replace_report(reports.rolled_back_by_alarm(), **WHERE, state="failed")
    visitor.poll(page)

    expect(page.locator(ELEMENTS["status"])).to_have_text("ROLLED BACK")
    assert page.locator(".cause details").get_attribute("open") is not None
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_change_of_the_status_is_announced_once(shown, server, visitor):
    page = shown(reports.live_canary())
    status = page.get_by_role("status")
    expect(status).to_have_text("churn: baking, 25 % on the new model")

    server.replace_report(reports.rolled_back_by_alarm(), **WHERE, state="failed")
    visitor.poll(page)

    expect(status).to_have_text("churn: rolled back, alarm churn-errors: 2.5 > 1")
    expect(status).to_have_attribute("aria-live", "polite")


def test_what_has_not_changed_is_not_sent_again(shown, visitor):
    page = shown(reports.live_canary())

    with page.expect_response(lambda answer: "/api/rollout?" in answer.url) as second:
        visitor.poll(page)

    assert second.value.status == 304


def test_a_change_is_shown_by_the_next_poll(shown, server, visitor):
    page = shown(reports.live_canary())
    statuses: list[int] = []
    page.on("response", lambda answer: "/api/rollout?" in answer.url and statuses.append(answer.status))

    for percent in (26.0, 27.0, 28.0):
        server.replace_report(reports.live_canary(traffic={"percent": percent, "course": []}), **WHERE)
        visitor.poll(page)
        expect(page.locator(ELEMENTS["traffic"])).to_contain_text(f"{percent:.0f}")

    # A poll on a busy machine may come in between, from the clock that goes on.
    assert statuses.count(200) == 3
    assert len(statuses) <= 5


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("relative", "−0.4 % −18.7 … +13.4 % limit +10 %"),
        ("rate", "−0.4 points −18.7 … +13.4 points limit +10 points"),
        ("plain", "−0.004 −0.19 … +0.13 limit +0.1"),
        (None, "−0.4 % −18.7 … +13.4 % limit +10 %"),
    ],
)
def test_numbers_of_the_judge_have_the_unit_of_their_rule(shown, unit, text):
    report = reports.live_judged()
    requests, latency, *others = report["analysis"]["reasons"]
    report["analysis"]["reasons"] = [requests, {**latency, "unit": unit}, *others]

    page = shown(report)

    expect(page.locator(ELEMENTS["latency"])).to_contain_text(pattern(re.escape(text).replace(r"\ ", " ")))


@pytest.mark.parametrize(
    ("state", "text"), [("deferred", "in flight churn-v41"), ("failed", "not watched any more churn-v41")]
)
def test_the_history_tells_whether_an_end_is_still_waited_for(shown, server, state, text):
    earlier = reports.live_canary(endpoint_config_name="churn-v41", started_at=reports.iso(-90))
    server.add_rollout(earlier, **{**WHERE, "run_id": "earlier"}, state=state)

    page = shown(reports.live_canary())

    expect(page.locator(ELEMENTS["history"]).locator("li").nth(1)).to_contain_text(pattern(text))


def test_a_hidden_tab_asks_nothing_and_catches_up(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.page()
    page.goto(visitor.url(WHERE))
    page.locator("article.rollout").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    _hide(page, hidden=True)
    page.clock.run_for(60_000)
    assert asked == []

    server.replace_report(reports.rolled_back_by_alarm(), **WHERE, state="failed")
    _hide(page, hidden=False)
    expect(page.locator(ELEMENTS["status"])).to_have_text("ROLLED BACK")


def test_failed_requests_come_less_and_less_often(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.page()
    page.goto(visitor.url(WHERE))
    page.locator("article.rollout").wait_for()
    asked: list[str] = []
    page.route("**/api/rollout?*", lambda route: (asked.append(route.request.url), route.abort()))

    for _ in range(60):
        page.clock.run_for(2_000)

    # After 3, 6, 12, 24 and 48 seconds, where every 3 seconds would be 40.
    assert 4 <= len(asked) <= 6


def test_a_lost_connection_is_said_and_ends(shown, visitor):
    page = shown(reports.live_canary())
    page.route("**/api/rollout?*", lambda route: route.abort())
    visitor.poll(page)

    trouble = page.get_by_role("alert")
    expect(trouble).to_contain_text(pattern(r"Connection lost\. Showing what was known at \d\d:\d\d CES?T"))
    expect(page.locator(ELEMENTS["status"])).to_have_text("BAKING")
    page.unroute("**/api/rollout?*")
    visitor.poll(page, seconds=6)

    expect(trouble).to_have_count(0)


@pytest.mark.parametrize(("status", "text"), [(401, "log in to Airflow again"), (403, "the rights to read")])
def test_a_refusal_is_said_in_plain_words(server, visitor, status, text):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.page()
    page.route("**/api/rollout?*", lambda route: route.fulfill(status=status, json={"detail": "no"}))

    page.goto(visitor.url(WHERE))

    expect(page.get_by_role("alert")).to_contain_text(text)


def _hide(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
