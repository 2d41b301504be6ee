"""Continue's `cn` with an OpenAI key: it says neither its name nor its session."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.packages import CONTINUE, program
from tests.agents.stage import Stage, Turn, asked_as_told, one_session, turns

TASK = 'call Read with {"filepath": "README.md"}'
CONFIG = """
name: local
version: 1.0.0
schema: v1
models:
  - name: m
    provider: openai
    model: gpt-4o-mini
    apiKey: sk-test-0000
    roles: [chat]
"""


@pytest.fixture(scope="module")
def cn() -> Path:
    return program(CONTINUE, "cn")


def test_a_run_is_one_session_of_its_process(stage: Stage, cn: Path) -> None:
    (stage.project / "README.md").write_text("Water is wet.\n")
    config = stage.home / "config.yaml"
    config.write_text(CONFIG)
    assert "Water is wet." in stage.run([cn, "--config", config, "--auto", "-p", TASK])
    calls = stage.calls(2)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("cn", "process")
    assert turns(calls) == [
        Turn("/chat", called=("Read",), evidence="new"),
        Turn("/chat", results=("Read",), after=("Read",), evidence="exact"),
    ]
    assert {call.caller["name"] for call in calls if call.caller} == {"cn"}
    assert {call.record["llm"]["request_model"] for call in calls} == {"gpt-4o-mini"}
    assert {(call.record["llm"]["family"], call.record["llm"]["stream"]) for call in calls} == {("openai-chat", True)}
    assert asked_as_told(stage, calls)
