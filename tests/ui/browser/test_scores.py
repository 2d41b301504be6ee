"""Stars, scores and notes in a browser: no page is loaded anew for them; without scripts their forms do the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.cli.recorded import COURSE, calls, write
from tests.ui.browser.conftest import visit
from tests.ui.browser.test_every_page import AXE
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    folder = write(tmp_path / "trace", calls())
    with served(lambda: Reading(open_trace(folder), user="ada")) as found:
        yield found.let_in()


def test_s_stars_the_chosen_row_and_then_takes_the_star_away(chromium: Browser, client: Client) -> None:
    visitor = visit(chromium, client)
    page = visitor.page
    page.evaluate("() => { window.kept = true; }")
    for key in ("j", "j", "s"):
        page.keyboard.press(key)
    star = page.locator(f"#star-{COURSE}")
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-star][aria-pressed=true]")).to_have_count(1)
    page.keyboard.press("s")
    expect(star).to_have_attribute("aria-pressed", "false")
    assert page.evaluate("() => window.kept")
    assert visitor.faults == []
    visitor.context.close()


def test_scores_and_notes_are_given_where_the_reader_is(chromium: Browser, client: Client) -> None:
    visitor = visit(chromium, client)
    page = visitor.page
    visitor.open(f"/sessions/{COURSE}")
    page.evaluate("() => { window.kept = true; }")
    page.fill("#score-name", "helpful")
    page.fill("#score-value", "0.8")
    page.fill("#score-note", "It plans well.")
    page.keyboard.press("Enter")
    row = page.locator("#scores li")
    expect(row).to_contain_text("helpful 0.8 It plans well. ada")
    expect(page.locator("#score-name")).to_have_value("")
    row.locator("button").click()
    expect(row).to_have_count(0)
    page.fill("#score-note", "Look again.")
    page.click("#score-save")
    expect(row).to_contain_text("Look again.")
    assert page.evaluate("() => window.kept")
    assert visitor.faults == []
    page.fill("#score-name", "helpful")
    page.click("#score-save")
    expect(page.locator("#scores-told")).to_contain_text("has no value")
    expect(page.locator("#score-name")).to_have_value("helpful")
    visitor.context.close()


def test_without_scripts_a_form_leads_back_to_its_page(chromium: Browser, client: Client) -> None:
    visitor = visit(chromium, client, java_script_enabled=False)
    page = visitor.page
    address = f"/calls/{COURSE}%2F0?view=json"
    visitor.open(address)
    page.click("[data-star].own")
    expect(page.locator("[data-star].own")).to_have_attribute("aria-pressed", "true")
    page.fill("#score-name", "correct")
    page.fill("#score-value", "no")
    page.click("#score-save")
    expect(page.locator("#scores li")).to_contain_text("correct no")
    assert page.url == f"{visitor.origin}{address}"
    assert visitor.faults == []
    visitor.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scores_can_be_read_by_everybody_and_fit_a_phone(chromium: Browser, client: Client, scheme: str) -> None:
    given = [{"name": "helpful", "value": 0.8, "note": "w" * 300}, {"name": "n" * 100, "value": "v" * 200}]
    for path in (f"/api/sessions/{COURSE}/scores", "/api/calls/@1/scores"):
        assert client.post(path, {"scores": [*given, {"name": "star", "value": True}, {"note": "Why?"}]}).status == 200
    phone = {"width": 390, "height": 800}
    visitor = visit(chromium, client, color_scheme=scheme, bypass_csp=True, viewport=phone)
    for address in ("/", f"/sessions/{COURSE}", "/sessions/@1", "/calls/@1"):
        visitor.open(address)
        assert visitor.page.evaluate("() => document.scrollingElement.scrollWidth") <= 390, address
        visitor.page.evaluate(AXE)
        found = visitor.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        assert [f"{one['id']}: {node['html'][:120]}" for one in found["violations"] for node in one["nodes"]] == []
    visitor.context.close()


def test_another_site_cannot_give_scores_by_a_form(chromium: Browser, client: Client) -> None:
    visitor = visit(chromium, client)
    page = visitor.page
    page.goto("data:text/html,<form method=post></form>")
    address = f"{visitor.origin}/api/sessions/{COURSE}/scores"
    page.evaluate(f"() => {{ document.forms[0].action = '{address}'; document.forms[0].submit(); }}")
    page.wait_for_url(address)
    expect(page.locator("main")).to_contain_text("Another site")
    assert client.get(f"/api/sessions/{COURSE}/scores").json()["scores"] == []
    visitor.context.close()
