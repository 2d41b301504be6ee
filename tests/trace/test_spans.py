"""The spans of a session are its calls as `show --json` gives them, in nanoseconds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.cli import recorded
from tests.trace.test_in_flight import log as log
from tests.trace.test_in_flight import opened, running

from sessiontap import trace
from sessiontap.trace import Trace, TraceError
from sessiontap.trace.index.filters import Filters
from sessiontap.trace.index.spans import CallSpan, span_of


@pytest.fixture
def course(tmp_path: Path) -> Trace:
    return trace.open(recorded.write(tmp_path / "trace", recorded.calls()))


def test_spans_are_the_calls_of_the_session(course: Trace) -> None:
    shown = course.query_session(recorded.COURSE)
    session, spans = course.query_spans(recorded.COURSE)
    assert session == shown["session"]
    assert spans == [span_of(row, 0) for row in shown["calls"]]


def test_a_span_in_plain_values(course: Trace) -> None:
    _, (first, *_) = course.query_spans(recorded.COURSE)
    assert first == CallSpan(
        id=recorded.call_id(1),
        start=recorded.START + recorded.SECOND,
        duration=500_000_000,
        first_byte=400_000_000,
        first_token=None,
        step=0,
        path="/outline",
        operation="chat",
        model="gpt-4o-mini-2024-07-18",
        agent=None,
        subagent=None,
        process="agent.mjs",
        conversation=None,
        parent=None,
        kind=None,
        outcome="ok",
        failed=False,
        finish_reason="tool_calls",
        tool_calls=("web_search",),
        input=100,
        output=20,
        cost_usd=None,
        cost_parts=None,
        cost_unknown=True,
    )


@pytest.mark.parametrize(
    ("filters", "steps"),
    [
        (Filters(), [0, 1, 2]),
        (Filters(path="/outline/**"), [0, 1, 2]),
        (Filters(path="/outline"), [0, 2]),
        (Filters(tool="web_*"), [0]),
        (Filters(error=True), []),
    ],
    ids=["all", "below a path", "path", "tool", "errors"],
)
def test_filters_choose_spans(course: Trace, filters: Filters, steps: list[int]) -> None:
    assert [one.step for one in course.query_spans(recorded.COURSE, filters=filters)[1]] == steps


def test_a_session_that_is_not_there(course: Trace) -> None:
    with pytest.raises(TraceError, match="no session's id begins with 'nobody'"):
        course.query_spans("nobody")


def test_calls_in_flight_are_among_them(log: Path) -> None:
    session, spans = opened(log, running(9, "first", "/a/c")).query_spans("first")
    assert [(one.in_flight, one.path) for one in spans] == [(False, "/a"), (False, "/a/b"), (True, "/a/c")]
    assert session["calls_in_flight"] == 1
    age: Any = spans[-1].duration
    assert age > time.time_ns() - spans[-1].start - 60 * 10**9


def test_a_session_of_which_nothing_has_ended(log: Path) -> None:
    session, (only,) = opened(log, running(9, "new")).query_spans("new")
    assert (session["id"], session["calls"], only.in_flight) == ("new", 0, True)
