"""The page by keyboard, for screen readers, in the dark, and on a phone."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.e2e.ui import reports

pytestmark = pytest.mark.e2e
WHERE = {"dag_id": "retrain", "run_id": "manual__2026-11-30T01:00:00+00:00", "task_id": "update"}
STATES = {
    "live": (reports.live_canary, "deferred"),
    "judged": (reports.live_judged, "deferred"),
    "rolled back": (reports.rolled_back_by_judge, "failed"),
    "rollback failed": (reports.rollback_failed, "failed"),
    "succeeded": (reports.succeeded, "success"),
    "sensor": (reports.seen_by_sensor, "failed"),
    "not watched": (reports.live_canary, "failed"),
    "hostile": (reports.hostile, "failed"),
}

# WCAG 2.1, 1.4.3: the contrast of each text with the first background behind it that is not transparent.
LOW_CONTRAST = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => {
    const [r, g, b] = rgba(colour).map((one) => one / 255)
      .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (rgba(colour)[3] > 250) return colour;
    }
    return "white";
  };
  const hasText = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const texts = [...document.querySelectorAll(".rollouts *")].filter(
    (one) => !one.closest(".hidden, option") && hasText(one));
  return texts.map((one) => {
    const style = getComputedStyle(one);
    const own = one instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [luminance(own), luminance(behind(one))].sort((a, b) => b - a);
    return { text: one.textContent.slice(0, 40), ratio: (light + 0.05) / (dark + 0.05) };
  }).filter(({ ratio }) => ratio < 4.5);
}
"""


@pytest.fixture(params=STATES)
def state(request, server) -> str:
    report, task_state = STATES[request.param]
    server.add_rollout(report(), **WHERE, state=task_state)
    return request.param


def test_it_can_be_read_in_light_and_dark_and_on_a_phone(state, visitor):
    page = visitor.rollout(WHERE)

    for scheme, expected in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(17, 19, 23)")):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(LOW_CONTRAST) == []
        background = page.evaluate("getComputedStyle(document.querySelector('.rollouts')).backgroundColor")
        assert background == expected

    page.set_viewport_size({"width": 360, "height": 800})
    assert _too_wide(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_airflows_theme_takes_precedence_over_the_systems(server, visitor, theme):
    server.add_rollout(reports.live_judged(), **WHERE)
    system = {"light": "dark", "dark": "light"}[theme]
    page = visitor.page(color_scheme=system)
    page.add_init_script(f"localStorage.setItem('theme', '{theme}')")

    page.goto(f"{server.base_url}/dags/retrain/runs/{WHERE['run_id']}/tasks/update/plugin/rollout")

    expect(page.locator("article.rollout")).to_be_visible(timeout=20_000)
    assert page.evaluate("getComputedStyle(document.querySelector('.rollouts')).colorScheme") == theme
    assert page.evaluate(LOW_CONTRAST) == []


def test_the_list_needs_no_scrolling_to_the_side_on_a_phone(server, visitor):
    for dag_id, (report, task_state) in enumerate(STATES.values()):
        server.add_rollout(report(), **{**WHERE, "dag_id": f"dag-{dag_id}"}, state=task_state)

    page = visitor.list(width=360)

    assert _too_wide(page) == []


def test_stopping_needs_no_mouse(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.rollout(WHERE)

    _tab_to(page, "Stop…")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep it running")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Stop the update")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator(".notice")).to_contain_text("Stop requested")
    assert server.state(**WHERE) == "failed"


def test_everything_that_can_be_used_can_be_reached_and_has_a_name(server, visitor):
    server.add_rollout(reports.rolled_back_by_judge(), **WHERE, state="failed")
    server.add_rollout(reports.live_judged(), **{**WHERE, "dag_id": "other"})
    page = visitor.list()
    wanted = page.locator(".rollouts :is(a, button, input, select, summary)").count()

    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))

    assert len(reached) >= wanted
    for role in ("link", "button", "combobox", "searchbox", "img"):
        for one in page.get_by_role(role).all():
            name = "one => one.ariaLabel ?? one.labels?.[0]?.textContent ?? one.textContent"
            assert one.evaluate(name).strip()


def test_each_control_shows_that_it_has_the_focus(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)
    page = visitor.rollout(WHERE)

    _tab_to(page, "Stop…")

    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_nothing_moves_for_those_who_do_not_want_it(server, visitor):
    server.add_rollout(reports.live_canary(), **WHERE)

    page = visitor.rollout(WHERE, reduced_motion="reduce")

    assert page.evaluate("document.getAnimations().length") == 0


def test_all_requests_stay_below_the_path_prefix_and_are_few_bytes(server, visitor):
    server.add_rollout(reports.live_judged(), **WHERE)
    page = visitor.page()
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))

    page.goto(visitor.url(WHERE))
    page.locator("article.rollout").wait_for()

    assert [url for url in urls if not urlsplit(url).path.startswith("/airflow/airflow-guardrails/")] == []
    assert {urlsplit(url).netloc for url in urls} == {urlsplit(server.base_url).netloc}
    assert sum(received) < 60_000


def _tab_to(page: Page, text: str) -> None:
    for _ in range(30):
        page.keyboard.press("Tab")
        if text in page.evaluate("document.activeElement.textContent"):
            return
    pytest.fail(f"{text} cannot be reached by keyboard")


def _too_wide(page: Page) -> list[str]:
    return page.evaluate(
        "() => document.documentElement.scrollWidth <= innerWidth ? []"
        " : [...document.querySelectorAll('*')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth)"
        ".map((one) => one.outerHTML.slice(0, 80))"
    )
