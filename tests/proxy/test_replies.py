"""Which replies a call waits for, and for how long. The recorder is the test."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiontap.llm.call import Asked, Call, Endpoint
from sessiontap.llm.history import History, history
from sessiontap.proxy import replies
from sessiontap.proxy.replies import Replies
from sessiontap.recording.finished import PlannerUpdate

LONG = 30.0
ENDPOINT = Endpoint("openai", "openai-chat", "chat", "/v1/chat/completions")


def past(*said: str) -> History:
    """A conversation, user and assistant in turn."""
    messages: list[dict[str, Any]] = [
        {"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(said)
    ]
    return history(Call(ENDPOINT, Asked(), json={"messages": messages}))


FIRST, SECOND, OTHER = past("Why is the sky blue?"), past("Why is the sky blue?", "Air.", "Why?"), past("Who was it?")


@pytest.fixture
async def reading() -> Replies:
    """A first call of the process `me` was answered, and its reply is not read yet."""
    known = Replies(lambda update: None)
    known.begin(asyncio.get_running_loop())
    known.expect("first", "me", offers_tools=False, end=FIRST.end)
    return known


@pytest.mark.parametrize(
    ("caller", "asks", "settled", "waits"),
    [
        pytest.param("me", SECOND, False, True, id="the next turn"),
        pytest.param("me", SECOND, True, True, id="the next turn, where an earlier one is known"),
        pytest.param("another", SECOND, False, False, id="the same words in another process"),
        pytest.param("me", FIRST, False, False, id="the same question again"),
        pytest.param("me", OTHER, False, False, id="another question"),
        pytest.param("me", past("A?", "B.", "C?"), False, True, id="a history that nobody knows"),
        pytest.param("me", past("A?", "B.", "C?"), True, False, id="a history that is known"),
    ],
)
async def test_who_waits(reading: Replies, caller: str, asks: History, settled: bool, waits: bool) -> None:
    awaited = reading.awaited(caller, asks, names_replies=False, is_settled=lambda: settled)
    assert awaited == ({"first"} if waits else set())


async def test_a_retry_waits_for_what_became_of_the_first_try(reading: Replies) -> None:
    reading.expect("failed", "me", offers_tools=False, failed=True, end=FIRST.end)
    assert reading.awaited("me", FIRST, names_replies=False, is_settled=lambda: False) == {"failed"}


@pytest.mark.parametrize(
    ("opening", "waits"), [("Look for the tests, please.", True), ("Hello!", False)], ids=["handed on", "too short"]
)
async def test_a_first_call_may_be_that_of_a_sub_agent(reading: Replies, opening: str, waits: bool) -> None:
    reading.expect("with tools", "me", offers_tools=True, end=OTHER.end)
    awaited = reading.awaited("me", past(opening), names_replies=False, is_settled=lambda: False)
    assert awaited == ({"with tools"} if waits else set())


async def test_an_id_that_is_not_known_may_be_in_any_reply(reading: Replies) -> None:
    assert reading.awaited("me", OTHER, names_replies=True, is_settled=lambda: False) == {"first"}
    assert reading.awaited("me", OTHER, names_replies=True, is_settled=lambda: True) == set()


async def test_what_did_not_get_there_or_is_long_ago_is_not_waited_for(
    reading: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.expect("dropped", "me", offers_tools=False, end=FIRST.end)
    reading.forget("dropped")
    assert reading.awaited("me", SECOND, names_replies=False, is_settled=lambda: False) == {"first"}
    monkeypatch.setattr(replies, "STALE_AFTER", -1.0)
    assert reading.awaited("me", SECOND, names_replies=False, is_settled=lambda: False) == set()


class Reader:
    """Reads replies as soon as it is hurried, or never."""

    def __init__(self, *reads: str) -> None:
        self.taken: list[str] = []
        self.hurried = 0
        self.reads = reads
        self.replies = Replies(lambda update: self.taken.append(update.call_id))
        self.replies.begin(asyncio.get_running_loop())
        for call_id in ("one", "two"):
            self.replies.expect(call_id, "me", offers_tools=False, end=FIRST.end)

    def hurry(self) -> None:
        self.hurried += 1
        for call_id in self.reads:
            self.replies.read(PlannerUpdate(call_id, None, 1, None, None))

    def awaited(self) -> set[str]:
        return self.replies.awaited("me", SECOND, names_replies=False, is_settled=lambda: False)


async def test_a_wait_ends_with_the_reply() -> None:
    reader = Reader("one")
    await reader.replies.wait({"one"}, reader.hurry, LONG)
    assert (reader.taken, reader.hurried) == (["one"], 1)


async def test_what_was_read_before_is_taken_without_a_wait() -> None:
    reader = Reader()
    reader.replies.read(PlannerUpdate("one", None, 1, None, None))
    reader.replies.settle()
    assert (reader.taken, reader.hurried, reader.awaited()) == (["one"], 0, {"two"})


async def test_a_recorder_that_hangs_is_waited_for_once() -> None:
    reader = Reader()
    await reader.replies.wait({"one"}, reader.hurry, 0.01)
    assert reader.awaited() == set()
    reader.replies.read(PlannerUpdate("one", None, 1, None, None))  # it goes on
    assert reader.awaited() == {"one", "two"}  # the first of them until it is taken
