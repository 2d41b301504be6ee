"""The pages by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.cli.recorded import COURSE, call_id
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


def test_brackets_go_through_the_turns(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open(f"/sessions/{COURSE}/context")
    turns = [row.get_attribute("data-row") for row in page.locator("[data-turn]").all()]
    seen = []
    for key in ("]", "]", "["):
        page.keyboard.press(key)
        seen.append(page.locator("[data-turn].current").get_attribute("data-row"))
    assert seen == [turns[0], turns[1], turns[0]]


def test_a_capital_e_goes_back_to_the_error_before(visitor: Visitor) -> None:
    page = visitor.page
    errors = page.locator("[data-error]").count()
    assert errors == 2
    seen = []
    for key in ("e", "e", "E"):
        page.keyboard.press(key)
        seen.append(page.locator(".current").get_attribute("data-row"))
    assert len(set(seen)) == errors
    assert seen[0] == seen[2]


def test_d_shows_the_differences_from_the_call_before(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open(f"/calls/{call_id(104)}")
    page.keyboard.press("d")
    page.wait_for_url(f"**/compare?*b={call_id(104)}")
    assert page.locator("main h1").inner_text() == "Compare"


@pytest.mark.parametrize("key", ["j", "k", "[", "]", "e", "E", "s", "d", "/", "?"])
def test_in_a_field_every_key_is_a_letter(visitor: Visitor, key: str) -> None:
    page = visitor.page
    address = page.url
    page.locator(".find input").focus()
    page.keyboard.press(key)
    expect(page.locator(".find input")).to_have_value(key)
    assert page.locator(".current, dialog[open]").count() == 0
    assert page.url == address
