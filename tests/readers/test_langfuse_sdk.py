"""What is pushed to Langfuse against what its own SDK sends for the same session, attribute by attribute."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.agents import packages
from tests.push.made_calls import SESSION, chat, pushed, results, says, turn_of
from tests.push.otlp_collector import Collector, attributes_of, served

from sessiontap.push.target import TargetSettings, UserTurn
from sessiontap.push.targets.langfuse import PATH, open_sender
from sessiontap.trace.views import CallCost

SDK = "langfuse==5.0.4"
PROGRAM = Path(__file__).parent / "programs" / "langfuse_sdk.py"
KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-2"}

QUESTION = chat(("system", "Be brief"), ("user", "Fix the dates."), tools=["Read"]) | {"temperature": 0.5}
READ = says(None, ("r1", "Read", '{"path": "a.py"}'))
ANSWER = says("Done.")
AFTER = {**QUESTION, "messages": [*QUESTION["messages"], READ["choices"][0]["message"]]}
AFTER["messages"] += results(("r1", "import datetime"))
FACTS: dict[str, Any] = {
    "turn": "a",
    "agent": "claude-code",
    "user": "ada",
    "tags": ["nightly", "eu"],
    "properties": {"variant": "B", "environment": "staging", "release": "1.4.2"},
}


def our_turn() -> UserTurn:
    """A question, a tool, an answer cut off, an embedding, and a call that failed."""
    go_on = {"link": {"kind": "continue"}}
    usage = {"input": 100, "output": 20, "cache_read": 60, "cache_write": 10, "reasoning": 5}
    return turn_of(
        pushed(
            "a", 0, asked=QUESTION, told=READ, **FACTS, time_to_first_token=250_000_000,
            llm={"stream": True, "usage": usage, "tool_calls": ["Read"], "tool_call_ids": ["r1"]},
        ),
        pushed(
            "b", 5, asked=AFTER, told=ANSWER, parent="a", first_new=3, **FACTS, **go_on,
            cost=CallCost(None, unknown="no price"),
            llm={"finish_reason": "length", "usage": {"input": 130, "output": 4}, "tool_results": ["Read"]},
        ),
        pushed(
            "c", 8, asked={"model": "e-3", "input": ["one", "two"]}, told={"data": []}, parent="b", **FACTS,
            conversation=None, evidence=None, cost=CallCost(0.001),
            llm={"operation": "embeddings", "family": "openai-embeddings", "request_model": "e-3",
                 "response_model": "e-3", "usage": {"input": 2}},
        ),
        pushed(
            "d", 9, asked=chat(("user", "Hi")), told={"error": {"message": "Slow down"}}, status=429, **FACTS,
            conversation=None, evidence=None, outcome="http_error", cost=CallCost(0.0),
            llm={"error": {"type": "rate_limit", "message": "Slow down"}, "request_model": "gpt-4o-mini",
                 "response_model": None},
        ),
    )  # fmt: skip


COSTS = {"input": 0.1, "input_cached_tokens": 0.02, "input_cache_creation": 0.03, "output": 0.1, "total": 0.25}
TOOLS = [{"type": "function", "function": {"name": "Read", "parameters": {}}}]
CALLED = {"id": "r1", "type": "function", "function": {"name": "Read", "arguments": '{"path": "a.py"}'}}
ASKED = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Fix the dates."}]
READING = {"role": "assistant", "content": "", "tool_calls": [CALLED]}
THE_SAME = {
    "release": "1.4.2",
    "trace": {
        "user_id": "ada",
        "session_id": SESSION,
        "tags": ["nightly", "eu"],
        "trace_name": "Course",
        "environment": "staging",
        "metadata": {"variant": "B"},
    },
    "root": {
        "type": "agent",
        "name": "invoke_agent claude-code",
        "input": "Fix the dates.",
        "output": "Done.",
        "level": "ERROR",
        "status_message": "Slow down",
        "children": [
            {
                "type": "generation",
                "name": "chat gpt-4o",
                "input": {"messages": ASKED, "tools": TOOLS},
                "output": READING,
                "model": "gpt-4o-2024-08-06",
                "model_parameters": {"temperature": 0.5},
                "usage_details": {
                    "input": 30,
                    "input_cached_tokens": 60,
                    "input_cache_creation": 10,
                    "output": 15,
                    "output_reasoning_tokens": 5,
                },
                "cost_details": COSTS,
                "completion_start_time": "2026-11-21T05:06:03.250000+00:00",
            },
            {"type": "tool", "name": "execute_tool Read", "input": {"path": "a.py"}, "output": "import datetime"},
            {
                "type": "generation",
                "name": "chat gpt-4o",
                "input": {
                    "messages": [
                        *ASKED,
                        READING,
                        {"role": "tool", "tool_call_id": "r1", "name": "Read", "content": "import datetime"},
                    ],
                    "tools": TOOLS,
                },
                "output": {"role": "assistant", "content": "Done."},
                "model": "gpt-4o-2024-08-06",
                "model_parameters": {"temperature": 0.5},
                "usage_details": {"input": 130, "output": 4},
                "level": "WARNING",
                "status_message": "cut off: length",
            },
            {
                "type": "embedding",
                "name": "embeddings e-3",
                "input": ["one", "two"],
                "model": "e-3",
                "usage_details": {"input": 2},
                "cost_details": {"total": 0.001},
            },
            {
                "type": "generation",
                "name": "chat gpt-4o-mini",
                "input": [{"role": "user", "content": "Hi"}],
                "model": "gpt-4o-mini",
                "cost_details": {"total": 0.0},
                "level": "ERROR",
                "status_message": "Slow down",
            },
        ],
    },
}
"""The same session in the words of Langfuse's SDK."""

