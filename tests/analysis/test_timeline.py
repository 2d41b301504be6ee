"""A session in time: lanes, paths, tools between calls and windows, of made-up calls."""

from __future__ import annotations

from typing import Any

import pytest
from tests.analysis.made_spans import SESSION, span

from sessiontap.analysis.timeline import FINENESS, MOST_LANES, MOST_PATHS, Window, timeline
from sessiontap.trace.index.spans import CallSpan


def made(*spans: CallSpan, window: Window = Window(), **more: Any) -> dict[str, Any]:  # noqa: B008
    return timeline(SESSION, spans, window, **more)


def calls(found: dict[str, Any]) -> list[str]:
    return [row["call"] for row in found["rows"]]


def test_a_call_is_told_in_seconds_from_the_first() -> None:
    first = span("a", 0, 2)
    second = span(
        "b", 3.5, 4, first_byte=1, first_token=1.5, step=1, input=100, output=20, cost_usd=0.25, finish_reason="stop"
    )
    assert made(first, second)["rows"][1] == {
        "call": "b",
        "step": 1,
        "time": "2025-11-21T05:00:03.500000Z",
        "start": 3.5,
        "duration": 4.0,
        "time_to_first_byte": 1.0,
        "time_to_first_token": 1.5,
        "lane": 0,
        "path": "/main",
        "operation": "chat",
        "model": "m",
        "kind": "continue",
        "outcome": "ok",
        "failed": False,
        "in_flight": False,
        "finish_reason": "stop",
        "tool_calls": [],
        "input_tokens": 100,
        "output_tokens": 20,
        "cost_usd": 0.25,
        "tools_before": None,
    }


def test_what_is_unknown_stays_unknown() -> None:
    row = made(span("a", 0, None))["rows"][0]
    unknown = ("duration", "time_to_first_byte", "time_to_first_token", "input_tokens", "output_tokens", "cost_usd")
    assert [row[key] for key in unknown] == [None] * 6


def test_a_session_without_calls() -> None:
    found = made()
    assert (found["started"], found["seconds"], found["rows"], found["lanes"], found["paths"]) == (None, 0, [], [], [])


# Tools between two calls ---------------------------------------------------------------------------------------------


def test_the_time_between_a_call_for_tools_and_the_next_request_is_theirs() -> None:
    found = made(span("a", 0, 2, tool_calls=("Bash", "Read")), span("b", 6, 1, parent="a"))
    assert found["rows"][1]["tools_before"] == {"tools": ["Bash", "Read"], "seconds_inferred": 4.0, "asked_by": "a"}
    assert found["time"] == {"calls": 3.0, "tools_inferred": 4.0, "idle": 0.0}


@pytest.mark.parametrize(
    ("asker", "follower"),
    [
        ({}, {}),
        ({"tool_calls": ("Task",)}, {"kind": "subagent"}),
        ({"tool_calls": ("Bash",)}, {"kind": "retry"}),
        ({"tool_calls": ("Bash",)}, {"kind": "auxiliary"}),
        ({"tool_calls": ("Bash",)}, {"conversation": "another"}),
        ({"tool_calls": ("Bash",), "duration": None}, {}),
        ({"tool_calls": ("Bash",), "duration": 9.0}, {}),
    ],
    ids=["no tool", "sub-agent", "retry", "auxiliary", "another conversation", "end unknown", "still runs"],
)
def test_other_pauses_are_nobodys(asker: dict[str, Any], follower: dict[str, Any]) -> None:
    found = made(span("a", 0, **{"duration": 2, **asker}), span("b", 6, 1, parent="a", **follower))
    assert found["rows"][1]["tools_before"] is None
    assert found["time"]["tools_inferred"] == 0


def test_the_first_of_several_calls_that_go_on_brought_the_results() -> None:
    found = made(span("a", 0, 2, tool_calls=("Bash",)), span("b", 3, 1, parent="a"), span("c", 9, 1, parent="a"))
    assert [row["tools_before"] is not None for row in found["rows"]] == [False, True, False]


def test_tools_that_ran_beside_calls_are_counted_once() -> None:
    # Tools from 1 to 9; a sub-agent's call from 2 to 5 meanwhile. Nothing from 10 to 20.
    found = made(
        span("a", 0, 1, tool_calls=("Task",)),
        span("sub", 2, 3, parent="a", kind="subagent", conversation="sub"),
        span("b", 9, 1, parent="a"),
        span("c", 20, 1, parent="b"),
    )
    assert found["time"] == {"calls": 6.0, "tools_inferred": 5.0, "idle": 10.0}


# Lanes ---------------------------------------------------------------------------------------------------------------


def test_a_lane_is_an_agent_in_a_process() -> None:
    found = made(
        span("a", 0, 2, agent="coder", cost_usd=0.5),
        span("b", 1, 2, agent="coder", subagent="explorer", failed=True, cost_unknown=True),
        span("c", 5, 1, agent="coder", process="other.py"),
        span("d", 6, 4, agent="coder", cost_usd=0.25),
    )
    keys = ("agent", "subagent", "process", "calls", "errors", "seconds", "cost_usd", "cost_unknown_calls", "segments")
    assert [[lane[key] for key in keys] for lane in found["lanes"]] == [
        ["coder", None, "agent.py", 2, 0, 6.0, 0.75, 0, [[0, 2], [6, 10]]],
        ["coder", "explorer", "agent.py", 1, 1, 2.0, None, 1, [[1, 3]]],
        ["coder", None, "other.py", 1, 0, 1.0, None, 0, [[5, 6]]],
    ]
    assert [row["lane"] for row in found["rows"]] == [0, 1, 2, 0]
    assert [lane["failures"] for lane in found["lanes"]] == [[], [1.0], []]


