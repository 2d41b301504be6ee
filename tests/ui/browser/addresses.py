"""Every page at its addresses: the pages' own list is asked, so that a new page is tried as well."""

from __future__ import annotations

from urllib.parse import quote

from tests.cli.recorded import COURSE, REPORT, call_id
from tests.ui.browser.hostile import SESSION

from sessiontap.ui.page import Page
from sessiontap.ui.pages import PAGES

EXAMPLES = {"session": (COURSE, REPORT, SESSION), "call": (call_id(1), call_id(5), call_id(104), call_id(200))}
"""What may stand in a page's path."""
QUERIES = {
    "/compare": (
        f"?a={call_id(101)}&b={call_id(104)}",
        f"?a={COURSE}&b={REPORT}",
        f"?a={COURSE}&b={quote(SESSION, safe='')}",
    ),
    "/search": ("?q=script", "?q=nothing-at-all"),
    "/stats": ("", "?by=model", "?by=path"),
}
"""What is asked of a page, if it is not enough to go there."""


def addresses(page: Page) -> list[str]:
    """The addresses at which a page is tried."""
    paths = [page.path]
    for place in page.path_parameters:
        paths = [path.replace(f"{{{place}}}", quote(one, safe="")) for path in paths for one in EXAMPLES[place]]
    return [f"{path}{query}" for path in paths for query in QUERIES.get(page.path, ("",))]


NAMES = {quote(SESSION, safe=""): "HOSTILE", COURSE: "COURSE", REPORT: "REPORT"}


def _id(address: str) -> str:
    for value, name in NAMES.items():
        address = address.replace(value, name)
    return address


ADDRESSES = [address for page in PAGES if page.template for address in addresses(page)]
"""Of those that have a template; the others answer in JSON alone."""
IDS = [_id(address) for address in ADDRESSES]
