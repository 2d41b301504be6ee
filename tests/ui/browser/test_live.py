"""A page that is open while calls come in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.cli.recorded import COURSE, NODE, chat, write
from tests.ui.browser.conftest import Visitor, visit
from tests.ui.served import served

from sessiontap.cli.options import open_trace
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
