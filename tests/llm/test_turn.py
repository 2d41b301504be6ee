from __future__ import annotations

from typing import Any

import pytest

from sessiontap.llm.turn import Seen, Turn, newest

ASK = Seen("user", "do it")
CALLS = Seen("assistant", calls=(("1", "read"), ("2", "write")))
READS = Seen("assistant", calls=((None, "read"), (None, "read")))

CASES: dict[str, tuple[list[Seen], Turn]] = {
    "nothing": ([], Turn(None, (), ())),
    "a first turn": ([ASK], Turn("do it", (), ())),
    "the assistant had the last word": ([ASK, Seen("assistant")], Turn("do it", (), ())),
    "results, named by their calls": (
        [ASK, CALLS, Seen("user", results=(("1", None), ("2", None)))],
        Turn("do it", ("read", "write"), ("2", "1")),
    ),
    "results in messages of their own": (
        [ASK, CALLS, Seen(results=(("2", "write"),)), Seen(results=(("1", None),))],
        Turn("do it", ("write", "read"), ("1", "2")),
    ),
    "results and a word": (
        [ASK, CALLS, Seen("user", "now go on", results=(("1", None),))],
        Turn("now go on", ("read",), ("1",)),
    ),
    "a call from further back": (
        [ASK, CALLS, Seen("assistant"), Seen("user", results=(("2", None),))],
        Turn("do it", ("write",), ("2",)),
    ),
    "a call that is not there": (
        [ASK, Seen("user", results=(("9", None),))],
        Turn("do it", (), ("9",), (("9", None),)),
    ),
    "results without name or id of the only tool": (
        [ASK, READS, Seen(results=((None, None),)), Seen(results=((None, None),))],
        Turn("do it", ("read",), ()),
    ),
    "results without name or id of one of two tools": (
        [ASK, CALLS, Seen(results=((None, None),))],
        Turn("do it", (), ()),
    ),
    "results before the last assistant message": (
        [ASK, CALLS, Seen("user", results=(("1", None),)), Seen("assistant"), Seen("user", "thanks")],
        Turn("thanks", (), ()),
    ),
    "a message without text (an image)": ([ASK, Seen("assistant"), Seen("user")], Turn(None, (), ())),
}


@pytest.mark.parametrize(("messages", "expected"), CASES.values(), ids=CASES)
def test_the_newest_turn(messages: list[Any], expected: Turn) -> None:
    assert newest(messages, lambda message: message) == expected


def test_no_further_than_it_takes() -> None:
    def look(message: Any) -> Seen:
        assert isinstance(message, Seen), "looked too far"
        return message

    assert newest([None, Seen("assistant"), Seen("user", "more")], look).message == "more"
