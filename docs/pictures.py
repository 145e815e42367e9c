"""
Make the pictures of the page "Rollouts" in ``docs/img``, from a running demo.

Run: ``make pictures`` (about ten minutes). It starts the demo, waits by the page's JSON API until a run is
where a picture is to be taken, and stops the demo. Three states do not occur there: a rollback that failed,
the question before a stop, and a stop that nobody answers. They are made on a server of the tests, from
``tests/e2e/ui/reports.py``.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from airflow_guardrails.demo.processes import Processes
from airflow_guardrails.demo.production import isolated_environment
from tests.e2e.ui import reports
from tests.e2e.ui.server import Server, start_server

FOLDER = Path(__file__).parent / "img"
MAX_BYTES = 150_000
SCHEMES = ("light", "dark")
WIDE, TALL, PHONE = (1200, 800), (1200, 1040), (390, 844)
LIST = "/airflow-guardrails/rollouts"
GOOD = {
    "dag_id": "shadow_test_and_deploy",
    "run_id": "good-model",
    "task_id": "guarded_deployment.guarded_update",
}
REJECTED = {**GOOD, "run_id": "wrong-model", "task_id": "guarded_deployment.observe"}
BAD = {"dag_id": "retrain_and_deploy", "run_id": "bad-model", "task_id": "guarded_update"}
SLOW = {"dag_id": "retrain_and_compare", "run_id": "slow-model", "task_id": "guarded_update"}
IDLE = {**SLOW, "run_id": "model-without-traffic"}
MADE = {"dag_id": "retrain", "run_id": "nightly", "task_id": "guarded_update"}
# Half the size of PNG, and text stays sharp.
ENCODE = """async data => {
    const picture = await createImageBitmap(await (await fetch(data)).blob());
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    canvas.getContext("2d").drawImage(picture, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/webp", quality: 0.9 });
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
}"""


def main() -> None:
    """Make all pictures."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        # Chromium has no sandbox for root.
        arguments = [] if os.getuid() else ["--no-sandbox"]
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        with running_server() as server:
            take_made_states(browser, server)
        with running_demo() as url:
            take_demo(Camera(browser, url))
        browser.close()


@dataclass
class Camera:
    """
    Opens pages and takes pictures of them.

    :param base_url: of Airflow.
    :param cookie: of a session; the demo needs none.
    """

    browser: Browser
    base_url: str
    cookie: dict[str, str] | None = None

    def open(self, path: str, *, scheme: str = "light", size: tuple[int, int] = WIDE) -> Page:
        """Open a page, and wait until it shows rollouts."""
        page = self._context(scheme, size).new_page()
        page.goto(self.base_url + path)
        page.locator(".rollouts article, .rollouts .list, .rollouts .card").first.wait_for()
        return page

    def take(self, name: str, path: str, *, schemes: tuple[str, ...] = ("light",), **more: Any) -> None:
        """Take a picture of what the window shows, in each scheme."""
        for scheme in schemes:
            page = self.open(path, scheme=scheme, **more)
            self.save(page, f"{name}-dark" if scheme == "dark" else name)
            page.context.close()

    def save(self, page: Page, name: str) -> None:
        """Write what the window shows, without the empty space below."""
        size = page.viewport_size
        assert size is not None
        bottom = page.evaluate("document.querySelector('.rollouts')?.getBoundingClientRect().bottom ?? 1e9")
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], bottom + 8)}
        if page.locator("dialog[open]").count():
            clip["height"] = size["height"]
        png = base64.b64encode(page.screenshot(clip=clip)).decode()  # type: ignore[arg-type]
        # A page of its own, because Airflow's may forbid to fetch such an address.
        blank = page.context.new_page()
        picture = base64.b64decode(blank.evaluate(ENCODE, f"data:image/png;base64,{png}"))
        blank.close()
        if len(picture) > MAX_BYTES:
            sys.exit(f"{name} is too large ({len(picture)} > {MAX_BYTES} bytes)")
        (FOLDER / f"{name}.webp").write_bytes(picture)
        print(f"{name}.webp: {len(picture) // 1000} kB", flush=True)

    def wait(
        self, where: dict[str, str], until: Callable[[dict[str, Any]], Any], *, seconds: float = 600
    ) -> None:
        """Wait until the item of a task instance is as it should be."""
        context = self._context("light", WIDE)
        deadline = time.monotonic() + seconds
        while True:
            answer = context.request.get(f"{self.base_url}/airflow-guardrails/api/rollout?{urlencode(where)}")
            if answer.ok and until(answer.json()["item"]):
                break
            if time.monotonic() > deadline:
                sys.exit(f"{where} has not become what the picture needs")
            time.sleep(0.5)
        context.close()

    def _context(self, scheme: str, size: tuple[int, int]) -> BrowserContext:
        width, height = size
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        if self.cookie:
            context.add_cookies([self.cookie])  # type: ignore[list-item]
        return context