OURS_ALONE = {
    "langfuse.observation.metadata.": "facts that the SDK's user adds by hand: step, provider, host, finish reason",
    "langfuse.trace.metadata.": "properties that are environment and release as well, and the path",
    "gen_ai.": "OpenTelemetry's own words for the same, for other readers of the spans",
    "sessiontap.": "what leads back to the log: the call's id, its place, its evidence",
    "server.": "the server that answered",
    "http.": "method and status",
    "error.": "the type of an error",
}
"""Beginnings of attributes that only we send, and why. The SDK's user has to add such facts by hand."""
THEIRS_ALONE = {
    "langfuse.internal.is_app_root": "marks the first span of an app in another's trace; ours have no span above them",
}


def observations(collector: Collector) -> dict[str, dict[str, Any]]:
    """Attributes by the span's name, a number behind it if it is not the first of its name; with `parent`, a name.

    JSON text is read: the SDK quotes texts of metadata and times, Langfuse takes both.
    """
    spans = sorted(collector.spans.values(), key=lambda span: span.start_time_unix_nano)
    names = {span.span_id: span.name for span in spans}
    of_all = attributes_of(collector.requests[0].resource_spans[0].resource)
    found: dict[str, dict[str, Any]] = {}
    for span in spans:
        again = sum(name.split("#")[0] == span.name for name in found)
        own = {key: of_all[key] for key in ("langfuse.environment", "langfuse.release") if key in of_all}
        own |= {key: parsed(value) for key, value in attributes_of(span).items()}
        found[f"{span.name}#{again}" if again else span.name] = own | {"parent": names.get(span.parent_span_id)}
    return found


def parsed(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def sent_by_the_sdk(folder: Path) -> Collector:
    collector = Collector()
    (folder / "session.json").write_text(json.dumps(THE_SAME))
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LANGFUSE_"))}
    with served(collector) as url:
        done = subprocess.run(
            [packages.python(SDK), PROGRAM, folder / "session.json"],
            env=environ | KEYS | {"LANGFUSE_BASE_URL": url, "NO_PROXY": "*"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return collector


def sent_by_us() -> Collector:
    collector, turn = Collector(), our_turn()
    sender = open_sender(TargetSettings("http://langfuse.lan", KEYS, True, collector))
    items = [item for call in turn.calls for item in sender.call_items(call)] + list(sender.turn_items(turn))
    assert sender.send(items).kind == "accepted"
    return collector


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collector, Collector]:
    """What the SDK sent, and what we send."""
    return sent_by_the_sdk(tmp_path_factory.mktemp("sdk")), sent_by_us()


def test_the_same_session_has_the_same_attributes(both: tuple[Collector, Collector]) -> None:
    theirs, ours = map(observations, both)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        same = {key: value for key, value in expected.items() if key not in THEIRS_ALONE}
        assert {key: ours[name].get(key) for key in same} == same, name
        more = [key for key in ours[name] if key not in same and not key.startswith(tuple(OURS_ALONE))]
        assert more == [], name


def test_the_list_of_differences_is_true(both: tuple[Collector, Collector]) -> None:
    theirs, ours = ({key for own in observations(one).values() for key in own} for one in both)
    assert set(THEIRS_ALONE) <= theirs - ours
    assert [begins for begins in OURS_ALONE if not any(key.startswith(begins) for key in ours - theirs)] == []


def test_the_same_address_and_headers(both: tuple[Collector, Collector]) -> None:
    theirs, ours = both
    assert theirs.urls[0] == PATH
    assert ours.urls == [f"http://langfuse.lan{PATH}"]
    for name in ("Authorization", "Content-Type"):
        assert ours.headers[0].get(name) == theirs.headers[0].get(name) is not None
