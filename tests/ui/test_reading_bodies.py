"""Pages of a session whose bodies nobody has read yet: they come at once, say how far the reading is, and go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.analysis import coding_session
from tests.ui.served import Client, served
from tests.ui.test_live import events

from sessiontap.cli.commands.ui import open_reading
from sessiontap.trace.index import parts_reader
from sessiontap.ui import live

SESSION = "fix-parse-week"
CALLS = 8
"""Of that session."""
PAGES = ("context", "cache", "waste", "tools")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The session, of which each answer reads two calls."""
    monkeypatch.setattr("sessiontap.ui.site.SECONDS", 0)
    monkeypatch.setattr(live, "READ_FOR", 0)
    monkeypatch.setattr(parts_reader, "SLICE", 2)
    folder = coding_session.write(tmp_path / "trace")
    with served(lambda: open_reading(None, folder)) as found:
        yield found.let_in()


def answers(site: Client, path: str) -> list[dict[str, Any]]:
    """The answers until one is complete."""
    found = [site.get(path).json()]
    while not found[-1]["complete"]:
        found.append(site.get(path).json())
        assert len(found) <= CALLS
    return found


@pytest.mark.parametrize("page", PAGES)
def test_an_answer_in_json_says_of_how_many_calls_it_is_made(site: Client, page: str) -> None:
    found = answers(site, f"/sessions/{SESSION}/{page}.json")

    assert [one["calls_read"] for one in found] == [2, 4, 6, 8]
    assert {one["calls_in_all"] for one in found} == {CALLS}
    assert found[-1] == site.get(f"/sessions/{SESSION}/{page}.json").json()


def test_turns_whose_bodies_are_not_read_are_left_out(site: Client) -> None:
    first, *_, last = answers(site, f"/sessions/{SESSION}/context.json")

    assert [row["call"] for row in first["turns"]] == [row["call"] for row in last["turns"]][:2]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_how_far_the_reading_is_and_loads_itself_again_without_scripts(site: Client, page: str) -> None:
    path = f"/sessions/{SESSION}/{page}"
    said = f"Reading the bodies of {CALLS} calls: <span data-share>25%</span>"
    refresh = '<noscript><meta http-equiv="refresh"'

    first = site.get(path).text
    answers(site, f"{path}.json")
    last = site.get(path).text

    assert [(said in html, refresh in html) for html in (first, last)] == [(True, True), (False, False)]


def test_a_comparison_of_sessions_waits_for_their_bodies(site: Client) -> None:
    path = f"/compare?a={SESSION}&b={SESSION}"

    html = site.get(path).text
    found = answers(site, f"/compare.json?a={SESSION}&b={SESSION}")

    assert "Reading the bodies of 16 calls" in html
    assert '<meta http-equiv="refresh"' in html
    assert [one["sessions"] is None for one in found] == [*[True] * (len(found) - 1), False]


def test_a_step_that_has_not_been_read_is_not_said_to_be_missing(site: Client) -> None:
    path = f"/sessions/{SESSION}/context.json?turn=7"

    found = answers(site, path)

    assert (found[0]["detail"], found[-1]["detail"]["step"]) == (None, 7)


def test_the_description_names_complete_for_every_page(site: Client) -> None:
    described = site.get("/api/openapi.json").json()["paths"]
    twins = {path: one["get"]["responses"]["200"] for path, one in described.items() if path.endswith(".json")}

    lacking = [
        path
        for path, answer in twins.items()
        if "complete" not in answer["content"]["application/json"]["schema"]["required"]
    ]

    assert lacking == []
    schema = twins["/sessions/{session}/context.json"]["content"]["application/json"]["schema"]
    jsonschema.validate(site.get(f"/sessions/{SESSION}/context.json").json(), schema)


def test_the_stream_of_a_page_reads_on_and_says_how_far_it_is(site: Client) -> None:
    with events(site, f"/live?session={SESSION}&read=1") as lines:
        told: list[dict[str, int]] = []
        for line in lines:
            if line == "event: read":
                next(lines)  # its id
                told.append(json.loads(next(lines).removeprefix("data: ")))
                if told[-1]["read"] == told[-1]["calls"]:
                    break

    assert told == [{"read": number, "calls": CALLS} for number in (2, 4, 6, 8)]
    assert site.get(f"/sessions/{SESSION}/tools.json").json()["complete"]


@pytest.mark.parametrize("query", ["read=1", "session=none&read=1"], ids=["no session", "a session that is not there"])
def test_a_stream_without_a_session_reads_nothing(site: Client, query: str) -> None:
    with events(site, f"/live?{query}") as lines:
        assert next(lines) == "event: position"
