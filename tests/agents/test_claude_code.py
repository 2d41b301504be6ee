"""Claude Code: its own session id, and sub-agents that say no more than an id of theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.agents.packages import CLAUDE_CODE, program
from tests.agents.stage import Stage, Turn, asked_as_told, one_session, turns, usage

TASK = """call Agent with {"description": "Say it", "subagent_type": "general-purpose", "prompt":
 "call Bash with {\\"command\\": \\"echo the sky is blue\\", \\"description\\": \\"Say it\\"}"}"""


@pytest.fixture(scope="module")
def claude() -> Path:
    return program(CLAUDE_CODE, "claude")


def test_a_session_with_a_sub_agent(stage: Stage, claude: Path) -> None:
    output = stage.run([claude, "-p", TASK, "--allowedTools", "Agent,Bash", "--output-format", "json"])
    own = json.loads(output)
    assert "the sky is blue" in own["result"]

    counted = own["modelUsage"]
    calls = stage.calls(4 + any("haiku" in model for model in counted))  # that one is asked for a title, not always
    session = one_session(calls)
    assert (session["id"], session["name"], session["source"]) == (own["session_id"], "claude-code", "native")
    assert turns(calls) == [
        Turn("/main", called=("Agent",)),
        Turn("/main/general-purpose", called=("Bash",), after=("Agent",), evidence="strong"),
        Turn("/main/general-purpose", results=("Bash",), after=("Bash",), evidence="exact"),
        Turn("/main", results=("Agent",), after=("Agent",), evidence="exact"),
    ]
    assert {call.record["agent"] for call in calls} == {"claude-code"}
    assert {call.record["subagent"] for call in calls} == {None, "general-purpose"}
    assert len({call.record["conversation"] for call in calls}) == 2
    assert usage(calls, "input") == sum(one["inputTokens"] + one["cacheReadInputTokens"] for one in counted.values())
    assert usage(calls, "output") == sum(one["outputTokens"] for one in counted.values())
    assert asked_as_told(stage, calls)


def test_a_session_goes_on_in_another_process(stage: Stage, claude: Path) -> None:
    first = json.loads(stage.run([claude, "-p", "Why is the sky blue?", "--output-format", "json"]))
    again = [claude, "-p", "And the grass?", "--resume", first["session_id"], "--output-format", "json"]
    second = json.loads(stage.run(again))
    assert second["session_id"] == first["session_id"]
    calls = stage.proxy.wait_calls(lambda calls: len(turns(calls)) == 2)
    first_call, second_call = (call for call in calls if call.record["link"]["kind"] != "auxiliary")
    assert (second_call.record["parent"], second_call.record["evidence"]) == (first_call.id, "strong")
    assert {call.session_id for call in calls} == {first["session_id"]}
    assert len({call.record["conversation"] for call in calls}) == 1
    assert len({call.record["caller"] for call in calls}) == 2
