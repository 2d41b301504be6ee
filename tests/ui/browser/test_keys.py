"""The pages by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.cli.recorded import COURSE
from tests.ui.browser.conftest import Visitor, visit
from tests.ui.served import Client


@pytest.fixture
def visitor(chromium: Browser, site: Client) -> Iterator[Visitor]:
    found = visit(chromium, site)
    yield found
    found.context.close()


def test_j_and_k_go_through_the_sessions_and_enter_opens_one(visitor: Visitor) -> None:
    page = visitor.page
    rows = [row.get_attribute("data-row") for row in page.locator("[data-row]").all()]
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    expect(page.locator("[data-row].current")).to_have_attribute("data-row", rows[1] or "")
    page.keyboard.press("Enter")
    expect(page.locator("nav[aria-label=Session] [aria-current]")).to_have_text("Overview")


def test_a_slash_finds_the_search_and_there_keys_are_letters(visitor: Visitor) -> None:
    page = visitor.page
    page.keyboard.press("/")
    page.keyboard.type("jke/[")
    expect(page.locator(".find input")).to_have_value("jke/[")
    assert page.locator(".current").count() == 0


def test_e_goes_to_the_next_error(visitor: Visitor) -> None:
    visitor.page.keyboard.press("e")
    assert visitor.page.locator(".current[data-error]").count() == 1


def test_a_question_mark_tells_the_keys_and_escape_closes_it(visitor: Visitor) -> None:
    page = visitor.page
    page.keyboard.press("?")
    help_ = page.locator("dialog[open]")
    expect(help_).to_contain_text("next")
    page.keyboard.press("Escape")
    expect(help_).to_have_count(0)


def test_tab_reaches_the_content_past_the_bars(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open(f"/sessions/{COURSE}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"
