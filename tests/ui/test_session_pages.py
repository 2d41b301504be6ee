"""The pages of a session's time, context, cost and tools, and the statistics: the same numbers as the commands, and
links that lead somewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from tests.analysis import coding_session
from tests.cli.conftest import own_place as own_place
from tests.ui import long_session
from tests.ui.served import Client, served

from sessiontap.cli.commands.ui import open_reading
from sessiontap.cli.main import main
from sessiontap.ui.errors import BadParameter, NotFound
from sessiontap.ui.page import Page, read_parameters
from sessiontap.ui.pages import (
    PAGES,
    cache,
    call,
    context,
    doctor,
    search,
    session,
    sessions,
    stats,
    timeline,
    tools,
    waste,
)
from sessiontap.ui.reading import Reading


@pytest.fixture(scope="module")
def coding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of `coding_session`: eight calls of an agent with tools, an idle time and two misses of the cache."""
    return coding_session.write(tmp_path_factory.mktemp("coding") / "trace")


@pytest.fixture
def log(coding: Path) -> Iterator[Reading]:
    found = open_reading(None, coding)
    yield found
    found.trace.close()


@pytest.fixture
def site(coding: Path) -> Iterator[Client]:
    with served(lambda: open_reading(None, coding)) as found:
        yield found.let_in()


def data(reading: Reading, page: Page, **query: Any) -> dict[str, Any]:
    """What a page answers about the newest session, or about all."""
    places = dict.fromkeys(page.path_parameters, "@1")
    return page.data(reading, read_parameters(page, places, {name: [str(one)] for name, one in query.items()}))


