"""Stopping a rollout from the page."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from airflow_guardrails.aws.abort_switch import publish_request
from airflow_guardrails.domain.snapshots.abort_switch import THROWN
from tests.e2e.ui import reports

pytestmark = pytest.mark.e2e
WHERE = {"dag_id": "retrain", "run_id": "manual__2026-11-30T01:00:00+00:00", "task_id": "update"}


@pytest.fixture
def page(server, visitor) -> Page:
    server.add_rollout(reports.live_canary(), **WHERE)
    return visitor.rollout(WHERE)


def ask(page: Page) -> None:
    page.get_by_role("button", name="Stop… update churn").click()


def confirm(page: Page) -> None:
    ask(page)
    page.get_by_role("dialog").get_by_role("button", name="Stop the update").click()


def test_the_dialog_says_what_will_happen(page):
    ask(page)

    dialog = page.get_by_role("dialog", name="Stop the update of churn?")
    expect(dialog).to_contain_text("it acts now, because the update is baking")
    expect(dialog).to_contain_text("churn-v41 serves afterwards")
    expect(dialog.get_by_role("button", name="Keep it running")).to_be_focused()


@pytest.mark.parametrize("leave", ["Escape", "Enter"])
def test_leaving_the_dialog_stops_nothing(page, server, leave):
    ask(page)

    page.keyboard.press(leave)

    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop…")).to_be_focused()
    assert server.state(**WHERE) == "deferred"


def test_the_dialog_survives_an_update_of_the_page(page, server, visitor):
    ask(page)

    server.replace_report(reports.live_canary(traffic={"percent": 26.0, "course": []}), **WHERE)
    visitor.poll(page)

    expect(page.locator("dl.facts")).to_contain_text("26 %")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_stopping_marks_the_task_failed_and_waits_for_the_abort(page, server, visitor):
    confirm(page)

    expect(page.locator(".notice")).to_contain_text("Waiting for the abort to take effect")
    expect(page.locator(".title .badge")).to_have_text("STOP REQUESTED")
    expect(page.get_by_role("button", name="Stop…")).to_have_count(0)
    assert server.state(**WHERE) == "failed"

    server.replace_report(reports.live_canary(abort_switch_thrown_at=reports.iso()), **WHERE)
    visitor.poll(page)
    expect(page.locator(".notice")).to_contain_text("the abort switch was thrown at")

    ended = reports.rolled_back_by_alarm(cause={"kind": "abort", "alarms": []})
    server.replace_report(ended, **WHERE)
    visitor.poll(page)
    expect(page.locator(".title .badge")).to_have_text("ROLLED BACK")
    expect(page.locator(".cause")).to_contain_text("aborted")
    expect(page.locator(".notice")).to_have_count(0)


def test_without_an_answer_the_page_says_what_to_do(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.page()
    page.goto(visitor.url(WHERE))
    confirm(page)
    expect(page.locator(".notice")).to_contain_text("Stop requested")

    page.clock.fast_forward(31_000)

    notice = page.locator(".notice")
    expect(notice).to_contain_text(re.compile(r"Nobody has answered the stop for 3\d s"))
    expect(notice).to_contain_text("Is a triggerer running?")
    expect(notice).to_contain_text("By hand, with AWS's CLI")
    assert _datapoint_of(notice.locator("code").inner_text()) == publish_request(reports.SWITCH, THROWN)


@pytest.mark.parametrize(
    "report",
    [{"region": None}, {"region": "x; rm"}, {"endpoint_name": "a b"}, {"abort_switch": "somebody-elses"}],
    ids=repr,
)
def test_no_command_is_made_of_names_that_aws_does_not_have(server, visitor, report):
    server.add_rollout(reports.live_canary(**report), **WHERE)
    page = visitor.page()
    page.goto(visitor.url(WHERE))
    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the update").click()
    expect(page.locator(".notice")).to_contain_text("Stop requested")

    page.clock.fast_forward(31_000)

    expect(page.locator(".notice")).to_contain_text("run a task of SageMakerAbortRolloutOperator")
    expect(page.locator(".notice code")).to_have_count(0)


def _datapoint_of(command: str) -> dict[str, Any]:
    """Read a command of AWS's CLI as the request that it sends."""
    words = shlex.split(command)
    assert words[:3] == ["aws", "cloudwatch", "put-metric-data"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert given["--region"] == "eu-west-1"
    names = [one.split("=") for one in given["--dimensions"].split(",")]
    datum = {
        "MetricName": given["--metric-name"],
        "Dimensions": [{"Name": name, "Value": value} for name, value in names],
        "Value": float(given["--value"]),
        "StorageResolution": int(given["--storage-resolution"]),
    }
    return {"Namespace": given["--namespace"], "MetricData": [datum]}


def test_the_dialog_works_in_a_frame_as_airflow_makes_it(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.list()
    page.evaluate(
        """(url) => {
          const frame = document.createElement("iframe");
          frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms");
          frame.src = url;
          document.body.replaceChildren(frame);
          frame.width = 1000;
          frame.height = 700;
        }""",
        visitor.url(WHERE),
    )
    frame = page.frame_locator("iframe")

    frame.get_by_role("button", name="Stop…").click()
    frame.get_by_role("dialog").get_by_role("button", name="Stop the update").click()

    expect(frame.locator(".notice")).to_contain_text("Stop requested")
    assert server.state(**WHERE) == "failed"
    # Such a frame opens no windows, so the address of AWS's console is there to be copied.
    expect(frame.locator("nav.links code").first).to_contain_text("https://eu-west-1.console.aws.amazon.com")


def test_a_mapped_task_is_stopped_by_its_index(server, visitor):
    for map_index in (0, 1):
        report = reports.live_canary(endpoint_name=f"churn-{map_index}")
        server.add_rollout(report, **WHERE, map_index=map_index)
    page = visitor.rollout({**WHERE, "map_index": 1})

    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the update").click()

    expect(page.locator(".notice")).to_contain_text("Stop requested")
    states = [server.state(**WHERE, map_index=map_index) for map_index in (0, 1)]
    assert states == ["deferred", "failed"]


def test_somebody_without_the_right_is_told_so(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.rollout(WHERE, user="viewer")

    confirm(page)

    expect(page.locator(".notice")).to_contain_text(
        "Not stopped: you may not change task instances of DAG retrain"
    )
    assert server.state(**WHERE) == "deferred"


@pytest.mark.parametrize(
    ("status", "text"),
    [(409, "has this state already"), (401, "Log in"), (404, "does not find"), (500, "(500)")],
)
def test_a_refusal_is_said_in_plain_words(page, status, text):
    page.route("**/taskInstances/**", lambda route: route.fulfill(status=status, json={"detail": "Because."}))

    confirm(page)

    expect(page.locator(".notice")).to_contain_text(text)
    expect(page.locator(".notice")).to_contain_text("Airflow says: Because.")
    expect(page.get_by_role("button", name="Stop…")).to_be_visible()


def test_no_answer_is_not_taken_for_a_refusal(page):
    page.route("**/taskInstances/**", lambda route: route.abort())

    confirm(page)

    expect(page.locator(".notice")).to_contain_text("it is not known whether the task is marked failed")


def test_what_cannot_be_aborted_says_why(server, visitor):
    text = "Marking this task failed leaves the update alone: it has no abort switch"
    report = reports.live_canary(abort_switch=None, stopping={"aborts": False, "text": text})
    server.add_rollout(report, **WHERE)

    page = visitor.rollout(WHERE)

    expect(page.locator(".stopping")).to_contain_text(f"Cannot be stopped here: {text}")
    expect(page.get_by_role("button", name="Stop…")).to_have_count(0)
