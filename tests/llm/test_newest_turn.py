from __future__ import annotations

from typing import Any, Literal, NamedTuple

import pytest

from sessiontap.llm.newest_turn import MOST_LOOKED_AT, MessageLayout, Named, NewestTurn, newest


class MessageFacts(NamedTuple):
    role: Literal["user", "assistant"] | None = None
    said: str | None = None
    results: tuple[Named, ...] = ()
    calls: tuple[Named, ...] = ()


LAYOUT = MessageLayout(
    role=lambda message: message.role,
    text=lambda message: message.said,
    results=lambda message: message.results,
    calls=lambda message: message.calls,
)

ASK = MessageFacts("user", "do it")
CALLS = MessageFacts("assistant", calls=(("1", "read"), ("2", "write")))
READS = MessageFacts("assistant", calls=((None, "read"), (None, "read")))

CASES: dict[str, tuple[list[MessageFacts], NewestTurn]] = {
    "nothing": ([], NewestTurn(None, (), ())),
    "a first turn": ([ASK], NewestTurn("do it", (), ())),
    "the assistant had the last word": ([ASK, MessageFacts("assistant")], NewestTurn("do it", (), ())),
    "results, named by their calls": (
        [ASK, CALLS, MessageFacts("user", results=(("1", None), ("2", None)))],
        NewestTurn("do it", ("read", "write"), ("2", "1")),
    ),
    "results in messages of their own": (
        [ASK, CALLS, MessageFacts(results=(("2", "write"),)), MessageFacts(results=(("1", None),))],
        NewestTurn("do it", ("write", "read"), ("1", "2")),
    ),
    "results and a word": (
        [ASK, CALLS, MessageFacts("user", "now go on", results=(("1", None),))],
        NewestTurn("now go on", ("read",), ("1",)),
    ),
    "a call from further back": (
        [ASK, CALLS, MessageFacts("assistant"), MessageFacts("user", results=(("2", None),))],
        NewestTurn("do it", ("write",), ("2",)),
    ),
    "a call that is not there": (
        [ASK, MessageFacts("user", results=(("9", None),))],
        NewestTurn("do it", (), ("9",), (("9", None),)),
    ),
    "results without name or id of the only tool": (
        [ASK, READS, MessageFacts(results=((None, None),)), MessageFacts(results=((None, None),))],
        NewestTurn("do it", ("read",), ()),
    ),
    "results without name or id of one of two tools": (
        [ASK, CALLS, MessageFacts(results=((None, None),))],
        NewestTurn("do it", (), ()),
    ),
    "results before the last assistant message": (
        [
            ASK,
            CALLS,
            MessageFacts("user", results=(("1", None),)),
            MessageFacts("assistant"),
            MessageFacts("user", "thanks"),
        ],
        NewestTurn("thanks", (), ()),
    ),
    "a message without text (an image)": (
        [ASK, MessageFacts("assistant"), MessageFacts("user")],
        NewestTurn(None, (), ()),
    ),
}


@pytest.mark.parametrize(("messages", "expected"), CASES.values(), ids=CASES)
def test_the_newest_turn(messages: list[Any], expected: NewestTurn) -> None:
    assert newest(messages, LAYOUT) == expected


def test_no_further_and_no_closer_than_it_takes() -> None:
    looked: list[tuple[str, Any]] = []

    def noted(what: str) -> Any:
        def look(message: MessageFacts) -> Any:
            looked.append((what, message))
            return getattr(message, what)

        return look

    layout = MessageLayout(noted("role"), noted("said"), noted("results"), noted("calls"))
    earlier, answer, question = MessageFacts("user", "hi"), MessageFacts("assistant"), MessageFacts("user", "more")
    tool = MessageFacts(results=(("1", "read"),))
    assert newest([earlier, answer, tool, question], layout).message == "more"
    assert earlier not in [message for _, message in looked]
    looked.clear()
    assert newest([question, tool, answer, answer], layout).message == "more"
    assert ("results", tool) not in looked
    assert looked.count(("calls", answer)) == 1


def test_of_a_list_of_millions_only_the_last_messages_are_looked_at() -> None:
    looked: list[int] = []

    def role(message: int) -> None:
        looked.append(message)

    layout = MessageLayout(role, text=lambda message: None, results=lambda message: (), calls=lambda message: ())
    newest(range(MOST_LOOKED_AT * 3), layout)
    assert looked == list(range(MOST_LOOKED_AT * 3 - 1, MOST_LOOKED_AT * 2 - 1, -1))
