"""The timeline of a long session: few elements, all rows within reach, zoomed by mouse and keys into the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect
from tests.ui import long_session
from tests.ui.browser.conftest import Visitor, visit
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading

CALLS = 1_000
ADDRESS = f"/sessions/{long_session.SESSION}/timeline"
MOST_ELEMENTS = 2_000


@pytest.fixture(scope="module")
def long_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = long_session.write(tmp_path_factory.mktemp("long") / "trace", CALLS)
    with served(lambda: Reading(open_trace(folder))) as found:
        yield found.let_in()


@pytest.fixture
def visitor(chromium: Browser, long_site: Client) -> Iterator[Visitor]:
    found = visit(chromium, long_site, viewport={"width": 1400, "height": 1000})
    found.open(ADDRESS)
    yield found
    assert found.faults == []
    found.context.close()


def steps(visitor: Visitor) -> list[int]:
    """The steps of the rows that are in the page."""
    return [int(text) for text in visitor.page.locator("#rows tr[data-row] td:first-child").all_inner_texts()]


def elements(visitor: Visitor) -> int:
    return int(visitor.page.evaluate("document.querySelectorAll('*').length"))


def chosen(visitor: Visitor) -> tuple[float, float]:
    """The range in the address, once there is one."""
    visitor.page.wait_for_url(re.compile(r"from=.*to="))
    query = parse_qs(urlsplit(visitor.page.url).query)
    return float(query["from"][0]), float(query["to"][0])


def test_rows_come_as_they_are_scrolled_to(visitor: Visitor) -> None:
    assert elements(visitor) < MOST_ELEMENTS
    visitor.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(visitor.page.locator("#rows tr[data-row] td:first-child").last).to_have_text(str(CALLS - 1))
    found = steps(visitor)
    assert found == list(range(found[0], CALLS))
    assert elements(visitor) < MOST_ELEMENTS
    visitor.page.evaluate("scrollTo(0, 0)")
    expect(visitor.page.locator("#rows tr[data-row] td:first-child").first).to_have_text("0")


def test_the_page_is_as_high_as_all_rows(visitor: Visitor) -> None:
    visitor.page.wait_for_selector("tr.spacer", state="attached")
    height = int(visitor.page.evaluate("document.querySelector('#rows').scrollHeight"))
    assert CALLS * 20 <= height < CALLS * 20 + 100


def test_a_drag_on_the_strip_zooms(visitor: Visitor) -> None:
    box = visitor.page.locator("#brush").bounding_box()
    assert box is not None
    left, top, width = box["x"], box["y"] + 5, box["width"]
    visitor.page.mouse.move(left + width * 0.25, top)
    visitor.page.mouse.down()
    visitor.page.mouse.move(left + width * 0.3, top)
    visitor.page.mouse.up()
    begin, end = chosen(visitor)
    expect(visitor.page.get_by_role("link", name="The whole session")).to_be_visible()
    rows = visitor.client.get(f"{ADDRESS}.json?from={begin}&to={end}&limit=500").json()
    assert 0 < rows["matching"] < CALLS
    expect(visitor.page.locator("#rows tr[data-row] td:first-child").first).to_have_text(str(rows["rows"][0]["step"]))


@pytest.mark.parametrize(("keys", "narrower"), [("w", True), ("wws", True), ("wwd", True), ("f", True)])
def test_keys_zoom(visitor: Visitor, keys: str, narrower: bool) -> None:
    whole = float(visitor.page.locator("#timeline").get_attribute("data-whole") or 0)
    for key in keys:
        visitor.page.keyboard.press(key)
    begin, end = chosen(visitor)
    assert (end - begin < whole) is narrower
    assert 0 <= begin < end <= whole


def test_zoomed_out_there_is_no_range(visitor: Visitor) -> None:
    visitor.page.keyboard.press("w")
    chosen(visitor)
    visitor.page.keyboard.press("0")
    visitor.page.wait_for_url(lambda url: "from=" not in url)


def test_keys_stay_out_of_inputs(visitor: Visitor) -> None:
    visitor.page.locator(".find input").press_sequentially("was")
    assert "from=" not in visitor.page.url
    assert visitor.page.locator(".find input").input_value() == "was"


def test_the_wheel_zooms_at_the_pointer(visitor: Visitor) -> None:
    visitor.page.locator("#brush").hover()
    visitor.page.mouse.wheel(0, -100)
    begin, end = chosen(visitor)
    assert begin > 0
    assert end < float(visitor.page.locator("#timeline").get_attribute("data-whole") or 0)


def test_what_is_pointed_at_is_told(visitor: Visitor) -> None:
    visitor.page.locator("#rows tr[data-row] td.chart").nth(1).hover()
    expect(visitor.page.locator("#details")).to_contain_text("begins at")


def test_the_bars_are_as_the_server_draws_them(visitor: Visitor) -> None:
    """Both draw the range of the rows that are seen; of a range whose rows are all in the page, the same."""
    visitor.open(f"{ADDRESS}?from=10&to=60")
    drawn = visitor.page.evaluate("[...document.querySelectorAll('.run')].map((one) => one.getAttribute('viewBox'))")
    sent = re.findall(r'class="run"[^>]*viewBox="([^"]+)"', visitor.client.get(f"{ADDRESS}?from=10&to=60").text)
    numbers = [[float(one) for one in box.split()] for box in drawn]
    assert numbers == [pytest.approx([float(one) for one in box.split()], abs=0.002) for box in sent]
    labels = visitor.page.locator(".times text.clock").all_text_contents()
    assert labels[0] in ("10s", "15s")


def test_without_scripts_pages_of_rows_follow_each_other(chromium: Browser, long_site: Client) -> None:
    visitor = visit(chromium, long_site, java_script_enabled=False)
    visitor.open(ADDRESS)
    assert steps(visitor)[-1] == 59
    visitor.page.get_by_role("link", name="Later").click()
    assert steps(visitor) == list(range(60, 120))
    visitor.page.get_by_role("link", name="Earlier").click()
    assert steps(visitor)[0] == 0
    visitor.context.close()
