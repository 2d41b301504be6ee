"""Parallel lanes keep their own replies: whatever the order, whatever the tools return, and no call answers twice."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.replay.recorded import CHAT, MESSAGES, asks, calls_tool, live, recorded, result, user

from sessiontap.replay.question import RUNGS, Answer, LiveRequest
from sessiontap.replay.replayer import LadderReplayer, open_replayer
from sessiontap.trace import RecordedCall

TURNS = 4


class Agent:
    """A program's lane: it reads files, one a turn, and its history grows by each reply and result."""

    def __init__(
        self, lane: int, *, results: str = "text", prompt: str = "Read all files", caller: str | None = None
    ) -> None:
        self.lane = lane
        self.results = results
        self.caller = caller
        self.messages = [user(prompt)]
        self.answered: list[tuple[str, str]] = []

    def ask(self, replayer: LadderReplayer) -> None:
        """Ask for the next turn, and take the reply in: its tool call is that of the recorded reply."""
        found = replayer.answer(live(asks(*self.messages), caller=self.caller))
        assert isinstance(found, Answer), found
        self.answered.append((found.rung, found.reply.call))
        _, lane, turn = found.reply.call.split("-")
        self.take(int(lane), int(turn))

    def take(self, lane: int, turn: int) -> None:
        id = f"call_{lane}_{turn}"
        self.messages += [calls_tool(id), result(id, f"{self.results} {turn}")]

    def lanes(self) -> set[str]:
        """The recorded lanes that answered."""
        return {call.split("-")[1] for _, call in self.answered}


def recording(lanes: int, *, prompt: str = "Read all files", known_processes: bool = True) -> list[RecordedCall]:
    """Lanes that ran at the same time, each in a process of its own, with equal first requests."""
    calls = []
    for lane in range(lanes):
        agent = Agent(lane, prompt=prompt)
        for turn in range(TURNS):
            calls.append(
                recorded(
                    f"r-{lane}-{turn}", asks(*agent.messages), tool_calls=[f"call_{lane}_{turn}"],
                    conversation=f"c-{lane}", parent=f"r-{lane}-{turn - 1}" if turn else None,
                    process=f"p-{lane}" if known_processes else None, time=turn * lanes + lane,
                )
            )  # fmt: skip
            agent.take(lane, turn)
    return calls


@pytest.mark.parametrize("known_processes", [True, False])
@pytest.mark.parametrize("results", ["text", "another text"])
@pytest.mark.parametrize("seed", range(5))
def test_each_agent_stays_in_one_lane_in_any_order(seed: int, results: str, known_processes: bool) -> None:
    chosen = random.Random(seed)
    replayer = open_replayer(recording(4, known_processes=known_processes))
    agents = [Agent(n, results=results, caller=f"live-{n}" if known_processes else None) for n in range(4)]
    order = [agent for agent in agents for _ in range(TURNS)]
    chosen.shuffle(order)
    for agent in order:
        agent.ask(replayer)
    assert all(len(agent.lanes()) == 1 for agent in agents)
    assert [[int(call.split("-")[2]) for _, call in agent.answered] for agent in agents] == [list(range(TURNS))] * 4
    rungs = {rung for agent in agents for rung, _ in agent.answered[1:]}
    assert rungs == ({"exact"} if results == "text" else {"tools"})
    assert replayer.report().is_clean


def test_ids_that_the_program_makes_itself_are_no_hindrance() -> None:
    """Gemini CLI makes ids of tool calls of the time; here they are made anew, and results differ, too."""
    calls = recording(1)
    for call in calls:
        call.record["llm"]["tool_call_ids"] = []
    replayer = open_replayer(calls)
    messages: list[Any] = [user("Read all files")]
    found = []
    for turn in range(TURNS):
        answer = replayer.answer(live(asks(*messages)))
        assert isinstance(answer, Answer)
        found.append((answer.rung, answer.reply.call))
        messages += [calls_tool(f"own_{turn}"), result(f"own_{turn}", f"seen {turn}")]
    assert found == [("exact", "r-0-0"), *(("tools", f"r-0-{turn}") for turn in range(1, TURNS))]


