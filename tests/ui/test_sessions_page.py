from __future__ import annotations

from typing import Any

import pytest

from sessiontap.ui.errors import BadParameter
from sessiontap.ui.page import read_parameters
from sessiontap.ui.pages.session import PAGE as SESSION
from sessiontap.ui.pages.sessions import PAGE as SESSIONS
from sessiontap.ui.reading import Reading


def sessions(reading: Reading, **query: str) -> dict[str, Any]:
    return SESSIONS.data(reading, read_parameters(SESSIONS, {}, {name: [value] for name, value in query.items()}))


def session(reading: Reading, name: str, **query: str) -> dict[str, Any]:
    return SESSION.data(reading, read_parameters(SESSION, {"session": name}, {key: [v] for key, v in query.items()}))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param({}, ["Nightly report", "Course outline"], id="newest first"),
        pytest.param({"sort": "name"}, ["Course outline", "Nightly report"], id="by name"),
        pytest.param({"sort": "tokens"}, ["Course outline", "Nightly report"], id="by tokens"),
        pytest.param({"error": "1"}, ["Nightly report"], id="errors"),
        pytest.param({"model": "gpt-4o-mini"}, ["Course outline"], id="a model"),
        pytest.param({"tag": "nightly"}, ["Course outline"], id="a tag"),
        pytest.param({"property": "mode=batch"}, ["Nightly report"], id="a property"),
        pytest.param({"search": "sourdough"}, ["Course outline"], id="a text"),
        pytest.param({"until": "2025-11-21T05:00:02Z"}, ["Course outline"], id="a time"),
        pytest.param({"limit": "1"}, ["Nightly report"], id="the first of them"),
        pytest.param({"after": "nightly-report-0001"}, ["Course outline"], id="those that follow"),
        pytest.param({"after": "nightly-report-0001", "sort": "name"}, [], id="those that follow by name"),
        pytest.param(
            {"after": "nightly-report-0001", "model": "gpt-4o-mini"},
            ["Course outline"],
            id="after one that does not fit",
        ),
    ],
)
def test_which_sessions_are_listed(reading: Reading, query: dict[str, str], names: list[str]) -> None:
    assert [row["name"] for row in sessions(reading, **query)["sessions"]] == names


def test_a_page_says_what_follows(reading: Reading) -> None:
    assert sessions(reading, limit="1")["after"] == "nightly-report-0001"
    assert sessions(reading, limit="2")["after"] is None


def test_a_filter_that_fits_nothing_says_what_there_is(reading: Reading) -> None:
    found = sessions(reading, tag="nightli")
    assert found["sessions"] == []
    assert [(one["filter"], one["known"]) for one in found["unmatched"]] == [("tags", ("nightly",))]


@pytest.mark.parametrize(("name", "value"), [("status", "abc"), ("property", "=x")])
def test_a_filter_that_means_nothing_is_refused(reading: Reading, name: str, value: str) -> None:
    with pytest.raises(BadParameter):
        sessions(reading, **{name: value})


def test_a_session_has_its_tree_and_calls(reading: Reading) -> None:
    found = session(reading, "@2")
    assert found["session"]["name"] == "Course outline"
    assert [node["path"] for node in found["tree"]] == ["/outline"]
    assert [call["step"] for call in found["calls"]] == [0, 1, 2]
    assert found["after"] is None


def test_calls_of_a_session_come_in_pages(reading: Reading) -> None:
    first = session(reading, "@2", limit="2")
    assert [call["step"] for call in first["calls"]] == [0, 1]
    assert [call["step"] for call in session(reading, "@2", limit="2", after=first["after"])["calls"]] == [2]


def test_a_page_behind_no_call_is_refused(reading: Reading) -> None:
    with pytest.raises(BadParameter, match="has no call 'x'"):
        session(reading, "@2", after="x")
