"""Every address on a page of what was said leads somewhere, and every place on a page that a link names is there."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import pytest
from tests.analysis import coding_session
from tests.cli.recorded import call_id
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading

SESSION = "/sessions/fix-parse-week/conversation"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = coding_session.write(tmp_path_factory.mktemp("links") / "trace")
    with served(lambda: Reading(open_trace(folder))) as found:
        yield found.let_in()


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("href"):
            self.addresses.append(str(named["href"]))
        if named.get("id"):
            self.ids.append(str(named["id"]))


@pytest.mark.parametrize(
    "path",
    [
        SESSION, f"{SESSION}?view=everything&limit=2&at=3", f"/calls/{call_id(3)}", f"/calls/{call_id(3)}?view=json",
        f"/calls/{call_id(3)}?view=text", f"/compare?b={call_id(3)}", f"/calls/{call_id(0)}", "/compare",
        "/search?q=week",
    ],
)  # fmt: skip
def test_links_lead_somewhere(site: Client, path: str) -> None:
    page = Links(site.get(path).text)
    assert len(page.ids) == len(set(page.ids))
    pages: dict[str, Links] = {"": page}
    for address in sorted(set(page.addresses)):
        target, place = urldefrag(urljoin(path, address) if not address.startswith("#") else address)
        if target not in pages:
            answer = site.get(target)
            assert answer.status == 200, address
            pages[target] = Links(answer.text)
        assert not place or place in pages[target].ids, address
