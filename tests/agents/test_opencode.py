"""opencode: a sub-agent has a session of its own and names the one that it works for."""

from __future__ import annotations

import json

import pytest
from tests.agents.packages import OPENCODE, program
from tests.agents.stage import Stage, Turn, asked_as_told, one_session, turns

TASK = 'call task with {"description": "Look", "prompt": "Why is the sea so salty?", "subagent_type": "general"}'


@pytest.fixture(scope="module")
def run() -> list[str]:
    return [str(program(OPENCODE, "opencode")), "run", "--format", "json", "--model", "openai/gpt-4o"]


def test_a_session_with_a_sub_agent(stage: Stage, run: list[str]) -> None:
    output = stage.run(run, stdin=TASK)
    own = json.loads(output.splitlines()[0])["sessionID"]
    calls = stage.calls(4)
    session = one_session(calls)
    assert (session["id"], session["name"], session["source"]) == (own, "opencode", "native")
    assert turns(calls) == [
        Turn("/main", called=("task",)),
        Turn("/main/general", after=("task",), evidence="strong"),
        Turn("/main", results=("task",), after=("task",), evidence="exact"),
    ]
    assert {call.record["agent"] for call in calls} == {"opencode"}
    assert {call.record["subagent"] for call in calls} == {None, "general"}
    assert asked_as_told(stage, calls)


def test_a_session_goes_on_in_another_process(stage: Stage, run: list[str]) -> None:
    first = json.loads(stage.run([*run, "Why?"]).splitlines()[0])["sessionID"]
    second = json.loads(stage.run([*run, "--continue", "And why not?"]).splitlines()[0])["sessionID"]
    assert second == first
    calls = stage.calls(3)
    assert one_session(calls)["id"] == first
    assert len({call.record["caller"] for call in calls}) == 2
    main = [call for call in calls if call.record["link"]["kind"] != "auxiliary"]
    assert [call.record["link"]["kind"] for call in main] == ["new", "continue"]
    assert (main[1].record["parent"], main[1].record["evidence"]) == (main[0].id, "strong")
