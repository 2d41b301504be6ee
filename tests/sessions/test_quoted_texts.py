"""The texts that are remembered of calls: they grow to a bound and no further, whatever comes."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from sessiontap.llm.history import DelegatedPrompt, History, ReplyFingerprint, text_digest
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.quoted_texts import QuotedTexts

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


def delegating(text: str, tool_call_id: str | None) -> ReplyFingerprint:
    return ReplyFingerprint(delegated=(DelegatedPrompt(text_digest(text), "task", tool_call_id),))


@pytest.mark.parametrize(
    "ending",
    [
        lambda number: delegating("the same text every time", f"call-{number}"),
        lambda number: delegating(f"text {number}", "call_0"),
        lambda number: delegating(f"text {number}", f"call-{number}"),
        lambda number: delegating(f"text {number}", None),
    ],
    ids=["one text under new ids", "new texts under one id", "all new", "no ids"],
)
def test_delegated_texts_without_an_answer_are_forgotten(ending: Callable[[int], ReplyFingerprint]) -> None:
    quoted = QuotedTexts()
    for number in range(5_000):
        quoted.note_reply(SCOPE, ending(number), f"id {number}", number)
    before = reachable(quoted)
    for number in range(5_000, 10_000):
        quoted.note_reply(SCOPE, ending(number), f"id {number}", number)
    assert reachable(quoted) <= before * 1.02


def test_conversations_that_begin_are_forgotten() -> None:
    quoted = QuotedTexts()
    history = History(opening="x" * 40)
    for number in range(1_000):
        quoted.note_opening(SCOPE, history, f"id {number}")
    before = reachable(quoted)
    for number in range(1_000, 2_000):
        quoted.note_opening(SCOPE, history, f"id {number}")
    assert reachable(quoted) == before
