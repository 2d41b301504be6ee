"""Gemini CLI with an API key: it sends no session, and its sub-agents no word of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.agents.packages import GEMINI_CLI, program
from tests.agents.stage import Stage, Turn, asked_as_told, one_session, turns, usage

TASK = """call invoke_agent with {"agent_name": "generalist", "prompt":
 "call complete_task with {\\"result\\": {\\"response\\": \\"Water is wet.\\"}}"}"""


@pytest.fixture(scope="module")
def gemini() -> Path:
    return program(GEMINI_CLI, "gemini")


def test_a_sub_agent_is_found_by_the_task_it_was_given(stage: Stage, gemini: Path) -> None:
    command = [gemini, "--skip-trust", "--yolo", "-m", "gemini-2.5-flash", "-o", "json", "-p", TASK]
    counted = json.loads(stage.run(command))["stats"]["models"]["gemini-2.5-flash"]["tokens"]
    calls = stage.calls(3)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("gemini-cli", "process")
    assert turns(calls) == [
        Turn("/main", called=("invoke_agent",), evidence="new"),
        Turn("/main/generalist", called=("complete_task",), after=("invoke_agent",), evidence="strong"),
        Turn("/main", results=("invoke_agent",), after=("invoke_agent",), evidence="strong"),
    ]
    assert {call.record["agent"] for call in calls} == {"gemini-cli"}
    assert {call.record["subagent"] for call in calls} == {None, "generalist"}
    assert usage(calls, "input") == counted["prompt"]
    assert usage(calls, "output") == counted["candidates"]
    assert asked_as_told(stage, calls)
