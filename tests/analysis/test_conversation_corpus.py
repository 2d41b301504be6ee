"""Conversations of recorded exchanges: each thing that was said is read once, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli import recorded as made
from tests.llm.llm_corpus import Recorded, needs_corpus, recorded
from tests.support.call_spec import CallSpec, RequestSpec, ResponseSpec

from sessiontap import trace
from sessiontap.analysis.conversation import AgentConversation, ReadCall, conversations
from sessiontap.cli.conversation_text import lines
from sessiontap.llm.recorded_parts import recorded_parts
from sessiontap.recording.decode import DecodedBody
from sessiontap.rules.decision import Decision, FilledSettings
from sessiontap.sessions.session import Link, Session
from sessiontap.trace.index.turns import Turn


def linked() -> dict[str, list[Recorded]]:
    """The cassettes of which exchanges continue each other, by name."""
    cassettes: dict[str, list[Recorded]] = {}
    for one in recorded():
        cassettes.setdefault(one.id.partition("#")[0], []).append(one)
    return {
        name: some for name, some in cassettes.items() if any(one.expect.get("parent") is not None for one in some)
    }


def as_session(exchanges: list[Recorded]) -> Iterator[CallSpec]:
    """Calls of one session, linked as the recording says."""
    ids = {int(one.id.partition("#")[2]): made.call_id(number) for number, one in enumerate(exchanges)}
    for number, one in enumerate(exchanges):
        call, response, parent = one.call(), one.response(), one.expect.get("parent")
        conversation = one.expect.get("conversation")
        yield CallSpec(
            id=made.call_id(number),
            time=made.START + number * made.SECOND,
            duration=made.SECOND // 2,
            request=RequestSpec(
                one.request.method,
                one.request.url,
                "HTTP/1.1",
                one.request.headers,
                DecodedBody(one.request.body or b""),
            ),
            response=ResponseSpec(one.response_status, "HTTP/1.1", response.headers, DecodedBody(response.body)),
            outcome="ok" if one.response_status < 400 else "http_error",
            host=one.request.host,
            forwarded_host=one.request.host,
            call=call,
            reply=one.reply(),
            decision=Decision(wants_session=True, name="Recorded"),
            filled=FilledSettings(path="/main"),
            session=Session("recorded", "Recorded", number, "process"),
            link=Link(
                str(conversation if conversation is not None else f"alone-{number}"),
                ids.get(parent) if parent is not None else None,
                "exact" if parent is not None else "new",
            ),
        )


def read(folder: Path, exchanges: list[Recorded]) -> tuple[list[Turn], list[AgentConversation]]:
    made.write(folder, as_session(exchanges))
    turns = trace.open(folder, parts_of=recorded_parts).query_turns("recorded")
    return turns, conversations(turns)


def new_in(call: ReadCall) -> Counter[tuple[str, str | None, str | None]]:
    """What others than the assistant said in it."""
    return Counter((part.kind, part.name, part.text) for part in call.new_parts if part.role not in (None, "assistant"))


@needs_corpus
def test_each_thing_is_read_once_and_nothing_is_lost(tmp_path: Path) -> None:
    continued = 0
    for number, exchanges in enumerate(linked().values()):
        turns, found = read(tmp_path / str(number), exchanges)
        by_id = {turn.call["id"]: turn for turn in turns}
        read_calls = {call.id: call for one in found for call in one.calls}
        assert len(read_calls) == len(turns)
        for turn in turns:
            if turn.based_on is None:
                continue
            continued += 1
            before, now = by_id[turn.based_on], turn
            added = Counter(
                (part.kind, part.name, part.text) for part in now.request if part.role not in (None, "assistant")
            )
            added.subtract((p.kind, p.name, p.text) for p in before.request if p.role not in (None, "assistant"))
            assert new_in(read_calls[now.call["id"]]) == +added, (exchanges[0].id, now.call["id"])
            replied = {"".join((part.text or "").split()) for part in before.reply if part.kind == "text"}
            again = {"".join((part.text or "").split()) for part in read_calls[now.call["id"]].new_parts}
            assert not (replied - {""}) & again, exchanges[0].id
    assert continued == 97


AGENT_FRAMEWORK = (
    "openinference/python/instrumentation/openinference-instrumentation-agent-framework/tests/cassettes/test_processor/"
)
AUTOGEN = (
    "openinference/python/instrumentation/openinference-instrumentation-autogen-agentchat/tests/cassettes/"
    "test_instrumenting_assistant_agent/"
)


@needs_corpus
@pytest.mark.parametrize(
    ("cassette", "expected"),
    [
        (
            f"{AGENT_FRAMEWORK}test_agent_with_tool_calls",
            [
                "tools      get_weather (278 B)",
                "system     You are a weather assistant. Use the get_weather tool when asked about weather.",
                "user       What's the weather in San Francisco?",
                "#0, gpt-4o-mini-2024-07-18, 500ms",
                '→ get_weather(location: "San Francisco")',
                "",
                "← get_weather: The weather in San Francisco is sunny and 72°F",
                "#1, gpt-4o-mini-2024-07-18, 500ms",
                "assistant  The weather in San Francisco is sunny with a temperature of 72°F.",
            ],
        ),
        (
            f"{AGENT_FRAMEWORK}test_multiple_tools",
            [
                "tools      get_temperature, get_humidity, calculate_heat_index (955 B)",
                "system     You are a weather expert. Use available tools to provide detailed weather information.",
                "user       What's the weather like in San Francisco? Give me temperature and humidity.",
                "#0, gpt-4o-mini-2024-07-18, 500ms",
                '→ get_temperature(location: "San Francisco")',
                '→ get_humidity(location: "San Francisco")',
                "",
                "← get_temperature: 72°F",
                "← get_humidity: 65%",
                "#1, gpt-4o-mini-2024-07-18, 500ms",
                "assistant  The weather in San Francisco is as follows:",
                "           - **Temperature:** 72°F",
                "           - **Humidity:** 65%",
            ],
        ),
        (
            f"{AUTOGEN}TestAssistantAgent.test_agent_run",
            [
                "tools      get_weather (243 B)",
                "system     You are a helpful assistant that can check the weather.",
                "user       What is the weather in New York?",
                "#0, gpt-3.5-turbo-0125, 500ms",
                '→ get_weather(city: "New York")',
                "",
                "← get_weather: The weather in New York is 73 degrees and Sunny.",
                "#1, gpt-3.5-turbo-0125, 500ms",
                "assistant  The weather in New York is currently 73 degrees and sunny.",
            ],
        ),
    ],
    ids=["Responses API", "two tools at once", "Chat Completions"],
)
def test_a_recorded_conversation_by_hand(tmp_path: Path, cassette: str, expected: list[str]) -> None:
    _, found = read(tmp_path / "trace", linked()[cassette])

    assert [text for text, _ in lines(found)] == expected
