"""A page that is open while calls come in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect
from tests.cli.recorded import COURSE, NODE, START, call_id, chat, write
from tests.ui.browser.conftest import Visitor, visit
from tests.ui.served import served

from sessiontap import trace
from sessiontap.cli.options import open_trace
from sessiontap.ui.page import Page
from sessiontap.ui.pages import PAGES as ALL
from sessiontap.ui.reading import Reading

MANY = 120
"""Sessions: more than a window shows."""


def session(number: int) -> tuple[str, str, str, int]:
    return f"session-{number:04}", f"Session {number}", "/ask", 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    course = chat(1, session=(COURSE, "Course", "/outline", 0), caller=NODE)
    return write(tmp_path / "trace", [course, *(chat(n, session=session(n), caller=NODE) for n in range(2, MANY))])


@pytest.fixture
def visitor(chromium: Browser, folder: Path) -> Iterator[Visitor]:
    with served(lambda: Reading(open_trace(folder))) as client:
        found = visit(chromium, client, viewport={"width": 1200, "height": 600})
        yield found
        found.context.close()


def test_new_calls_are_told_and_nothing_moves(visitor: Visitor, folder: Path) -> None:
    page = visitor.page
    row = page.locator("[data-row=session-0060]")
    row.scroll_into_view_if_needed()
    with page.expect_response(lambda answer: "/live" in answer.url):
        page.reload()
    row.scroll_into_view_if_needed()
    before = row.bounding_box()
    write(folder, [chat(MANY + 1, session=session(MANY + 1), caller=NODE)])
    news = page.locator("[data-live] button")
    expect(news).to_have_text("1 new call")
    assert row.bounding_box() == before
    write(folder, [chat(MANY + 2, session=session(MANY + 2), caller=NODE)])
    expect(news).to_have_text("2 new calls in 2 sessions")
    assert row.bounding_box() == before
    news.click()
    expect(page.locator(f"[data-row=session-{MANY + 2:04}]")).to_be_visible()
    assert visitor.faults == []


LONG = "long-session"
PAGES = [page for page in ALL if page.live]
"""Every page that tells news."""
SETTLED = """() => {
  const before = window.seen;
  window.seen = `${scrollY} ${document.querySelector("main").innerText}`;
  return window.seen === before;
}"""
"""The page loads no more of what was scrolled to."""


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One session of so many calls that its pages are longer than a window."""
    asked = [{"role": "user", "content": "How many? " * 40}]
    calls = [chat(n, session=(LONG, "Long", "/ask", n), caller=NODE, messages=asked) for n in range(1, MANY)]
    return write(tmp_path_factory.mktemp("live") / "trace", calls)


@pytest.fixture(scope="module")
def long_visitor(chromium: Browser, long_folder: Path) -> Iterator[Visitor]:
    with served(lambda: Reading(open_trace(long_folder))) as client:
        found = visit(chromium, client, viewport={"width": 900, "height": 300})
        yield found
        found.context.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_live_page_tells_of_new_calls_and_stays(long_visitor: Visitor, long_folder: Path, page: Page) -> None:
    visitor = long_visitor
    assert visitor.open(page.path.replace("{session}", LONG)) == 200
    tab = visitor.page
    tab.evaluate("scrollTo(0, document.scrollingElement.scrollHeight / 2)")
    tab.wait_for_function(SETTLED, polling=200)
    read = "[scrollY, document.querySelector('main').innerText]"
    before = tab.evaluate(read)
    number = MANY + PAGES.index(page)
    write(long_folder, [chat(number, session=(LONG, "Long", "/ask", number), caller=NODE)])
    expect(tab.locator("[data-live] button")).to_have_text("1 new call")
    assert tab.evaluate(read) == before
    tab.locator("[data-live] button").click()
    expect(tab.locator("[data-live] button")).to_have_count(0)
    assert visitor.faults == []


def test_a_call_that_came_while_the_page_was_made_is_told(long_visitor: Visitor, long_folder: Path) -> None:
    """The page names how far the log had come: the browser asks from there on, however late."""
    visitor, number = long_visitor, 2 * MANY

    def ask_late(route: Route) -> None:
        write(long_folder, [chat(number, session=(LONG, "Long", "/ask", number), caller=NODE)])
        route.continue_()

    visitor.page.route("**/live?*", ask_late, times=1)
    visitor.open(f"/sessions/{LONG}/context")
    expect(visitor.page.locator("[data-live] button")).to_have_text("1 new call")


def test_a_call_in_flight_has_a_page_that_tells_its_end(chromium: Browser, long_folder: Path) -> None:
    number = 3 * MANY
    running = {
        "id": call_id(number), "time": START, "session": {"id": LONG, "name": "Long", "path": "/ask", "step": number},
    }  # fmt: skip
    with served(lambda: Reading(trace.open(long_folder, in_flight=lambda: [running]))) as client:
        visitor = visit(chromium, client)
        assert visitor.open(f"/calls/{call_id(number)}") == 404
        visitor.faults.clear()  # the browser tells of the status
        expect(visitor.page.locator("h1")).to_contain_text("has not ended")
        write(long_folder, [chat(number, session=(LONG, "Long", "/ask", number), caller=NODE)])
        visitor.page.locator("[data-live] button").click()
        expect(visitor.page.locator("h1")).not_to_contain_text("has not ended")
        assert visitor.faults == []
        visitor.context.close()
