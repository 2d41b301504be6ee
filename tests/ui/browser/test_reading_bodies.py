"""A page of a session whose bodies nobody has read yet, while it is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect
from tests.cli.recorded import NODE, chat, write
from tests.ui.browser.conftest import Visitor, visit
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.trace.index import parts_reader
from sessiontap.ui import live
from sessiontap.ui.reading import Reading

SESSION, CALLS, SLICE = "long-session", 60, 20
READING = f"Reading the bodies of {CALLS} calls"
ALL = f"Turns 11 to {CALLS} of {CALLS}"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A session that is longer than a window. Each answer, and each step of the stream, reads 20 calls."""
    monkeypatch.setattr("sessiontap.ui.site.SECONDS", 0)
    monkeypatch.setattr(live, "READ_FOR", 0)
    monkeypatch.setattr(parts_reader, "SLICE", SLICE)
    asked = [{"role": "user", "content": "How many? " * 40}]
    calls = [chat(n, session=(SESSION, "Long", "/ask", n), caller=NODE, messages=asked) for n in range(CALLS)]
    folder = write(tmp_path / "trace", calls)
    with served(lambda: Reading(open_trace(folder))) as found:
        yield found


def hold_stream(visitor: Visitor) -> Route:
    """Go to the page, whose stream waits until somebody lets its request go on."""
    held: list[Route] = []
    visitor.page.route("**/live?*", lambda route: held.append(route), times=1)
    visitor.open(f"/sessions/{SESSION}/context")
    while not held:
        visitor.page.wait_for_timeout(20)
    return held[0]


def test_a_page_fills_itself_in(chromium: Browser, site: Client) -> None:
    visitor = visit(chromium, site)
    stream = hold_stream(visitor)
    expect(visitor.page.locator("[data-reading]")).to_contain_text(READING)
    stream.continue_()

    expect(visitor.page.locator("main")).to_contain_text(ALL)
    expect(visitor.page.locator("[data-reading]")).to_have_count(0)
    assert visitor.faults == []
    visitor.context.close()


def test_a_page_without_scripts_loads_itself_until_all_is_read(chromium: Browser, site: Client) -> None:
    visitor = visit(chromium, site, java_script_enabled=False)
    visitor.open(f"/sessions/{SESSION}/context")

    expect(visitor.page.locator("main")).to_contain_text(READING)
    expect(visitor.page.locator("main")).to_contain_text(ALL)
    expect(visitor.page.locator("main")).not_to_contain_text(READING)
    visitor.context.close()


def test_a_page_that_is_being_read_stays_until_its_reader_wants_all(chromium: Browser, site: Client) -> None:
    visitor = visit(chromium, site, viewport={"width": 900, "height": 300})
    stream, page = hold_stream(visitor), visitor.page
    shown = "[scrollY, document.querySelector('main > section:last-of-type').innerText]"
    page.evaluate("scrollTo(0, document.scrollingElement.scrollHeight)")
    before = page.evaluate(shown)
    stream.continue_()

    expect(page.locator("[data-reading] a")).to_have_text("Show all")
    assert page.evaluate(shown) == before
    page.locator("[data-reading] a").click()
    expect(page.locator("main")).to_contain_text(ALL)
    assert visitor.faults == []
    visitor.context.close()
