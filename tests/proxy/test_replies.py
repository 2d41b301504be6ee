"""Which replies a call waits for, and for how long. The recorder is the test."""

from __future__ import annotations

import asyncio

import pytest

from sessiontap.proxy import replies
from sessiontap.proxy.replies import Replies
from sessiontap.recording.finished import Left

LONG = 30.0


def left(call_id: str) -> Left:
    return Left(call_id, None, 1, None, None)


class Reader:
    """Reads each reply as soon as it is hurried, or never."""

    def __init__(self, *reads: str) -> None:
        self.taken: list[str] = []
        self.hurried = 0
        self.reads = reads
        self.replies = Replies(lambda left: self.taken.append(left.call_id))
        self.replies.begin(asyncio.get_running_loop())

    def hurry(self) -> None:
        self.hurried += 1
        for call_id in self.reads:
            self.replies.read(left(call_id))


@pytest.mark.parametrize(
    ("caller", "goes_on", "waits"),
    [
        pytest.param("me", True, True, id="a call that goes on from one of its own process"),
        pytest.param("me", False, True, id="a first call: one that offered tools may have begun it"),
        pytest.param("another", True, False, id="a call of another process"),
    ],
)
async def test_who_waits(caller: str, goes_on: bool, waits: bool) -> None:
    reader = Reader("tools")
    reader.replies.expect("tools", "me", offers_tools=True)
    await reader.replies.wait(caller, goes_on, reader.hurry, LONG)
    assert reader.taken == (["tools"] if waits else [])


async def test_a_first_call_waits_for_no_reply_without_tools() -> None:
    reader = Reader("plain")
    reader.replies.expect("plain", "me", offers_tools=False)
    await reader.replies.wait("me", False, reader.hurry, LONG)
    assert reader.hurried == 0


async def test_what_was_read_before_is_taken_without_a_wait() -> None:
    reader = Reader()
    reader.replies.expect("one", "me", offers_tools=True)
    reader.replies.read(left("one"))
    await reader.replies.wait("me", True, reader.hurry, LONG)
    assert (reader.taken, reader.hurried) == (["one"], 0)


async def test_a_recorder_that_hangs_is_waited_for_once() -> None:
    reader = Reader()
    reader.replies.expect("one", "me", offers_tools=True)
    await reader.replies.wait("me", True, reader.hurry, 0.01)
    await reader.replies.wait("me", True, reader.hurry, LONG)  # returns at once
    assert reader.hurried == 1
    reader.reads = ("one", "two")
    reader.replies.expect("two", "me", offers_tools=True)
    reader.replies.read(left("zero"))  # it goes on
    await reader.replies.wait("me", True, reader.hurry, LONG)
    assert reader.taken == ["zero", "one", "two"]


async def test_what_did_not_get_there_or_is_long_ago_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    reader.replies.expect("dropped", "me", offers_tools=True)
    reader.replies.forget("dropped")
    monkeypatch.setattr(replies, "LATELY", -1.0)
    reader.replies.expect("old", "me", offers_tools=True)
    await reader.replies.wait("me", True, reader.hurry, LONG)
    assert reader.hurried == 0
