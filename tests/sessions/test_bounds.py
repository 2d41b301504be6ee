"""What is remembered of calls grows to a bound and no further, whatever comes."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from sessiontap.llm.history import Ending, Handed, History, text_digest
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.quoted import Quoted

SCOPE = MatchScope("process 1", "openai_chat", session="given")


def reachable(root: object) -> int:
    """The number of objects that `root` keeps alive, itself included; classes and functions left out."""
    seen = {id(root): root}
    left = [root]
    while left:
        for one in gc.get_referents(left.pop()):
            if id(one) not in seen and not isinstance(one, type) and not callable(one):
                seen[id(one)] = one
                left.append(one)
    return len(seen)


def handing(text: str, tool_call_id: str | None) -> Ending:
    return Ending(handed=(Handed(text_digest(text), "task", tool_call_id),))


@pytest.mark.parametrize(
    "ending",
    [
        lambda number: handing("the same text every time", f"call-{number}"),
        lambda number: handing(f"text {number}", "call_0"),
        lambda number: handing(f"text {number}", f"call-{number}"),
        lambda number: handing(f"text {number}", None),
    ],
    ids=["one text under new ids", "new texts under one id", "all new", "no ids"],
)
def test_texts_that_tools_are_handed_without_an_answer_are_forgotten(ending: Callable[[int], Ending]) -> None:
    quoted = Quoted()
    for number in range(5_000):
        quoted.replied(SCOPE, ending(number), f"id {number}", number)
    before = reachable(quoted)
    for number in range(5_000, 10_000):
        quoted.replied(SCOPE, ending(number), f"id {number}", number)
    assert reachable(quoted) <= before * 1.02


def test_conversations_that_begin_are_forgotten() -> None:
    quoted = Quoted()
    history = History(opening="x" * 40)
    for number in range(1_000):
        quoted.opens(SCOPE, history, f"id {number}")
    before = reachable(quoted)
    for number in range(1_000, 2_000):
        quoted.opens(SCOPE, history, f"id {number}")
    assert reachable(quoted) == before
