"""Programs on agent frameworks: the sessions are those of the framework where it names one, else of the process."""

from __future__ import annotations

from pathlib import Path

from tests.agents.packages import LANGCHAIN, OPENAI_AGENTS, VERCEL_AI, npm, python
from tests.agents.stage import Stage, Turn, asked_as_told, one_session, turns

PROGRAMS = Path(__file__).parent / "programs"


def test_openai_agents_sdk(stage: Stage) -> None:
    """Each run is a session; an agent that is another's tool belongs to that one's, though it has a run of its own."""
    assert "wet" in stage.run([python(OPENAI_AGENTS), PROGRAMS / "openai_agents.py"])
    calls = stage.calls(4)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("openai-agents", "native")
    assert turns(calls) == [
        Turn("/main", called=("lookup",)),
        Turn("/main", called=("ask_helper",), results=("lookup",), after=("lookup",), evidence="exact"),
        Turn("/main/ask_helper", after=("ask_helper",), evidence="strong"),
        Turn("/main", results=("ask_helper",), after=("ask_helper",), evidence="exact"),
    ]
    assert {call.record["subagent"] for call in calls} == {None, "ask_helper"}
    assert asked_as_told(stage, calls)


TOOL_TURNS = [
    Turn("/chat", called=("lookup",), evidence="new"),
    Turn("/chat", results=("lookup",), after=("lookup",), evidence="exact"),
]


def test_langchain(stage: Stage) -> None:
    assert stage.run([python(LANGCHAIN), PROGRAMS / "langchain_agent.py"]) == "The tool says: bees is 7\n"
    calls = stage.calls(2)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("langchain_agent.py", "process")
    assert turns(calls) == TOOL_TURNS
    assert {call.record["llm"]["stream"] for call in calls} == {True}
    assert asked_as_told(stage, calls)


def test_vercel_ai_sdk(stage: Stage) -> None:
    """Node 20 reads no proxy variables by itself: undici's agent does."""
    (stage.project / "node_modules").symlink_to(npm(*VERCEL_AI))
    script = stage.project / "vercel_agent.mjs"
    script.write_text((PROGRAMS / script.name).read_text(encoding="utf-8"), encoding="utf-8")
    assert stage.run(["node", script]) == "The tool says: bees is 7\n"
    calls = stage.calls(2)
    session = one_session(calls)
    assert (session["name"], session["source"]) == ("vercel_agent.mjs", "process")
    assert turns(calls) == TOOL_TURNS
    assert {(call.record["llm"]["family"], call.record["llm"]["stream"]) for call in calls} == {
        ("openai-responses", True)
    }
    assert asked_as_told(stage, calls)