def take_demo(camera: Camera) -> None:
    """Take the pictures of the demo's runs, in the order of the runs."""
    camera.wait(GOOD, lambda item: item["live"] and looks(item) >= 5)
    camera.take("in-flight", page_of(GOOD), schemes=SCHEMES)
    camera.take("phone", page_of(GOOD), size=PHONE)
    camera.wait(BAD, has_ended)
    camera.take("rolled-back", page_of(BAD), schemes=SCHEMES)
    camera.wait(REJECTED, lambda item: item["verdict"] and item["report"]["status"] == "Completed")
    camera.take("shadow-test", page_of(REJECTED))
    camera.wait(SLOW, lambda item: item["live"] and looks(item) >= 5)
    camera.take("list", LIST, schemes=SCHEMES, size=TALL)
    camera.wait(SLOW, has_ended)
    camera.take("judged", page_of(SLOW))
    camera.wait(IDLE, lambda item: item["live"] and item["report"]["traffic"]["percent"])
    tab = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/plugin/rollout".format_map(IDLE)
    camera.take("tab", tab)
    camera.take("card", "/")


def take_made_states(browser: Browser, server: Server) -> None:
    """Take the pictures of what does not happen in the demo."""
    camera = Camera(browser, server.base_url, server.cookie())
    server.add_rollout(reports.rollback_failed(analysis=None), **MADE, state="failed")
    camera.take("rollback-failed", page_of(MADE))
    server.clear()
    server.add_rollout({**reports.live_judged(), "warnings": [], "findings": []}, **MADE)
    page = camera.open(page_of(MADE))
    page.clock.install()
    page.get_by_role("button", name="Stop…").click()
    camera.save(page, "stop")
    page.get_by_role("dialog").get_by_role("button", name="Stop the update").click()
    page.get_by_text("Waiting for the abort to take effect").wait_for()
    # Nobody answers: no triggerer runs beside this server.
    page.clock.run_for(45_000)
    page.get_by_text("Nobody has answered").wait_for()
    camera.save(page, "stop-unanswered")


def page_of(where: dict[str, str]) -> str:
    return f"{LIST}?{urlencode(where)}"


def looks(item: dict[str, Any]) -> int:
    return int((item["report"]["analysis"] or {}).get("looks", 0))


def has_ended(item: dict[str, Any]) -> bool:
    return bool(item["report"]["outcome"])


@contextmanager
def running_demo() -> Iterator[str]:
    """Start the demo; return the URL of its Airflow, and stop it at the end."""
    with tempfile.TemporaryDirectory() as home:
        program = [sys.executable, "-m", "airflow_guardrails.demo", "--ui", "--home", f"{home}/demo"]
        demo = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            assert demo.stdout is not None
            for line in demo.stdout:
                print(line, end="", flush=True)
                if found := re.search(r"Watch it live: (http://[^/\s]+)", line):
                    yield found[1]
                    break
            else:
                sys.exit("The demo ended before its Airflow was ready")
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)


@contextmanager
def running_server() -> Iterator[Server]:
    """Start the API server of the tests."""
    with (
        tempfile.TemporaryDirectory() as home,
        Processes(Path(home) / "logs", isolated_environment()) as processes,
    ):
        yield start_server(processes, Path(home) / "airflow")


if __name__ == "__main__":
    main()
