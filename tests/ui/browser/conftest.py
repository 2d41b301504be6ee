"""The pages in a real Chromium: Debian's, or whichever is installed. Without one these tests skip.

    apt-get install chromium
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright
from tests.cli import recorded
from tests.support.gate import PATIENCE
from tests.ui.browser.hostile import hostile_calls
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each test has contexts of its own."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    expect.set_options(timeout=PATIENCE * 1000)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=flags, timeout=PATIENCE * 1000)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A browser at the site, and all that went wrong there."""

    client: Client
    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)
    """Errors of scripts, refusals of the Content-Security-Policy, dialogs, failed and foreign requests."""

    def watch(self) -> Visitor:
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", lambda line: line.type == "error" and self.faults.append(f"console: {line.text}"))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("requestfailed", self._fail)
        self.page.on("request", self._ask)
        return self

    def _fail(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the browser went on before it came
            self.faults.append(f"failed: {request.url}")

    def _ask(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:")):
            self.faults.append(f"foreign: {request.url}")

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.client.port}"

    def open(self, path: str) -> int:
        """Go to this path, and return the status."""
        answer = self.page.goto(f"{self.origin}{path}", wait_until="load")
        assert answer is not None
        return answer.status


def visit(browser: Browser, client: Client, **options: object) -> Visitor:
    """A browser of its own, let in by a token as the terminal prints it."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    visitor = Visitor(client, context, page).watch()
    visitor.open(f"/?token={client.access.token()}")
    return visitor


@pytest.fixture(scope="session")
def hostile_trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ordinary sessions, and one in which everything tries to be more than text."""
    return recorded.write(tmp_path_factory.mktemp("browser") / "trace", [*recorded.calls(), *hostile_calls()])


@pytest.fixture(scope="session")
def site(hostile_trace: Path) -> Iterator[Client]:
    """That trace, served."""
    with served(lambda: Reading(open_trace(hostile_trace))) as found:
        yield found.let_in()
