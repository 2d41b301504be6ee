"""Which turn a call belongs to, and when a turn is complete, in tables of plain calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.push import logs
from tests.push.logs import SECOND, START

from sessiontap.push import user_turns
from sessiontap.push.user_turns import CallLink, UserTurns, link_of


def call(id: str, at: float = 0.0, **more: Any) -> CallLink:
    return link_of(logs.call(id, at, **{"conversation": "v", **more}), more.get("process"))


def nothing(id: str) -> None:
    return None


SUB = {"conversation": "sub", "root": "v", "lineage": ["Task"]}
TURNS = {
    # name: the calls in the order in which they ended, and the turn of each
    "a tool's result goes on": (
        [call("a", asks=["f"]), call("b", 1, parent="a", results=["f"])],
        ["a", "a"],
    ),
    "a new message begins one": (
        [call("a"), call("b", 1, parent="a")],
        ["a", "b"],
    ),
    "a message instead of the tool's result goes on": (
        [call("a", asks=["f"]), call("b", 1, parent="a")],
        ["a", "a"],
    ),
    "a reply that was paused goes on": (
        [call("a", finish="pause_turn"), call("b", 1, parent="a")],
        ["a", "a"],
    ),
    "a reply that was cut off does not": (
        [call("a", finish="length"), call("b", 1, parent="a")],
        ["a", "b"],
    ),
    "a retry is of the failed call's turn": (
        [call("a", outcome="http_error"), call("b", 2, kind="retry")],
        ["a", "a"],
    ),
    "a retry in the middle": (
        [
            call("a", asks=["f"]),
            call("b", 1, parent="a", results=["f"], outcome="upstream_gone"),
            call("c", 2, parent="a", results=["f"], kind="retry"),
        ],
        ["a", "a", "a"],
    ),
    "a call that goes on from a failed one": (
        [call("a", outcome="stream_error"), call("b", 2, parent="a")],
        ["a", "a"],
    ),
    "sub-agents are in their parent's turn, also after their own last reply": (
        [
            call("a", asks=["Task"]),
            call("s1", 1, parent="a", kind="subagent", **SUB),
            call("s2", 2, parent="s1", **SUB),
            call("b", 3, parent="a", results=["Task"]),
        ],
        ["a", "a", "a", "a"],
    ),
    "a sub-agent of unknown parent is in the turn under way": (
        [call("a", asks=["Task"]), call("s1", 1, kind="subagent", **SUB)],
        ["a", "a"],
    ),
    "a sub-agent that is asked again in the next turn": (
        [
            call("a", asks=["Task"]),
            call("s1", 1, parent="a", kind="subagent", **SUB),
            call("b", 2, parent="a", results=["Task"]),
            call("c", 9, parent="b", asks=["Task"]),
            call("s2", 10, parent="s1", **SUB),
        ],
        ["a", "a", "a", "c", "a"],
    ),
    "a title is of the turn under way": (
        [call("a", asks=["f"]), call("t", 1, kind="auxiliary")],
        ["a", "a"],
    ),
    "a title before anything else is by itself": (
        [call("t", kind="auxiliary"), call("a", 1, kind="new")],
        ["t", "a"],
    ),
    "a compaction in the middle of a turn": (
        [call("a", asks=["f"]), call("b", 1, kind="compaction")],
        ["a", "a"],
    ),
    "a compaction between turns": (
        [call("a"), call("b", 9, kind="compaction")],
        ["a", "b"],
    ),
    "a call that its agent declares, and whose parent is not known": (
        [call("a", asks=["f"]), call("b", 1, kind="continue")],
        ["a", "a"],
    ),
    "a branch from a reply without tools is another turn": (
        [call("a"), call("b", 1, parent="a"), call("c", 2, parent="a", kind="branch")],
        ["a", "b", "c"],
    ),
    "parallel calls with a tool's results": (
        [
            call("a", asks=["f"]),
            call("b", 1, parent="a", results=["f"]),
            call("c", 1, parent="a", results=["f"], kind="parallel"),
        ],
        ["a", "a", "a"],
    ),
    "no conversation": (
        [call("a", conversation=None), call("b", 1, conversation=None)],
        ["a", "b"],
    ),
    "two conversations of a session": (
        [call("a", asks=["f"]), call("x", 1, conversation="w"), call("b", 2, parent="a", results=["f"])],
        ["a", "x", "a"],
    ),
}


@pytest.mark.parametrize(("calls", "expected"), TURNS.values(), ids=TURNS)
def test_the_turn_of_each_call(calls: list[CallLink], expected: list[str]) -> None:
    known = UserTurns(nothing)
    assert [known.add(one).turn for one in calls] == expected


def test_a_call_whose_parent_is_not_in_memory_is_found_by_the_log() -> None:
    log = {
        one.id: one
        for one in (
            call("a", asks=["f"]),
            call("b", 1, parent="a", results=["f"], asks=["f"]),
            call("c", 2, parent="b", results=["f"], asks=["f"]),
        )
    }
    known = UserTurns(log.get)
    assert known.add(call("d", 3, parent="c", results=["f"])).turn == "a"
    assert known.add(call("e", 9, parent="d")).turn == "e"


COMPLETE = {
    # name: the calls, seconds from the start, and the turns that are complete by then
    "a second after a reply that asks for nothing": ([call("a")], 1.5, ["a"]),
    "not at once": ([call("a")], 1.4, []),
    "not while a tool is at work": ([call("a", asks=["f"])], 1_000, []),
    "half an hour later nobody waits for the tool": ([call("a", asks=["f"])], 1_801, ["a"]),
    "a failed call may be tried again": ([call("a", outcome="http_error")], 60, []),
    "for a minute": ([call("a", outcome="http_error")], 61, ["a"]),
    "the next turn of the conversation": ([call("a", asks=["f"]), call("b", 5, kind="new")], 5.5, ["a"]),
    "the other calls of the turn count": (
        [call("a", asks=["f"]), call("b", 5, parent="a", results=["f"])],
        6.4,
        [],
    ),
    "a sub-agent is still at work": (
        [
            call("a", asks=["Task"]),
            call("s", 1, parent="a", asks=["f"], **SUB),
            call("b", 2, parent="a", results=["x"]),
        ],
        100,
        [],
    ),
    "a title says nothing of the turn's end": (
        [call("a", asks=["f"]), call("t", 1, kind="auxiliary")],
        100,
        [],
    ),
    "no conversation: by itself": ([call("a", conversation=None)], 1.5, ["a"]),
}


@pytest.mark.parametrize(("calls", "at", "expected"), COMPLETE.values(), ids=COMPLETE)
def test_complete_turns(calls: list[CallLink], at: float, expected: list[str]) -> None:
    known = UserTurns(nothing)
    for one in calls:
        known.add(one)
    assert [one.id for one in known.complete(START + round(at * SECOND))] == expected


def test_at_the_end_of_the_log_those_that_wait_for_nothing_are_complete() -> None:
    known = UserTurns(nothing)
    for one in (call("a", conversation="1"), call("b", conversation="2", asks=["f"])):
        known.add(one)
    assert [one.id for one in known.complete(None)] == ["a"]
    assert len(known) == 1


def test_several_calls_that_end_together_complete_their_turn_once() -> None:
    known = UserTurns(nothing)
    for id in "abc":
        known.add(call(id, parent=None if id == "a" else "a", kind="new" if id == "a" else "auxiliary"))
    assert [one.id for one in known.complete(START + 9 * SECOND)] == ["a"]


def test_a_program_that_has_ended_completes_its_turns() -> None:
    known = UserTurns(nothing)
    for id, pid in (("a", 1), ("b", 2)):
        known.add(call(id, conversation=id, asks=["f"], process=("m", pid, f"p{pid}")))
    assert [one.id for one in known.complete_of_ended(lambda process: process[1] == 2)] == ["b"]


def test_turns_are_numbered_within_their_session_if_its_beginning_was_seen() -> None:
    known = UserTurns(nothing)
    first = [known.add(call("a", step=0)), known.add(call("b", 9, step=1, parent="a"))]
    late = known.add(call("x", 9, session="s2", conversation="w", step=7))
    assert [one.number for one in (*first, late)] == [0, 1, None]


def test_it_goes_on_from_its_state() -> None:
    known = UserTurns(nothing)
    known.add(call("a", step=0, asks=["f"], process=("m", 1, "p")))
    state = json.loads(json.dumps(known.to_state()))
    again = UserTurns(nothing, state)
    place = again.add(call("b", 1, parent="a", results=["f"]))
    (turn,) = again.complete(None)
    assert (place.turn, [one.id for one in turn.calls], turn.process) == ("a", ["a", "b"], ("m", 1, "p"))
    assert again.add(call("c", 9, parent="b")).number == 1


def test_a_state_that_was_taken_does_not_change_with_what_comes() -> None:
    known = UserTurns(nothing)
    known.add(call("a", asks=["f"]))
    state = known.to_state()
    known.add(call("b", 1, parent="a", results=["f"]))
    assert [one[1] for one in state["open"][0]["calls"]] == ["a"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_turns, "MOST_OPEN", 3)
    monkeypatch.setattr(user_turns, "MOST_CALLS", 4)
    known = UserTurns(nothing)
    for n in range(5):
        known.add(call(f"c{n}", conversation=f"v{n}", asks=["f"]))
    assert [one.id for one in known.complete(START)] == ["c0", "c1"]
    for n in range(10):
        known.add(call(f"d{n}", conversation="v4", parent="c4" if n == 0 else f"d{n - 1}", results=["f"], asks=["f"]))
    (turn,) = known.complete_of_ended(lambda process: True) or [known._open["c4"]]
    assert [one.id for one in turn.calls] == ["c4", "d0", "d8", "d9"]


def test_two_messages_in_quick_succession_are_two_turns() -> None:
    """The first turn waits for nothing, and then the second one closes it."""
    known = UserTurns(nothing)
    for one in (call("a"), call("b", 1, parent="a")):
        known.add(one)
    assert [one.id for one in known.complete(START + 9 * SECOND)] == ["a", "b"]
    assert len(known) == 0
