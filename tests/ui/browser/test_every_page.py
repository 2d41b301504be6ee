"""Every page, with and without JavaScript, light and dark, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import pytest
from playwright.sync_api import Browser
from tests.analysis import coding_session
from tests.ui.browser.addresses import ADDRESSES, IDS
from tests.ui.browser.conftest import Visitor, visit
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
KINDS = {"with scripts": {}, "without scripts": {"java_script_enabled": False}}


@pytest.fixture(scope="module", params=KINDS)
def visitor(request: pytest.FixtureRequest, chromium: Browser, site: Client) -> Iterator[Visitor]:
    found = visit(chromium, site, **KINDS[request.param])
    yield found
    found.context.close()


@pytest.mark.parametrize("address", ADDRESSES, ids=IDS)
def test_a_page_says_something_and_nothing_goes_wrong(visitor: Visitor, address: str) -> None:
    visitor.faults.clear()
    assert visitor.open(address) == 200
    assert len(visitor.page.locator("main").inner_text().split()) >= 3
    assert visitor.faults == []
    assert visitor.page.locator("html[data-ran]").count() == 0


SCHEMES = {"light": {}, "dark": {"runOnly": ["color-contrast", "link-in-text-block"]}}
"""What axe looks at in each colour scheme: all of its rules, then those of them that look at colours."""


@pytest.fixture(scope="module")
def inspected(chromium: Browser, site: Client) -> Iterator[Visitor]:
    found = visit(chromium, site, bypass_csp=True)
    yield found
    found.context.close()


@pytest.mark.parametrize("address", ADDRESSES, ids=IDS)
def test_axe_finds_no_fault(inspected: Visitor, address: str) -> None:
    inspected.open(address)
    inspected.page.evaluate(AXE)
    told = []
    for scheme, options in SCHEMES.items():
        inspected.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert inspected.page.evaluate("scheme => matchMedia(`(prefers-color-scheme: ${scheme})`).matches", scheme)
        found = inspected.page.evaluate(
            "options => axe.run(document, options)", {"resultTypes": ["violations"], **options}
        )
        assert found["passes"], "it looked at nothing"
        told += [
            f"{scheme}: {one['id']}: {node['html'][:120]}" for one in found["violations"] for node in one["nodes"][:3]
        ]
    assert told == []


@pytest.fixture(scope="module")
def phone(chromium: Browser, site: Client) -> Iterator[Visitor]:
    found = visit(chromium, site, viewport={"width": 390, "height": 800})
    yield found
    found.context.close()


@pytest.mark.parametrize("address", ADDRESSES, ids=IDS)
def test_a_phone_scrolls_in_one_direction(phone: Visitor, address: str) -> None:
    phone.open(address)
    wide = phone.page.evaluate("() => document.scrollingElement.scrollWidth")
    assert wide <= 390


@pytest.fixture(scope="module")
def coding(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """A phone before the session of a coding agent."""
    folder = coding_session.write(tmp_path_factory.mktemp("coding") / "trace")
    with served(lambda: Reading(open_trace(folder))) as client:
        found = visit(chromium, client.let_in(), viewport={"width": 390, "height": 800})
        yield found
        found.context.close()


@pytest.mark.parametrize(
    ("address", "least"),
    [("/sessions/@1/cache", 1), ("/sessions/@1/waste", 2), ("/sessions/@1/tools", 1), ("/compare?a=@1/2&b=@1/3", 1)],
    ids=["cache", "waste", "tools", "compare"],
)
def test_a_phone_shows_tables_to_their_right_border(coding: Visitor, address: str, least: int) -> None:
    coding.open(address)
    borders = coding.page.evaluate(
        "() => [...document.querySelectorAll('table')].map(one => one.getBoundingClientRect().right)"
    )
    assert len(borders) >= least
    assert max(borders) <= 390


def test_what_takes_longer_comes_behind_the_page(coding: Visitor) -> None:
    coding.open("/sessions/@1/cache")
    coding.page.locator("#waste").scroll_into_view_if_needed()
    coding.page.wait_for_selector("section[aria-labelledby=waste] table")
    assert coding.page.locator("#waste").count() == 1
    assert coding.page.locator("[data-later]").count() == 0


@pytest.mark.parametrize("address", ["/nothing", "/sessions/nobody", "/?sort=colour", "/?unknown=1"])
def test_a_wrong_address_gets_a_page_that_says_what_to_do(chromium: Browser, site: Client, address: str) -> None:
    visitor = visit(chromium, site)
    assert visitor.open(address) >= 400
    assert len(visitor.page.locator("main p").all()) >= 1
    visitor.context.close()
