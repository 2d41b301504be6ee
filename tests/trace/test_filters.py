"""A filter keeps what the same filter keeps of records in memory, and one that fits nothing says what there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.trace.conftest import CALLER, call_map, open_log
from tests.trace.oracle import fits, pair

from sessiontap.trace import Filters, Trace
from sessiontap.trace.index.filters import is_path_glob, path_glob
from sessiontap.trace.index.unmatched import NAMED, Unmatched, nearest

SECOND = 10**9
FIRST = call_map(1)["time"]


def llm(**more: Any) -> dict[str, Any]:
    return {"provider": "openai", **more}


CALLS = (
    call_map(
        1,
        session={"id": "s-course", "name": "Course", "path": "/course/outline", "step": 0},
        user="ada",
        agent="claude-code",
        tags=["nightly", "long"],
        properties={"mode": "batch", "app": "course"},
        rules=["course", "labels"],
        llm=llm(
            request_model="gpt-4o", response_model="gpt-4o-2024", tool_calls=["Bash"], tools_offered=["Bash", "Read"]
        ),
    ),
    call_map(
        2,
        session={"id": "s-course", "name": "Course", "path": "/course", "step": 1},
        user="Bob",
        agent="claude-code",
        subagent="Explore",
        properties={"mode": "live", "retries": "3"},
        llm=llm(provider="anthropic", request_model="claude-haiku", tool_results=["Bash", None]),
    ),
    call_map(
        3,
        session={"id": "s-chat", "name": "chat [old]", "path": "/courses/1/a", "step": 0},
        caller="caller-2",
        tags=["nightly"],
        outcome="http_error",
        response={"status": 429},
        llm=llm(error={"type": "rate_limit", "message": "slow down"}),
    ),
    call_map(4, session=None, caller=None, llm=None, outcome="upstream_gone", response=None, duration=None),
    call_map(5, session={"id": "s-chat", "name": "chat [old]", "path": None, "step": None}, response={"status": 503}),
)
"""Calls with something of everything; the fourth is known of nothing."""
PYTHON = CALLER | {"id": "caller-2", "name": "chat.py", "names": ["chat.py", "python3"]}

FILTERS = {
    "all": (Filters(), [1, 2, 3, 4, 5]),
    "a session by its id": (Filters(session="s-chat"), [3, 5]),
    "sessions by a prefix": (Filters(session="s-"), [1, 2, 3, 5]),
    "a session that is not there": (Filters(session="x"), []),
    "a name": (Filters(name="COURSE"), [1, 2]),
    "a name that looks like a glob's set": (Filters(name="chat [[]old]"), [3, 5]),
    "a path": (Filters(path="/course"), [2]),
    "a path and all below": (Filters(path="/course/**"), [1, 2]),
    "a level": (Filters(path="/course/*"), [1]),
    "a star stops at a level": (Filters(path="/*"), [2]),
    "levels between": (Filters(path="/**/a"), [3]),
    "a part of a level": (Filters(path="/COURSE?/**"), [3]),
    "a machine": (Filters(machine="HER?"), [1, 2, 3, 4, 5]),
    "a machine that recorded nothing": (Filters(machine="there"), []),
    "a process": (Filters(process="bot.py"), [1, 2, 5]),
    "a process by its interpreter": (Filters(process="python*"), [3]),
    "a user": (Filters(user="bob"), [2]),
    "a provider": (Filters(provider="anth*"), [2]),
    "a model asked for": (Filters(model="gpt-4o"), [1]),
    "a model answering": (Filters(model="*-2024"), [1]),
    "an agent": (Filters(agent="claude-*"), [1, 2]),
    "a sub-agent": (Filters(agent="explore"), [2]),
    "a tool that is called, and its result": (Filters(tool="bash"), [1, 2]),
    "a tool that is only offered": (Filters(tool="Read"), []),
    "a rule": (Filters(rule="lab*"), [1]),
    "a tag": (Filters(tags=("nightly",)), [1, 3]),
    "two tags": (Filters(tags=("nightly", "lo*")), [1]),
    "a property": (Filters(properties=("mode",)), [1, 2]),
    "a property's value": (Filters(properties=("mode=B*",)), [1]),
    "a number": (Filters(properties=("retries=3",)), [2]),
    "two properties": (Filters(properties=("mode", "app=course")), [1]),
    "a status": (Filters(status="429"), [3]),
    "a class of statuses": (Filters(status="5xx"), [5]),
    "ten of a class": (Filters(status="42X"), [3]),
    "an outcome": (Filters(outcome="*_error"), [3]),
    "errors": (Filters(error=True), [3, 4]),
    "since a call's end": (Filters(since=FIRST + 4 * SECOND + SECOND // 2), [5]),
    "since, still running": (Filters(since=FIRST + 2 * SECOND + SECOND // 2), [3, 4, 5]),
    "until": (Filters(until=FIRST + SECOND), [1]),
    "since ever": (Filters(since=-(2**80)), [1, 2, 3, 4, 5]),
    "since never": (Filters(since=2**80), []),
    "until ever": (Filters(until=2**80), [1, 2, 3, 4, 5]),
    "several": (Filters(agent="claude-code", tool="Bash", status="2xx", properties=("mode=live",)), [2]),
    "ids": (Filters(ids=(CALLS[0]["id"], CALLS[4]["id"])), [1, 5]),
}


@pytest.fixture
def log(written: Callable[..., None], folder: Path) -> Trace:
    written(CALLER, PYTHON, *CALLS)
    return open_log(folder)


@pytest.mark.parametrize(("filters", "numbers"), FILTERS.values(), ids=FILTERS)
def test_a_filter_keeps_calls(log: Trace, filters: Filters, numbers: list[int]) -> None:
    expected = [call_map(number)["id"] for number in numbers]

    assert [call.id for call in log.calls(newest_first=False) if fits(*pair(call), filters)] == expected
    assert [row["id"] for row in reversed(log.query_calls(filters))] == expected
    assert [call.id for call in log.calls(newest_first=False, filters=filters)] == expected
    assert [call.id for call in log.calls(filters=filters)] == expected[::-1]
    sessions = {(CALLS[number - 1]["session"] or {}).get("id") for number in numbers} - {None}
    assert {row["id"] for row in log.query_sessions(filters)} == sessions
    assert sum(row["calls"] for row in log.stats("outcome", filters)) == len(expected)


def test_the_newest_session(log: Trace) -> None:
    assert [row["id"] for row in log.query_calls(Filters(session="@1"))] == [CALLS[4]["id"], CALLS[2]["id"]]
    assert log.query_calls(Filters(session="@9")) == []


UNMATCHED = {
    "a property": (Filters(properties=("moed=x",)), Unmatched("properties", "moed=x", ("mode", "app", "retries"))),
    "a property's value": (
        Filters(properties=("mode=bach",)),
        Unmatched("properties", "mode=bach", ("mode=batch", "mode=live")),
    ),
    "a tag": (Filters(tags=("night",)), Unmatched("tags", "night", ("nightly", "long"))),
    "a path": (Filters(path="/outline"), Unmatched("path", "/outline", ("/course/outline", "/course", "/courses/1/a"))),
    "a tool": (Filters(tool="Read"), Unmatched("tool", "Read", ("Bash",))),
    "a model": (Filters(model="claude"), Unmatched("model", "claude", ("claude-haiku", "gpt-4o", "gpt-4o-2024"))),
    "a process": (Filters(process="python"), Unmatched("process", "python", ("python3", "chat.py", "bot.py"))),
    "a status": (Filters(status="404"), Unmatched("status", "404", ("200", "429", "503"))),
    "a session": (Filters(session="chat"), Unmatched("session", "chat", ("s-chat", "s-course"))),
    "a time": (Filters(since=2**62), Unmatched("since", 2**62, ("1970-01-01T00:16:45.000000Z",))),
    "one of two": (Filters(model="gpt-4o", user="eve"), Unmatched("user", "eve", ("ada", "Bob"))),
    "a search": (Filters(search="nowhere"), Unmatched("search", "nowhere")),
}


@pytest.mark.parametrize(("filters", "expected"), UNMATCHED.values(), ids=UNMATCHED)
def test_a_filter_that_fits_nothing_says_what_there_is(log: Trace, filters: Filters, expected: Unmatched) -> None:
    assert log.query_calls(filters) == []
    (found,) = log.query_unmatched(filters)

    assert (found.filter, found.asked, found.more) == (expected.filter, expected.asked, 0)
    assert sorted(found.known) == sorted(expected.known)
    assert found.known[:1] == expected.known[:1]


def test_filters_that_fit_alone_are_not_blamed(log: Trace) -> None:
    together = Filters(user="bob", error=True)

    assert log.query_calls(together) == []
    assert log.query_unmatched(together) == []


def test_of_many_values_the_nearest_are_named() -> None:
    known = [f"lesson-{number}" for number in range(100)] + ["summary", "sumary"]

    assert nearest("summry", known, 2) == ("summary", "sumary")
    assert nearest("*son-7*", known, 3) == ("lesson-7", "lesson-70", "lesson-71")


def test_values_that_are_not_named_are_counted(written: Callable[..., None], folder: Path) -> None:
    written(*(call_map(number, user=f"user-{number}") for number in range(1, 21)))
    (found,) = open_log(folder).query_unmatched(Filters(user="nobody"))

    assert (len(found.known), found.more) == (NAMED, 20 - NAMED)


@pytest.mark.parametrize(
    ("glob", "path", "holds"),
    [
        ("/a/**", "/a", True),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/ab", False),
        ("/**", "/", True),
        ("/**", "/a/b", True),
        ("**", "/a/b", True),
        ("/a/**/d", "/a/d", True),
        ("/a/**/d", "/a/b/c/d", True),
        ("/a/**/d", "/a/bd", False),
        ("/a/*", "/a", False),
        ("/a/*/c", "/a/b/c", True),
        ("/a/*/c", "/a/b/b/c", False),
        ("/a/?", "/a/b", True),
        ("/a.b", "/a.b", True),
        ("/a.b", "/axb", False),
        ("/A", "/a", True),
        ("/a/[b]", "/a/[b]", True),
    ],
)
def test_globs_of_paths(glob: str, path: str, holds: bool) -> None:
    assert path_glob(glob)(path) is holds


def test_a_glob_over_a_path_that_is_made_for_it_does_not_go_back_and_forth() -> None:
    """An app names its paths, in a header as long as servers take."""
    holds = path_glob("/*a*a*a*a*a*a*b/**/*a*a*a*c")
    began = time.process_time()
    assert not holds("/" + "a" * 15_000)
    assert holds("/" + "a" * 15_000 + "b/x/y/" + "a" * 5_000 + "c")
    assert time.process_time() - began < 2


@pytest.mark.parametrize(("glob", "fits"), [("/a/**", True), ("/" + "x" * 500, True), ("/" + "?" * 2_000, False)])
def test_a_glob_of_paths_that_is_too_long_is_no_glob(glob: str, fits: bool) -> None:
    assert is_path_glob(glob) is fits
