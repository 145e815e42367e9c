"""When the demo opens the page "Rollouts" in the user's browser."""

from __future__ import annotations

import sys
import webbrowser

import pytest

from airflow_guardrails.demo.browser import list_page, open_in_browser, rollout_page

URL = "http://127.0.0.1:8080/plugin/rollouts"
HEADLESS = ("CI", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY")


class Desktop(webbrowser.BaseBrowser):
    """A browser that only remembers what it was asked to open."""

    def __init__(self) -> None:
        super().__init__("desktop")
        self.opened: list[str] = []

    def open(self, url, new=0, autoraise=True) -> bool:  # noqa: ARG002 - as webbrowser calls it
        self.opened.append(url)
        return True


@pytest.fixture
def desktop(monkeypatch) -> Desktop:
    """The preferred browser of a desktop whose terminal the demo runs in."""
    browser = Desktop()
    monkeypatch.setattr(webbrowser, "_browsers", {})
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    webbrowser.register("desktop", None, browser, preferred=True)
    for name in HEADLESS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    return browser


def test_the_page_is_opened_on_a_desktop(desktop):
    assert open_in_browser(URL)
    assert desktop.opened == [URL]


@pytest.mark.parametrize("name", ["CI", "SSH_CONNECTION"])
def test_nothing_is_opened_in_ci_or_on_another_machine(desktop, monkeypatch, name):
    monkeypatch.setenv(name, "1")

    assert not open_in_browser(URL)
    assert desktop.opened == []


def test_nothing_is_opened_without_a_display(desktop, monkeypatch):
    monkeypatch.delenv("DISPLAY")

    assert not open_in_browser(URL)
    assert desktop.opened == []


def test_nothing_is_opened_if_the_output_goes_to_a_file(desktop, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)

    assert not open_in_browser(URL)
    assert desktop.opened == []


def test_a_browser_that_would_take_over_the_terminal_is_not_opened(desktop, monkeypatch):
    webbrowser.register("text", None, webbrowser.GenericBrowser("false"), preferred=True)

    assert not open_in_browser(URL)


def test_a_machine_without_any_browser_is_fine(desktop, monkeypatch):
    monkeypatch.setattr(webbrowser, "_browsers", {})
    monkeypatch.setattr(webbrowser, "_tryorder", [])

    assert not open_in_browser(URL)


def test_the_addresses_lead_to_the_list_and_to_one_rollout():
    assert list_page("http://127.0.0.1:8080") == URL
    assert rollout_page("http://h", dag_id="a dag", run_id="run+1", task_id="group.task") == (
        "http://h/airflow-guardrails/rollouts?dag_id=a+dag&run_id=run%2B1&task_id=group.task"
    )