def test_lanes_without_tools_are_told_apart_by_what_they_were_answered() -> None:
    """Two conversations that begin with the same words, and go on with others than recorded."""
    begin = user("Tell me something")
    said = ("Cats purr.", "Dogs bark.")
    calls = []
    for n in range(2):
        reply = {"choices": [{"message": {"role": "assistant", "content": said[n]}, "finish_reason": "stop"}]}
        history = [begin, {"role": "assistant", "content": said[n]}]
        calls.append(recorded(f"a{n}", asks(begin), reply, conversation=f"c-{n}", time=n))
        calls.append(
            recorded(f"b{n}", asks(*history, user("Go on")), conversation=f"c-{n}", parent=f"a{n}", time=2 + n)
        )
    replayer = open_replayer(calls)
    for _ in range(2):
        replayer.answer(live(asks(begin)))
    for n in (1, 0):
        found = replayer.answer(live(asks(begin, {"role": "assistant", "content": said[n]}, user("More of it"))))
        assert isinstance(found, Answer)
        assert (found.rung, found.reply.call) == ("place", f"b{n}")


def test_a_process_is_the_recorded_one_that_it_asked_as_first() -> None:
    """Two processes ask the same again and again: each gets the replies of its own one."""
    calls = [
        recorded(f"{process}{n}", asks(user(f"Start {process}" if n == 0 else "Tick")), process=process,
                 conversation=f"{process}{n}", time=n)
        for n in range(3) for process in ("a", "b")
    ]  # fmt: skip
    replayer = open_replayer(calls)
    assert _call(replayer.answer(live(asks(user("Start b")), caller="x"))) == "b0"
    assert _call(replayer.answer(live(asks(user("Start a")), caller="y"))) == "a0"
    ticks = [_call(replayer.answer(live(asks(user("Tick")), caller=caller))) for caller in ("x", "y", "y", "x")]
    assert ticks == ["b1", "a1", "a2", "b2"]


def _call(found: Any) -> str:
    assert isinstance(found, Answer), found
    return found.reply.call


WORDS = st.sampled_from(["Read", "Write", "a", "b", "Go on", "/tmp/x1/a", "2026-11-22", ""])
REQUESTS = st.builds(
    lambda said, id, url: (asks(*(user(one) for one in said), *([calls_tool(id), result(id, "x")] if id else ())), url),
    st.lists(WORDS, max_size=3),
    st.sampled_from([None, "call_1", "call_2"]),
    st.sampled_from([CHAT, MESSAGES, f"{CHAT}?key=1", f"{CHAT}?v=2"]),
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(REQUESTS, st.sampled_from(["c-1", "c-2"]), st.sampled_from(["p-1", "p-2", None])), max_size=8),
    st.lists(st.tuples(REQUESTS, st.sampled_from(["x", "y", None])), max_size=12),
    st.sampled_from(RUNGS),
)
def test_no_call_answers_twice_or_a_request_to_another_path(kept: list[Any], asked: list[Any], strict: Any) -> None:
    calls = []
    last: dict[str, str] = {}
    for number, ((body, url), lane, process) in enumerate(kept):
        id = f"r{number}"
        calls.append(
            recorded(
                id, body, url=url, conversation=lane, process=process, parent=last.get(lane), tool_calls=["call_1"]
            )
        )
        last[lane] = id
    replayer = open_replayer(calls, strict=strict)
    urls = {call.id: call.record["request"]["url"].partition("?")[0] for call in calls}
    answered: list[str] = []
    for (body, url), caller in asked:
        one: LiveRequest = live(body, url=url, caller=caller)
        found = replayer.answer(one)
        if isinstance(found, Answer):
            answered.append(found.reply.call)
            assert urls[found.reply.call] == url.partition("?")[0]
            assert RUNGS.index(found.rung) <= RUNGS.index(strict)
        else:
            assert not found.reason.startswith("a fault")
    assert len(answered) == len(set(answered))
    report = replayer.report()
    assert {one.call for one in report.unasked} == {call.id for call in calls} - set(answered)
