"""One API server for all tests of the page, under a path prefix, as many installations have one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_guardrails.demo.processes import Processes
from airflow_guardrails.demo.production import isolated_environment
from tests.e2e.ui.server import Server, start_server


@pytest.fixture(scope="session")
def running_server(tmp_path_factory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("logs"), isolated_environment()) as processes:
        yield start_server(processes, tmp_path_factory.mktemp("airflow"), prefix="/airflow")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, as Playwright drives it."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="make e2e installs Playwright")
    with playwright.sync_playwright() as driver:
        # Chromium has no sandbox for root.
        arguments = [] if os.getuid() else ["--no-sandbox"]
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def server(running_server) -> Server:
    """The server, without anything that another test has put there."""
    running_server.clear()
    return running_server


@pytest.fixture
def visitor(browser, server) -> Iterator[Any]:
    """Opens pages in Chromium; no script on them may fail."""
    from tests.e2e.ui.browser import Visitor  # noqa: PLC0415 - Playwright may be missing

    visitor = Visitor(browser=browser, server=server)
    yield visitor
    visitor.close()
    assert visitor.errors == []
