"""Codex, over WebSockets as it likes best and over HTTP where the server has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.agents.packages import CODEX, program
from tests.agents.stage import Stage, asked_as_told, one_session, turns, usage

TASK = """Please use a sub-agent:
 call spawn_agent with {"task_name": "look", "message": "Why is the water in the sea wet?", "fork_turns": "none"} and
 call wait_agent with {"timeout_ms": 10000}"""


@pytest.fixture(scope="module")
def codex() -> Path:
    return program(CODEX, "codex")


@pytest.mark.parametrize("websockets", [True, False], ids=["websocket", "http"])
def test_a_session_with_a_sub_agent(new_stage: Callable[..., Stage], codex: Path, websockets: bool) -> None:
    stage = new_stage(websockets=websockets)
    output = stage.run([codex, "exec", "--json", "--skip-git-repo-check", TASK])
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    own = next(event["thread_id"] for event in events if event["type"] == "thread.started")
    counted = events[-1]["usage"]

    calls = stage.calls(4)
    assert {call.session_id for call in calls} == {own}
    assert {(call.record["session"]["name"], call.record["session"]["source"]) for call in calls} == {
        ("codex", "native")
    }
    assert {call.record["agent"] for call in calls} == {"codex"}
    assert {("websocket" in call.record["flags"]) for call in calls} == {websockets}
    main = [call for call in calls if call.record["session"]["path"] == "/main"]
    story = turns(main)
    assert [turn.called for turn in story] == [("spawn_agent",), ("wait_agent",), ()]
    assert [(turn.after, turn.evidence) for turn in story[1:]] == [
        (("spawn_agent",), "exact"),
        (("wait_agent",), "exact"),
    ]
    assert [turn.results for turn in story] == [(), ("spawn_agent",), ("wait_agent",)]
    (helper,) = (call for call in calls if call not in main)
    (turn,) = turns([helper, *main])[:1]
    assert (turn.path, turn.after, turn.evidence) == ("/main/look", ("spawn_agent",), "strong")
    assert helper.record["subagent"] == "look"
    assert [call.record["link"]["kind"] for call in (main[0], helper)] == ["new", "subagent"]
    assert "exec" in main[0].record["llm"]["tools_offered"]
    assert usage(main, "input") == counted["input_tokens"]
    assert usage(main, "cache_read") == counted["cached_input_tokens"]
    assert usage(main, "output") == counted["output_tokens"]
    told = set(stage.told())
    assert told == {(own, "/main"), (own, "/main/look")}


def test_a_session_goes_on_in_another_process(new_stage: Callable[..., Stage], codex: Path) -> None:
    stage = new_stage(websockets=True)
    stage.run([codex, "exec", "--skip-git-repo-check", "Why is the sky blue?"])
    stage.run([codex, "exec", "resume", "--last", "--skip-git-repo-check", "And the grass?"])
    calls = stage.calls(2)
    assert one_session(calls)["source"] == "native"
    assert len({call.record["conversation"] for call in calls}) == 1
    assert len({call.record["caller"] for call in calls}) == 2
    assert (calls[1].record["parent"], calls[1].record["evidence"]) == (calls[0].id, "strong")


def test_an_error_is_what_the_server_says(new_stage: Callable[..., Stage], codex: Path) -> None:
    stage = new_stage()
    with pytest.raises(AssertionError, match="ended with 1"):
        stage.run([codex, "exec", "--skip-git-repo-check", "reply with status 400"])
    calls = stage.proxy.wait_calls(2)
    upgrade, failed = (call.record for call in calls)
    assert (upgrade["response"]["status"], failed["response"]["status"]) == (426, 400)
    assert failed["llm"]["error"]["message"] == "The prompt asked for status 400."
    assert asked_as_told(stage, calls)
