"""How a request differs from the recorded one, in sentences."""

from __future__ import annotations

from typing import Any

import pytest
from tests.replay.recorded import asks, body_of, calls_tool, result, user

from sessiontap.replay.canonicalizer import Canonicalizer
from sessiontap.replay.differences import MOST, ComparedBodies, ToldMessages, differences


def told(recorded: Any, live: Any, before: ToldMessages | None = None) -> tuple[str, ...]:
    bodies = ComparedBodies(body_of(recorded), body_of(live))
    return differences(Canonicalizer(), bodies, lambda body: body, before or ToldMessages())


SYSTEM = {"role": "system", "content": "Be brief."}
TALK = [SYSTEM, user("Read a.txt"), calls_tool("1"), result("1", "text of a")]

CASES: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "nothing that counts": (asks(user("on 2026-11-22")), asks(user("on 2027-01-01")), ()),
    "a word": (asks(user("the largest file")), asks(user("the oldest file")),
               ("message 1 (user): “oldest” instead of “largest”",)),
    "a part of a path": (asks(user("in /a/project/x")), asks(user("in /a/proj/x")),
                         ("message 1 (user): “/a/proj/x” instead of “/a/project/x”",)),
    "a word more": (asks(user("go on")), asks(user("go on now")), ("message 1 (user): “now” was not recorded",)),
    "a word less": (asks(user("go on now")), asks(user("go on")), ("message 1 (user): “now” is missing",)),
    "a message more": (asks(*TALK), asks(*TALK, user("And b.txt")),
                       ("message 5 (user) was not recorded: “And b.txt”",)),
    "a message less": (asks(*TALK, user("And b.txt")), asks(*TALK),
                       ("message 5 (user) of the recording is missing: “And b.txt”",)),
    "a result of a tool": (asks(*TALK), asks(*TALK[:3], result("1", "text of b")),
                           ("message 4 (tool): “b” instead of “a”",)),
    "a prompt of its own field": ({"system": "Be brief."}, {"system": "Be long."},
                                  ("the system prompt is not the recorded one: “long.” instead of “brief.”",)),
    "a tool": ({"tools": [{"name": "f"}]}, {"tools": [{"name": "f"}, {"name": "g"}]}, ("the tool g was not recorded",)),
    "a limit": ({"max_tokens": 1}, {"max_tokens": 2}, ("max_tokens: 2 instead of 1",)),
    "a limit more": ({}, {"max_tokens": 2}, ("max_tokens: 2 was not recorded",)),
    "a limit less": ({"max_tokens": 2}, {}, ("max_tokens: 2 of the recording is missing",)),
    "within a wrapper": ({"request": {"contents": [{"role": "user", "parts": [{"text": "say a"}]}]}},
                         {"request": {"contents": [{"role": "user", "parts": [{"text": "say b"}]}]}},
                         ("message 1 (user): “b” instead of “a”",)),
    "bytes": (b"\xff\x01", b"\xff", ("its body is not the recorded one: 1 bytes, and 2 recorded",)),
}  # fmt: skip


@pytest.mark.parametrize(("recorded", "live", "expected"), CASES.values(), ids=CASES)
def test_the_difference_is(recorded: Any, live: Any, expected: tuple[str, ...]) -> None:
    assert told(recorded, live) == expected


def test_what_an_earlier_request_had_is_not_told_again() -> None:
    one = [user("Read"), calls_tool("1"), result("1", "text a"), calls_tool("2"), result("2", "text c")]
    other = [user("Read"), calls_tool("1"), result("1", "text b"), calls_tool("2"), result("2", "text d")]
    assert told(asks(*one), asks(*other), ToldMessages(3, 3)) == (
        "message 5 (tool): “d” instead of “c”",
        "the messages before differ as they did in the request before",
    )


def test_there_are_only_so_many_sentences() -> None:
    one, other = (asks(*(user(f"{number} is {word}") for number in range(20))) for word in ("old", "new"))
    found = told(one, other)
    assert len(found) == MOST + 1
    assert found[-1] == "and more"