def test_many_lanes_share_the_last() -> None:
    found = made(*(span(f"c{at}", at, 0.5, process=f"p{at}") for at in range(MOST_LANES + 3)))
    assert len(found["lanes"]) == MOST_LANES
    last = found["lanes"][-1]
    assert (last["others"], last["calls"], last["process"]) == (4, 4, None)
    assert found["rows"][-1]["lane"] == MOST_LANES - 1


def test_calls_that_no_eye_can_tell_apart_are_drawn_as_one() -> None:
    found = made(*(span(f"c{at}", at, 0.5) for at in range(10 * FINENESS)))
    assert len(found["lanes"][0]["segments"]) <= FINENESS


# Paths ---------------------------------------------------------------------------------------------------------------


def test_a_path_has_the_time_in_which_calls_at_it_or_below_ran() -> None:
    found = made(
        span("a", 0, 4, path="/course/outline", cost_usd=0.5),
        span("b", 2, 4, path="/course/lesson", cost_usd=0.25, failed=True),
        span("c", 10, 1, path="/course", cost_unknown=True),
        span("d", 11, 2, path=None),
    )
    keys = ("path", "depth", "calls", "errors", "seconds", "cost_usd", "cost_unknown_calls")
    assert [[node[key] for key in keys] for node in found["paths"]] == [
        ["/course", 0, 3, 1, 7.0, 0.75, 1],
        ["/course/outline", 1, 1, 0, 4.0, 0.5, 0],
        ["/course/lesson", 1, 1, 1, 4.0, 0.25, 0],
        ["/", 0, 1, 0, 2.0, None, 0],
    ]


def test_of_many_paths_those_are_told_that_took_most() -> None:
    found = made(*(span(f"c{at}", at * 1000, 1 + at, path=f"/run/{at}") for at in range(MOST_PATHS + 5)))
    paths = [node["path"] for node in found["paths"]]
    assert paths[0] == "/run"
    assert f"/run/{MOST_PATHS + 4}" in paths
    assert "/run/0" not in paths
    assert (len(paths), found["paths_left_out"]) == (MOST_PATHS, 6)


# Windows -------------------------------------------------------------------------------------------------------------

FIVE = [span(f"c{at}", at * 10, 2 + at, input=100 - at, cost_usd=at % 3) for at in range(5)]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(), "c0 c1 c2 c3 c4"),
        (Window(begin=11, end=30), "c1 c2 c3"),
        (Window(begin=13), "c1 c2 c3 c4"),
        (Window(begin=13.5), "c2 c3 c4"),
        (Window(order="duration"), "c4 c3 c2 c1 c0"),
        (Window(order="tokens"), "c0 c1 c2 c3 c4"),
        (Window(order="cost"), "c2 c1 c4 c0 c3"),
        (Window(after=2, limit=2), "c2 c3"),
        (Window(begin=100), ""),
    ],
    ids=["all", "from, to", "the end counts", "over before", "duration", "tokens", "cost", "page", "nothing"],
)
def test_rows_of_a_window(window: Window, expected: str) -> None:
    assert calls(made(*FIVE, window=window)) == expected.split()


def test_a_window_says_how_many_fit_it() -> None:
    found = made(*FIVE, window=Window(begin=11, limit=1))
    assert (found["matching"], found["calls"], len(found["rows"])) == (4, 5, 1)


@pytest.mark.parametrize(
    ("window", "view"),
    [
        (Window(), (0, 46)),
        (Window(begin=11, end=30), (11, 30)),
        (Window(begin=11), (11, 46)),
        (Window(end=30), (0, 30)),
        (Window(after=1, limit=2), (10, 24)),
        (Window(begin=11, end=23, limit=2), (11, 23)),
        (Window(begin=11, end=31, limit=2), (11, 24)),
        (Window(after=1, limit=2, order="cost"), (0, 46)),
        (Window(begin=100), (100, 46)),
    ],
    ids=[
        "all", "a range", "from", "to", "a page of rows", "all of a range", "some of a range", "another order",
        "nothing",
    ],
)
def test_bars_show_the_range_or_else_the_time_of_the_rows(window: Window, view: tuple[float, float]) -> None:
    found = made(*FIVE, window=window)["view"]
    assert (found["from"], found["to"]) == view


def test_filters_choose_rows_and_leave_the_picture_whole() -> None:
    found = made(*FIVE, fitting={"c1", "c4"})
    assert calls(found) == ["c1", "c4"]
    assert (found["matching"], found["lanes"][0]["calls"], found["seconds"]) == (2, 5, 46.0)


def test_a_call_in_flight_is_in_no_sum() -> None:
    found = made(span("a", 0, 2, cost_usd=0.5), span("b", 3, 4, in_flight=True))
    assert (found["lanes"][0]["calls"], found["paths"][0]["calls"]) == (1, 1)
    assert found["rows"][1]["in_flight"] is True
