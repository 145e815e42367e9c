"""A real browser on the pages of the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.ui.server import Server

PAGE = "/airflow-guardrails/rollouts"


@dataclass(kw_only=True)
class Visitor:
    """
    Opens pages of the server as a user of Airflow.

    :param errors: exceptions of scripts on these pages. A test that expects none fails at its end.
    """

    browser: Browser
    server: Server
    errors: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def context(self, *, user: str = "admin", width: int = 1280, **more: Any) -> BrowserContext:
        """Open a session in Berlin, whose zone is never UTC."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 800}, timezone_id="Europe/Berlin", **more
        )
        context.add_cookies([self.server.cookie(user)])  # type: ignore[list-item]
        self.contexts.append(context)
        return context

    def page(self, **more: Any) -> Page:
        """Open a page without an address. Its clock goes on, and :meth:`poll` and others turn it forward."""
        page = self.context(**more).new_page()
        page.clock.install(time=datetime.now(timezone.utc))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def list(self, query: str = "", **more: Any) -> Page:
        """Open the list, and wait until it is there."""
        page = self.page(**more)
        page.goto(f"{self.server.base_url}{PAGE}{query}")
        page.locator(".list").wait_for()
        return page

    def rollout(self, where: dict[str, Any], **more: Any) -> Page:
        """Open the page of one task instance, and wait until it is there."""
        page = self.page(**more)
        page.goto(self.url(where))
        page.locator("article.rollout").wait_for()
        return page

    @staticmethod
    def poll(page: Page, *, seconds: int = 3) -> None:
        """Let the page read again, as it does every three seconds while something is live."""
        page.clock.fast_forward(seconds * 1000)

    def url(self, where: dict[str, Any]) -> str:
        return f"{self.server.base_url}{PAGE}?{urlencode({'map_index': -1, **where})}"

    def close(self) -> None:
        for context in self.contexts:
            context.close()
