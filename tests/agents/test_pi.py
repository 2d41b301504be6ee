"""pi with an OpenAI key: it does not say its name, and is known by the id that it sends under two names."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.packages import PI, program
from tests.agents.stage import Stage, Turn, asked_as_told, one_session, turns

TASK = 'call read with {"path": "README.md"}'


@pytest.fixture(scope="module")
def pi() -> Path:
    return program(PI, "pi")


def test_a_run_is_one_session(stage: Stage, pi: Path) -> None:
    (stage.project / "README.md").write_text("Water is wet.\n")
    assert "The tool says: Water is wet." in stage.run([pi, "--model", "openai/gpt-4o-mini", "-p", TASK])
    calls = stage.calls(2)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("pi", "native")
    assert turns(calls) == [
        Turn("/main", called=("read",)),
        Turn("/main", results=("read",), after=("read",), evidence="exact"),
    ]
    assert {call.record["agent"] for call in calls} == {"pi"}
    assert {call.caller["name"] for call in calls if call.caller} == {"pi"}
    assert {call.record["llm"]["request_model"] for call in calls} == {"gpt-4o-mini"}
    assert {(call.record["llm"]["family"], call.record["llm"]["stream"]) for call in calls} == {
        ("openai-responses", True)
    }
    assert asked_as_told(stage, calls)