def told(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> Any:
    """The JSON of a command, a list of a command that prints lines."""
    assert main([*arguments, "--json", "--trace", str(folder)]) == 0
    out = capsys.readouterr().out
    return json.loads(out) if out.startswith("{\n") else [json.loads(line) for line in out.splitlines()]


# The same as the commands --------------------------------------------------------------------------------------------


def command(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> dict[str, Any]:
    found = told(capsys, folder, *arguments)
    return found[0] if isinstance(found, list) else found  # type: ignore[no-any-return]


def test_the_list_of_sessions_is_that_of_the_command(
    log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert data(log, sessions.PAGE)["sessions"] == [command(capsys, coding, "ls")]


def test_a_session_is_that_of_the_command(log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected, found = command(capsys, coding, "show", "@1"), data(log, session.PAGE)
    assert {key: found[key] for key in expected} == expected


def test_a_call_is_that_of_the_command(log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data(log, call.PAGE)["call"] == told(capsys, coding, "calls")[0]


def test_places_of_a_text_are_those_of_the_command(
    log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = told(capsys, coding, "search", "parse")
    found = data(log, search.PAGE, q="parse")["hits"]
    assert [{key: hit[key] for key in expected[0]} for hit in found] == expected


def test_what_the_doctor_finds_is_that_of_the_command(
    log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json", "--trace", str(coding)]) == 0
    assert data(log, doctor.PAGE)["findings"] == json.loads(capsys.readouterr().out)


def test_context_is_that_of_the_command(log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = command(capsys, coding, "context", "@1", "--turn", "2")
    found = data(log, context.PAGE, turn=2)
    assert {key: found[key] for key in expected} == expected


def test_cache_and_waste_are_those_of_the_commands(
    log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, page in (("cache", cache.PAGE), ("waste", waste.PAGE)):
        expected, found = command(capsys, coding, name, "@1"), data(log, page)
        assert {key: found[key] for key in expected} == expected


def test_costs_are_those_of_the_session(log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = command(capsys, coding, "show", "@1")["session"]
    found = data(log, cache.PAGE)
    assert found["cost_usd"] == session["cost_usd"]
    assert sum(found["spending"]["columns"][-1]["cumulative_usd"]) == pytest.approx(session["cost_usd"])


def test_tools_are_those_of_the_command(log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = command(capsys, coding, "tools", "@1")
    found = data(log, tools.PAGE)
    assert {key: found[key] for key in expected} == expected
    calls = command(capsys, coding, "tools", "@1", "--name", "Bash")["calls"]
    assert data(log, tools.PAGE, name="Bash")["calls"] == calls


@pytest.mark.parametrize("by", ["name", "path", "step", "model", "tool", "session", "property:mode"])
def test_statistics_are_those_of_the_command(
    log: Reading, coding: Path, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    expected = told(capsys, coding, "stats", "--by", by)
    rows = [{key: row[key] for key in row if key != "filter"} for row in data(log, stats.PAGE, by=by)["rows"]]
    assert rows == expected


@pytest.mark.parametrize("address", ["/stats", "/sessions/fix-parse-week/timeline"])
def test_a_filter_that_is_in_force_is_told_with_a_link_that_leaves_it_out(site: Client, address: str) -> None:
    assert '<a href="?" title="Leave it out">score nothing&gt;1 ×</a>' in site.get(f"{address}?score=nothing%3E1").text


def test_the_timeline_has_the_times_of_show(log: Reading, coding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = command(capsys, coding, "show", "@1")
    found = data(log, timeline.PAGE)
    keys = ("time", "step", "path", "duration", "time_to_first_byte", "time_to_first_token", "cost_usd", "outcome")
    assert [{key: row[key] for key in keys} for row in found["rows"]] == [
        {key: call[key] for key in keys} for call in shown["calls"]
    ]
    assert found["seconds"] == shown["session"]["duration"]
    assert [(one["path"], one["calls"], one["cost_usd"]) for one in found["paths"]] == [
        (one["path"], one["calls"], one["cost_usd"]) for one in shown["tree"]
    ]


def test_the_timeline_infers_the_times_of_tools_that_the_tools_page_has(log: Reading) -> None:
    by_call: dict[str, float] = {}
    for run in data(log, tools.PAGE, name="*")["calls"]:
        by_call[run["answered_by"]] = run["seconds_inferred"]
    rows = data(log, timeline.PAGE)["rows"]
    assert {row["call"]: row["tools_before"]["seconds_inferred"] for row in rows if row["tools_before"]} == by_call


# Worked out by hand --------------------------------------------------------------------------------------------------


def test_the_timeline_of_the_coding_session(log: Reading) -> None:
    # Eight calls of 2.5 s; tools take 4.2, 0.3, 1.1, 420, 0.3, 0.5 and 4 s. Squeezed, 420 s take as long as what the
    # others leave of 20 s: 9.6 s of 40.
    found = data(log, timeline.PAGE)
    assert found["time"] == {"calls": 20.0, "tools_inferred": 430.4, "idle": 0.0}
    assert [row["start"] for row in found["rows"]] == [0.0, 6.7, 9.5, 13.1, 435.6, 438.4, 441.4, 447.9]
    assert [(one["from"], one["to"], one["size"]) for one in found["scale"] if one["squeezed"]] == [(15.6, 435.6, 0.24)]


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ({"from": 7, "to": 14}, [1, 2, 3]),
        ({"to": 9.5}, [0, 1, 2]),
        ({"order": "cost", "limit": 2}, [5, 4]),
        ({"after": 6}, [6, 7]),
        ({"tool": "Edit"}, [3, 4, 5, 6]),
        ({"path": "/other"}, []),
    ],
    ids=["range", "to", "order", "after", "filter", "nothing fits"],
)
def test_rows_of_the_timeline(log: Reading, query: dict[str, Any], steps: list[int]) -> None:
    assert [row["step"] for row in data(log, timeline.PAGE, **query)["rows"]] == steps


def test_the_context_shows_the_last_turns_at_first(log: Reading) -> None:
    found = data(log, context.PAGE, limit=3)
    assert ([row["step"] for row in found["turns"]], found["first"], found["matching"]) == ([5, 6, 7], 5, 8)
    assert [row["step"] for row in data(log, context.PAGE, limit=3, after=0)["turns"]] == [0, 1, 2]


def test_misses_alone(log: Reading) -> None:
    found = data(log, cache.PAGE, misses=1)
    assert [row["step"] for row in found["turns"]] == [0, 4, 5]
    assert found["sum"]["hit"] == 5


def test_long_texts_of_tools_are_cut(log: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "MOST_TEXT", 10)
    found = data(log, tools.PAGE, name="Read", limit=1)
    assert (found["calls"][0]["result"], found["cut"], found["matching"]) == ("  0  def p", True, 3)


@pytest.mark.parametrize(
    ("by", "value", "expected"),
    [
        ("name", "Course", {"name": "Course"}),
        ("model", "gpt-[4]*?", {"model": "gpt-[[]4][*][?]"}),
        ("path", "/a/b", {"path": "/a/b"}),
        ("property", "mode=a*", {"property": "mode=a[*]"}),
        ("property:mode", "a", {"property": "mode=a"}),
        ("session", "s1", {"session": "s1"}),
        ("step", 3, None),
        ("operation", "chat", None),
        ("name", None, None),
    ],
)
def test_a_line_of_statistics_is_a_filter_of_sessions(by: str, value: Any, expected: dict[str, str] | None) -> None:
    assert stats.filter_of(by, value) == expected


# What cannot be answered ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "query", "error"),
    [
        (timeline.PAGE, {"from": "soon"}, BadParameter),
        (timeline.PAGE, {"from": "-1"}, BadParameter),
        (timeline.PAGE, {"from": "nan"}, BadParameter),
        (timeline.PAGE, {"from": 5, "to": 5}, BadParameter),
        (timeline.PAGE, {"order": "colour"}, BadParameter),
        (timeline.PAGE, {"limit": 501}, BadParameter),
        (context.PAGE, {"turn": 99}, NotFound),
        (context.PAGE, {"split": "colour"}, BadParameter),
        (tools.PAGE, {"name": "WebFetch"}, NotFound),
        (stats.PAGE, {"by": "colour"}, BadParameter),
        (stats.PAGE, {"by": "property:"}, BadParameter),
    ],
    ids=lambda value: value.path.rpartition("/")[2] if isinstance(value, Page) else "",
)
def test_errors_say_what_to_do(log: Reading, page: Page, query: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as found:
        data(log, page, **query)
    assert found.value.hint  # type: ignore[attr-defined]


# As pages ------------------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """The addresses that a page leads to, its inline styles and scripts, and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self.elements = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements += 1
        given = dict(attributes)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if "style" in given or tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self.inline += [name for name in given if name.startswith("on")]


ADDRESSES = [
    "/sessions/@1/timeline", "/sessions/@1/timeline?from=7&to=14&idle=whole&tool=Edit&limit=1",
    "/sessions/@1/context", "/sessions/@1/context?turn=2&split=file&limit=3",
    "/sessions/@1/cache", "/sessions/@1/cache?by=part&misses=1", "/sessions/@1/waste",
    "/sessions/@1/tools", "/sessions/@1/tools?name=*&limit=2",
    "/stats?by=path", "/stats?by=step&model=claude*", "/stats?by=session",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_leads_somewhere_and_holds_no_inline_style_or_script(site: Client, address: str) -> None:
    answer = site.get(address)
    assert answer.status == 200
    found = Links(answer.text)
    assert found.inline == []
    known = {page.path.split("/")[1] for page in PAGES} | {"static"}
    for link in dict.fromkeys(found.links):
        target = urljoin(address, link)
        if link.startswith("#") or urlsplit(target).path.split("/")[1] not in known:
            continue
        assert site.get(target).status == 200, target


@pytest.mark.parametrize("page", [timeline.PAGE, context.PAGE, cache.PAGE, waste.PAGE, tools.PAGE, stats.PAGE])
def test_the_twin_is_what_the_schema_says(log: Reading, page: Page) -> None:
    import jsonschema

    found = data(log, page)
    jsonschema.validate(json.loads(json.dumps(found)), page.schema)
    assert set(found) <= set(page.schema["properties"])


@pytest.mark.parametrize(("query", "opened"), [("", False), ("?part=0", True)], ids=["the call", "a part of it"])
def test_many_tools_of_a_call_are_folded_unless_a_part_is_asked_for(site: Client, query: str, opened: bool) -> None:
    page = site.get(f"/calls/@1%2F0{query}").text
    assert f'<details class="fold tools"{" open" if opened else ""}><summary><b>' in page


def test_headers_that_were_sent_as_they_were_asked_are_told_once(site: Client) -> None:
    page = site.get("/calls/@1%2F0").text
    assert '<span class="faint">the same</span>' in page


def test_a_miss_that_cost_nothing_is_not_marked(site: Client) -> None:
    rows = site.get("/sessions/@1/cache").text.split("<tr data-row")
    misses = [row for row in rows if ">miss</td>" in row]
    assert ['class="bad">miss' in row for row in misses] == [False, True, True]


def columns_of_cache(client: Client) -> list[str]:
    table = client.get("/sessions/@1/cache").text.split('id="cache"')[1].split("</thead>")[0]
    return re.findall(r'<th scope="col"[^>]*>(?:<span[^>]*>)?([^<]+)', table)


def test_what_no_turn_has_is_no_column_of_the_cache(site: Client, tmp_path: Path) -> None:
    assert columns_of_cache(site) == [
        "Step", "Path", "Input", "Read", "Share read", "Verdict", "Lost", "Extra", "Why",
    ]  # fmt: skip
    unstated = long_session.write(tmp_path / "trace", 3)
    with served(lambda: open_reading(None, unstated)) as found:
        assert columns_of_cache(found.let_in()) == ["Step", "Path", "Input"]
