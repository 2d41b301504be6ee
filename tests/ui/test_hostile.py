"""Whatever was recorded is text on a page: no element, no attribute and no address comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from tests.cli.recorded import call_id
from tests.ui import hostile
from tests.ui.served import Client, served

from sessiontap.cli.options import open_trace
from sessiontap.ui.reading import Reading

CALL = f"/calls/{call_id(2)}"
CONVERSATION = f"/sessions/{hostile.SESSION}/conversation"
PAGES = [
    *(f"{CONVERSATION}?view={view}" for view in ("chat", "tools", "everything")),
    *(f"{CALL}?view={view}" for view in ("parts", "json", "text")),
    f"{CALL}?view=json&at=request/messages/3/content",
    f"/calls/{call_id(3)}",
    f"/compare?b={call_id(2)}",
    f"/compare?a={call_id(1)}&b={call_id(3)}",
    f"/compare?a={hostile.SESSION}&b={hostile.SESSION}",
    "/compare",
    "/search?q=owned",
    "/search?q=xxxxxxxx",
    f"/search?q={quote(hostile.TEXTS['script'])}",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = hostile.write(tmp_path_factory.mktemp("hostile") / "trace")
    with served(lambda: Reading(open_trace(folder))) as found:
        yield found.let_in()


class Elements(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("path", PAGES)
def test_no_markup_comes_of_what_was_said(site: Client, path: str) -> None:
    answer = site.get(path)
    assert answer.status == 200
    assert not [one for one in hostile.MARKUP if one in answer.text]
    elements = Elements(answer.text).found
    assert {tag for tag, _ in elements}.isdisjoint({"img", "iframe", "object", "embed", "base", "style"})
    assert all(attributes.get("src", "").startswith("/static/") for tag, attributes in elements if tag == "script")
    names = {name for _, attributes in elements for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in ("style", "srcdoc")]
    addresses = [attributes[name] or "" for _, attributes in elements for name in ("href", "src", "action")
                 if name in attributes]  # fmt: skip
    assert {urlsplit(one).scheme for one in addresses} == {""}
    assert all(not one.startswith("//") for one in addresses)


@pytest.mark.parametrize("path", [f"{CONVERSATION}?view=everything", f"{CALL}?view=parts"])
def test_a_role_does_not_say_how_a_message_looks(site: Client, path: str) -> None:
    answer = site.get(path)
    assert "a role of its own" in answer.text
    classes = [(attributes.get("class") or "").split() for _, attributes in Elements(answer.text).found]
    assert not [found for found in classes if "part" in found and {"hidden", "failed"} & set(found)]


@pytest.mark.parametrize("path", PAGES)
def test_control_characters_are_spelled_out(site: Client, path: str) -> None:
    page = site.get(path).text
    assert not {one for one in page if (ord(one) < 32 and one not in "\n\t") or one in "\x7f\x85\u202e\u2067\u2069"}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_bounded_whatever_was_said(site: Client, path: str) -> None:
    answer = site.get(path)
    assert len(answer.text) < 600_000
    assert len(Elements(answer.text).found) < 2_000


def test_what_was_said_can_be_read(site: Client) -> None:
    text = Elements(site.get(f"{CONVERSATION}?view=everything").text).text
    assert "<script>document.title='owned'</script>" in text
    assert "\\x1b[31mred" in text
    assert "\\u202egnp.exe" in text


def test_a_body_is_saved_and_never_shown(site: Client) -> None:
    answer = site.get(f"{CALL}/request.bin")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="{call_id(2)}-request.bin"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert hostile.LONG_LINE in answer.text
