"""No lane takes another's place: ids that a server counts anew, equal replies, errands with the same tools, polls."""

from __future__ import annotations

import pytest
from tests.replay.recorded import MESSAGES, asks, calls_tool, live, recorded, result, user

from sessiontap.replay.question import Answer, LiveRequest, Miss
from sessiontap.replay.replayer import LadderReplayer, open_replayer
from sessiontap.trace import RecordedCall


def answered(replayer: LadderReplayer, request: LiveRequest) -> tuple[str, str]:
    found = replayer.answer(request)
    assert isinstance(found, Answer), found
    return found.rung, found.reply.call


def lane_with_a_tool(name: str, time: int, id: str, *, known: bool) -> list[RecordedCall]:
    """It asks, is told to call a tool, and asks again with its result."""
    ids = [id] if known else []
    begin = user(f"Read the file of {name}")
    return [
        recorded(f"{name}0", asks(begin), tool_calls=ids, conversation=name, time=time),
        recorded(
            f"{name}1", asks(begin, calls_tool(id), result(id, "read")),
            conversation=name, parent=f"{name}0", time=time + 2,
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False], ids=["counted by the server", "made by the program"])
def test_a_lane_that_asks_once_more_gets_no_reply_of_another_lane(known: bool) -> None:
    """Both lanes called one tool with the same arguments, under the same id."""
    calls = [*lane_with_a_tool("a", 0, "call_0", known=known), *lane_with_a_tool("b", 1, "call_0", known=known)]
    replayer = open_replayer(calls)
    first = user("Read the file of a")
    assert answered(replayer, live(asks(first))) == ("exact", "a0")
    once = live(asks(first, calls_tool("call_0"), result("call_0", "seen")))
    again = live(asks(first, calls_tool("call_0"), result("call_0", "seen again")))
    assert answered(replayer, once) == ("tools", "a1")
    found = replayer.answer(again)
    assert isinstance(found, Miss), found
    assert "Call a1 has its place, and has answered already" in found.reason


def test_an_id_that_several_lanes_were_given_shows_none() -> None:
    """A program that shortens its history: nothing but the tool call is left of what was before."""
    calls = [*lane_with_a_tool("a", 0, "call_0", known=True), *lane_with_a_tool("b", 1, "call_0", known=True)]
    replayer = open_replayer(calls)
    for name in ("a", "b"):
        answered(replayer, live(asks(user(f"Read the file of {name}"))))
    short = live(asks(user("In short: read the file of a"), calls_tool("call_0", "write"), result("call_0", "seen")))
    found = replayer.answer(short)
    assert not isinstance(found, Answer) or found.reply.call == "a1"


def test_lanes_with_equal_replies_are_told_apart_by_their_prompts() -> None:
    """Two agents, told the same by their user, and answered the same."""
    said = {"role": "assistant", "content": [{"type": "text", "text": "Ready."}]}
    reply = {**said, "type": "message", "stop_reason": "end_turn"}
    calls = []
    for n, name in enumerate("ab"):
        begin = asks(user("Begin"), system=f"You are {name}.")
        then = asks(user("Begin"), said, user(f"Work as {name}"), system=f"You are {name}.")
        calls.append(recorded(f"{name}0", begin, reply, url=MESSAGES, conversation=name, time=n))
        calls.append(recorded(f"{name}1", then, url=MESSAGES, conversation=name, parent=f"{name}0", time=2 + n))
    replayer = open_replayer(calls)
    for name in "ab":
        begin = asks(user("Begin"), system=f"You are {name}.")
        assert answered(replayer, live(begin, url=MESSAGES)) == ("exact", f"{name}0")
    for name in "ab":
        then = asks(user("Begin"), said, user("Now, please"), system=f"You are {name}.")
        assert answered(replayer, live(then, url=MESSAGES)) == ("place", f"{name}1")


def test_a_call_beside_its_lane_does_not_get_the_reply_to_a_turn_of_it() -> None:
    """A summary and the next turn follow the same tool calls; both are asked for in other words than recorded."""
    history = [user("Read"), calls_tool("call_11"), result("call_11", "read")]
    tools, others = ([{"type": "function", "function": {"name": name}}] for name in ("read", "note"))
    calls = [
        recorded("r0", asks(history[0], tools=tools), tool_calls=["call_11"]),
        recorded("r1", asks(*history, user("Sum it up"), tools=others), parent="r0", kind="auxiliary"),
        recorded("r2", asks(*history, user("Go on"), tools=tools), parent="r0"),
    ]
    replayer = open_replayer(calls)
    assert answered(replayer, live(asks(history[0], tools=tools))) == ("exact", "r0")
    assert answered(replayer, live(asks(*history, user("Go on then"), tools=tools))) == ("tools", "r2")
    assert answered(replayer, live(asks(*history, user("Sum it up now"), tools=others))) == ("tools", "r1")


def test_a_poll_more_than_recorded_gets_the_last_reply_of_its_own_run() -> None:
    """The addresses of both runs differ in an id alone, which means nothing if it is not the recorded one."""
    run = "https://api.openai.com/v1/threads/runs/run_{}aaaaaaaaaaaaaaaaa"
    calls = [
        recorded(f"{name}{n}", url=run.format(name), method="GET", conversation=None, time=2 * n + at)
        for n in range(2) for at, name in enumerate("ab")
    ]  # fmt: skip
    replayer = open_replayer(calls)
    polls = [answered(replayer, live(url=run.format("a"), method="GET")) for _ in range(3)]
    assert polls == [("exact", "a0"), ("exact", "a1"), ("exact", "a1")]
    assert answered(replayer, live(url=run.format("b"), method="GET")) == ("exact", "b0")
