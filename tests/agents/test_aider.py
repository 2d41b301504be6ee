"""aider with an OpenAI key: it says neither its name nor a session."""

from __future__ import annotations

from tests.agents.packages import AIDER, AIDER_PYTHON, python
from tests.agents.stage import Stage, Turn, asked_as_told, one_session, turns

QUIET = ("--no-git", "--no-analytics", "--no-check-update", "--no-show-release-notes", "--yes-always")


def test_a_run_is_one_session_of_its_process(stage: Stage) -> None:
    aider = python(AIDER, version=AIDER_PYTHON).with_name("aider")
    said = stage.run([aider, *QUIET, "--model", "gpt-4o-mini", "--message", "Why?"])
    assert "You asked: Why? The short answer is yes; the long one depends on the details." in said
    calls = stage.calls(1)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("aider", "process")
    assert turns(calls) == [Turn("/chat", evidence="new")]
    assert {call.caller["name"] for call in calls if call.caller} == {"aider"}
    assert {call.record["llm"]["request_model"] for call in calls} == {"gpt-4o-mini"}
    assert {(call.record["llm"]["family"], call.record["llm"]["stream"]) for call in calls} == {("openai-chat", True)}
    assert asked_as_told(stage, calls)
