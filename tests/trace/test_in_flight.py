"""Calls in flight among those of the log: lists, filters, sessions, trees and `@N`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.trace.conftest import CALLER, call_map

from sessiontap import trace
from sessiontap.trace import Trace, TraceError
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.shape import read_in_flight

SECOND = 10**9
NOW = time.time_ns()
Written = Callable[..., None]


def id_of(number: int) -> str:
    return f"0190a000-{number:04x}-7000-8000-000000000000"


def ended(number: int, session: str = "old", path: str = "/a", **more: Any) -> dict[str, Any]:
    """A call of the log: of the second `number` of the last 1000."""
    start = NOW - (1000 - number) * SECOND
    return call_map(number, time=start, session={"id": session, "name": session.title(), "path": path}, **more)


def running(number: int, session: str | None = "old", path: str = "/a", **more: Any) -> dict[str, Any]:
    """A call in flight as its proxy tells it, which began then."""
    return {
        "id": id_of(number),
        "time": NOW - (1000 - number) * SECOND,
        "session": {"id": session, "name": session.title(), "path": path, "step": 7} if session else None,
        "llm": {"provider": "openai", "family": "openai-chat", "operation": "chat", "request_model": "gpt-5"},
        "caller": {"id": "caller-1", "pid": 7, "name": "bot.py", "names": ["bot.py", "python3"], "cwd": "/srv"},
        "properties": {"mode": "test"},
        "host": "api.example",
        "request": {"method": "POST", "body": {"size": 10}},
        "response": None,
        **more,
    }


def opened(folder: Path, *told: dict[str, Any]) -> Trace:
    assert all(read_in_flight(one) == one for one in told)
    return trace.open(folder, in_flight=lambda: list(told))


@pytest.fixture
def log(folder: Path, written: Written) -> Path:
    """Two sessions: `first` with calls 1 and 2, `second` with call 3."""
    written(CALLER, ended(1, "first"), ended(2, "first", "/a/b"), ended(3, "second"))
    return folder


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["id"].split("-")[1], 16) for row in rows]


def test_a_call_in_flight_is_a_row_as_others_are(log: Path) -> None:
    (row, *rest) = opened(log, running(9, "first", response={"status": 200, "body": {"size": 5}})).query_calls()
    assert numbers(rest) == [3, 2, 1]
    assert list(row) == list(rest[0])
    assert row["process"] == {"pid": 7, "name": "bot.py", "cwd": "/srv"}
    assert (row["session_id"], row["path"], row["step"], row["request_model"]) == ("first", "/a", 7, "gpt-5")
    assert (row["in_flight"], row["outcome"], row["duration"], row["cost_usd"]) == (True, None, None, None)
    assert (row["status"], row["request_bytes"], row["response_bytes"]) == (200, 10, 5)
    assert {one["in_flight"] for one in rest} == {False}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [9, 8, 3, 2, 1]),
        (Filters(session="first"), [9, 2, 1]),
        (Filters(session="fir"), [9, 2, 1]),
        (Filters(session="@1"), [9, 2, 1]),
        (Filters(session="@2"), [8]),
        (Filters(session="@3"), [3]),
        (Filters(name="sec*"), [3]),
        (Filters(path="/new/**"), [8]),
        (Filters(process="python3"), [9, 8]),
        (Filters(model="gpt-5"), [9, 8]),
        (Filters(provider="openai"), [9, 8, 3, 2, 1]),
        (Filters(properties=("mode=t*",)), [9, 8]),
        (Filters(error=True), []),
        (Filters(outcome="ok"), [3, 2, 1]),
        (Filters(status="200"), [3, 2, 1]),
        (Filters(since=NOW - 100 * SECOND), [9, 8]),
        (Filters(until=NOW - 992 * SECOND), [3, 2, 1]),
        (Filters(ids=(id_of(8), id_of(1))), [8, 1]),
    ],
)
def test_filters_mean_the_same_for_both(log: Path, filters: Filters, expected: list[int]) -> None:
    found = opened(log, running(8, "third", "/new/part"), running(9, "first")).query_calls(filters)
    assert numbers(found) == expected


@pytest.mark.parametrize(
    ("sort", "limit", "expected"),
    [
        (None, 2, [9, 3]),
        ("time", 0, [9, 3, 2, 1]),
        ("duration", 0, [2, 3, 1, 9]),
        ("duration", 3, [2, 3, 1]),
    ],
)
def test_the_order_of_calls(folder: Path, written: Written, sort: Any, limit: int, expected: list[int]) -> None:
    written(ended(1), ended(2, duration=9 * SECOND), ended(3))
    assert numbers(opened(folder, running(9)).query_calls(sort=sort, limit=limit)) == expected


def test_a_long_call_stands_where_it_began(log: Path) -> None:
    assert numbers(opened(log, running(0, "first")).query_calls()) == [3, 2, 1, 0]


def test_a_call_that_has_ended_meanwhile_is_there_once(log: Path) -> None:
    found = opened(log, running(2, "first"), running(9, "first"))
    assert [(number, row["in_flight"]) for number, row in zip([9, 3, 2, 1], found.query_calls(), strict=True)] == [
        (9, True), (3, False), (2, False), (1, False)
    ]  # fmt: skip
    assert [row["calls_in_flight"] for row in found.query_sessions()] == [1, 0]


def test_sessions_with_calls_in_flight_come_first(log: Path) -> None:
    rows = opened(log, running(8, "first"), running(7, "first"), running(9, "new")).query_sessions()
    assert [(row["id"], row["calls"], row["calls_in_flight"], row["status"]) for row in rows] == [
        ("new", 0, 1, "active"), ("first", 2, 2, "active"), ("second", 1, 0, "completed")
    ]  # fmt: skip
    assert len({tuple(row) for row in rows}) == 1, "all rows have the same keys"
    new, first, second = rows
    assert new["name"] == "New"
    assert (new["models"], new["processes"], new["properties"]) == (["gpt-5"], ["bot.py"], {"mode": "test"})
    assert (new["started"], new["ended"], new["duration"]) == (new["in_flight_since"], None, None)
    assert first["in_flight_since"] < new["in_flight_since"]
    assert (first["ended"] is not None, second["in_flight_since"]) == (True, None)


@pytest.mark.parametrize(
    ("sort", "filters", "limit", "expected"),
    [
        (None, Filters(), 1, ["new"]),
        (None, Filters(name="First"), 0, ["first"]),
        (None, Filters(model="gpt-5"), 0, ["new", "first"]),
        (None, Filters(model="nosuch"), 0, []),
        ("calls", Filters(), 0, ["first", "second", "new"]),
        ("calls", Filters(), 2, ["first", "second"]),
        ("name", Filters(), 1, ["first"]),
    ],
)
def test_the_order_of_sessions(log: Path, sort: Any, filters: Filters, limit: int, expected: list[str]) -> None:
    rows = opened(log, running(8, "first"), running(9, "new")).query_sessions(filters, sort, limit)
    assert [row["id"] for row in rows] == expected


def test_a_session_beyond_the_limit_is_there_if_it_has_a_call_in_flight(log: Path) -> None:
    (row,) = opened(log, running(9, "first")).query_sessions(limit=1)
    assert (row["id"], row["calls"], row["calls_in_flight"]) == ("first", 2, 1)


def test_a_session_is_active_whatever_its_last_call_came_to(folder: Path, written: Written) -> None:
    written(ended(1, outcome="http_error"))
    assert [row["status"] for row in opened(folder).query_sessions()] == ["failed"]
    assert [row["status"] for row in opened(folder, running(2)).query_sessions()] == ["active"]


def test_numbers_count_as_the_list_does(log: Path) -> None:
    found = opened(log, running(8, "first"), running(9, "new"))
    ids = [row["id"] for row in found.query_sessions()]
    assert ids == ["new", "first", "second"]
    assert [found.query_session(f"@{number}")["session"]["id"] for number in (1, 2, 3)] == ids
    assert [found.query_session_id(f"@{number}") for number in (2, 3)] == ids[1:]
    assert found.call("@2/-1").id == id_of(2)
    with pytest.raises(TraceError, match="there is no session @4"):
        found.query_session("@4")


def test_without_calls_in_flight_numbers_count_the_log(log: Path) -> None:
    assert [opened(log).query_session_id(f"@{number}") for number in (1, 2)] == ["second", "first"]


def test_a_session_is_shown_with_its_calls_in_flight(log: Path) -> None:
    told = [running(8, "first", "/a/c"), running(9, "first", "/a/b"), running(7, "second")]
    shown = opened(log, *told).query_session("first")
    assert (shown["session"]["calls"], shown["session"]["calls_in_flight"]) == (2, 2)
    assert numbers(shown["calls"]) == [1, 2, 8, 9]

    def shape(node: dict[str, Any]) -> Any:
        return node["path"], node["calls"], node["calls_in_flight"], [shape(one) for one in node["children"]]

    assert [shape(node) for node in shown["tree"]] == [
        ("/a", 2, 2, [("/a/b", 1, 1, []), ("/a/c", 0, 1, [])]),
    ]
    nodes = [shown["tree"][0], *shown["tree"][0]["children"]]
    assert len({tuple(node) for node in nodes}) == 1
    assert [node["duration"] for node in nodes] == [1.5, 0.5, None]


def test_a_session_of_which_nothing_has_ended(log: Path) -> None:
    shown = opened(log, running(9, "new", "/")).query_session("ne")
    assert list(shown) == ["session", "cost_unknown", "tree", "calls"]
    assert (shown["session"]["id"], shown["session"]["calls"]) == ("new", 0)
    assert [(node["path"], node["calls_in_flight"]) for node in shown["tree"]] == [("/", 1)]
    assert numbers(shown["calls"]) == [9]


def test_a_call_without_a_session_or_caller(log: Path) -> None:
    found = opened(log, running(9, None, caller=None))
    assert numbers(found.query_calls())[0] == 9
    assert [row["id"] for row in found.query_sessions()] == ["second", "first"]


def test_a_call_that_has_not_ended_cannot_be_read(log: Path) -> None:
    found = opened(log, running(9, "first"))
    for prefix in (id_of(9), id_of(9)[:13].upper()):
        with pytest.raises(TraceError, match=f"call {id_of(9)} has not ended yet"):
            found.call(prefix)
    assert found.call("@1").id == id_of(3)
    assert found.call(id_of(1)).id == id_of(1)
    with pytest.raises(TraceError, match="no call's id begins with '7'"):
        found.call("7")


def test_statistics_are_of_calls_that_have_ended(log: Path) -> None:
    (row,) = opened(log, running(9, "first")).stats("provider")
    assert row["calls"] == 3


@pytest.mark.parametrize(
    "value",
    [None, {}, [], {"id": "x", "time": -1, "request": {"method": "POST", "body": {"size": 1}}}, running(9) | {"id": 9}],
)
def test_what_is_no_call_is_passed_over(value: Any) -> None:
    assert read_in_flight(value) is None


def test_what_a_newer_proxy_tells_besides_is_passed_over() -> None:
    assert read_in_flight(running(9) | {"mood": "good"}) == running(9)
