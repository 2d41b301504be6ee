"""The local LLM server, as the real client packages see it, and as its wire shapes say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from tests.support.gate import PATIENCE
from tests.support.http_server import Server
from tests.support.llm_server import LlmService

SEARCH: Any = {
    "type": "function",
    "function": {"name": "web_search", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}},
}
KEY = {"authorization": "Bearer any"}
OUTLINE = [
    {"role": "system", "content": "Write the outline."},
    {"role": "user", "content": "A course about beekeeping."},
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server(LlmService()) as server:
        yield f"http://127.0.0.1:{server.port}"
    assert server.faults == []


@pytest.fixture(scope="module")
def oai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def claude(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="any", max_retries=0)


def test_chat_answers_and_counts(oai: openai.OpenAI) -> None:
    reply = oai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "12345678"}])
    assert reply.choices[0].message.content.startswith("You asked: 12345678")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.prompt_tokens == 2 + 3  # eight bytes are two tokens; a message is three more
    assert reply.usage.completion_tokens == -(-len(reply.choices[0].message.content) // 4)
    assert reply.id.startswith("chatcmpl-")


@pytest.mark.parametrize("asks_usage", [True, False])
def test_a_chat_stream_says_the_same_word_by_word(oai: openai.OpenAI, asks_usage: bool) -> None:
    question: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    whole = oai.chat.completions.create(**question)
    options = {"stream_options": {"include_usage": True}} if asks_usage else {}
    chunks = list(oai.chat.completions.create(**question, stream=True, **options))
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(words) == whole.choices[0].message.content
    assert len(words) > 5
    assert [chunk.usage for chunk in chunks if chunk.usage] == ([whole.usage] if asks_usage else [])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_agent_is_asked_to_search_and_then_gets_its_outline(oai: openai.OpenAI, stream: bool) -> None:
    def ask(messages: list[Any]) -> Any:
        if not stream:
            return oai.chat.completions.create(model="gpt-4o", messages=messages, tools=[SEARCH]).choices[0]
        with oai.chat.completions.stream(model="gpt-4o", messages=messages, tools=[SEARCH]) as events:
            return events.get_final_completion().choices[0]

    first = ask(OUTLINE)
    assert first.finish_reason == "tool_calls"
    call = first.message.tool_calls[0]
    assert call.function.name == "web_search"
    assert json.loads(call.function.arguments) == {"query": "beekeeping: what a beginner needs to know"}

    said = first.message.model_dump(include={"role", "content", "tool_calls"})
    second = ask([*OUTLINE, said, {"role": "tool", "tool_call_id": call.id, "content": "Bees are insects."}])
    assert second.finish_reason == "stop"
    assert [line[:2] for line in second.message.content.splitlines()[1:]] == ["1.", "2.", "3."]


def test_responses_whole_and_streamed_are_one(oai: openai.OpenAI) -> None:
    question: Any = {"model": "gpt-4.1", "instructions": "Write one lesson.", "input": "about knots"}
    whole = oai.responses.create(**question)
    events = list(oai.responses.create(**question, stream=True))
    assert whole.output_text.startswith("Lesson: knots.")
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == whole.output_text
    assert events[-1].type == "response.completed"
    assert events[-1].response.usage == whole.usage
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_responses_call_tools(oai: openai.OpenAI, stream: bool) -> None:
    question: Any = {
        "model": "gpt-4.1",
        "input": 'call lookup with {"id": 7}',
        "tools": [{"type": "function", "name": "lookup", "parameters": {"type": "object"}, "strict": False}],
    }
    if stream:
        events = list(oai.responses.create(**question, stream=True))
        call = events[-1].response.output[0]
        assert "".join(e.delta for e in events if e.type.endswith("arguments.delta")) == call.arguments
    else:
        call = oai.responses.create(**question).output[0]
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "lookup", {"id": 7})


CODEX_TOOLS = [
    {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]},
    {"type": "namespace", "name": "team", "tools": [{"type": "function", "name": "spawn", "parameters": {}}]},
]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ('call exec with {"input": "text(1)"}', ("custom_tool_call", "exec", "functions", "text(1)")),
        ('call spawn with {"task": "x"}', ("function_call", "spawn", "team", '{"task": "x"}')),
    ],
    ids=["custom", "function"],
)
def test_tools_may_be_offered_within_the_input_in_namespaces(
    url: str, prompt: str, expected: tuple[str, ...]
) -> None:
    offer = {"type": "additional_tools", "role": "developer", "tools": CODEX_TOOLS}
    asked = {"model": "gpt-5", "input": [offer, {"role": "user", "content": prompt}]}
    reply = httpx2.post(f"{url}/v1/responses", headers=KEY, json=asked, trust_env=False, timeout=PATIENCE).json()
    (call,) = (item for item in reply["output"] if item["type"] != "reasoning")
    assert (call["type"], call["name"], call["namespace"], call.get("input", call.get("arguments"))) == expected


def test_several_calls_take_their_turns(oai: openai.OpenAI) -> None:
    """And what stands in a call's arguments is not for this model."""
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("ask", "look")]
    wish = 'First call ask with {"prompt": "call look with {\\"at\\": 1}"} and then call look with {"at": 2}.'
    messages: list[Any] = [{"role": "user", "content": wish}]
    made = []
    for _ in range(3):
        reply = oai.chat.completions.create(model="gpt-4o", messages=messages, tools=tools).choices[0].message
        messages.append(reply.model_dump(include={"role", "content", "tool_calls"}))
        for call in reply.tool_calls or ():
            made.append((call.function.name, json.loads(call.function.arguments)))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "done"})
    assert made == [("ask", {"prompt": 'call look with {"at": 1}'}), ("look", {"at": 2})]
    assert messages[-1]["content"] == "The tool says: done"


def test_calls_with_beside_between_them_come_at_once(oai: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("ask", "look")]
    messages: list[Any] = [{"role": "user", "content": 'call look with {"at": 1} beside call look with {"at": 2}'}]
    reply = oai.chat.completions.create(model="gpt-4o", messages=messages, tools=tools).choices[0].message
    assert [call.function.arguments for call in reply.tool_calls or ()] == ['{"at": 1}', '{"at": 2}']
    messages.append(reply.model_dump(include={"role", "content", "tool_calls"}))
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in reply.tool_calls or ()]
    assert not oai.chat.completions.create(model="gpt-4o", messages=messages, tools=tools).choices[0].message.tool_calls


GEMINI = {"x-goog-api-key": "any"}
FLASH = "/v1beta/models/gemini-2.5-flash"


def test_gemini_whole_and_streamed_are_one(url: str) -> None:
    asked = {
        "systemInstruction": {"parts": [{"text": "Write one lesson."}]},
        "contents": [{"role": "user", "parts": [{"text": "about knots"}]}],
    }
    given: Any = {"headers": GEMINI, "json": asked, "trust_env": False, "timeout": PATIENCE}
    whole = httpx2.post(f"{url}{FLASH}:generateContent", **given).json()
    said = whole["candidates"][0]["content"]["parts"][0]["text"]
    assert said.startswith("Lesson: knots.")
    stream = httpx2.post(f"{url}{FLASH}:streamGenerateContent?alt=sse", **given)
    pieces = [json.loads(line[6:]) for line in stream.text.splitlines() if line]
    assert "".join(piece["candidates"][0]["content"]["parts"][0]["text"] for piece in pieces) == said
    assert [piece["candidates"][0].get("finishReason") for piece in pieces] == [None] * (len(pieces) - 1) + ["STOP"]
    assert pieces[-1]["usageMetadata"] == whole["usageMetadata"]
    counted = httpx2.post(f"{url}{FLASH}:countTokens", **given).json()
    assert counted["totalTokens"] == whole["usageMetadata"]["promptTokenCount"]


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
def test_gemini_calls_tools_and_takes_their_results(url: str, method: str) -> None:
    def ask(contents: list[Any]) -> Any:
        asked = {"contents": contents, "tools": [{"functionDeclarations": [{"name": "lookup"}]}]}
        reply = httpx2.post(f"{url}{FLASH}:{method}", headers=GEMINI, json=asked, trust_env=False, timeout=PATIENCE)
        text = reply.text if method == "generateContent" else reply.text.splitlines()[-2][6:]
        return json.loads(text)["candidates"][0]["content"]

    wish = {"role": "user", "parts": [{"text": 'call lookup with {"id": 7}'}]}
    first = ask([wish])
    assert first["parts"] == [{"functionCall": {"name": "lookup", "args": {"id": 7}}}]
    answer = {"functionResponse": {"name": "lookup", "response": {"output": "seven"}}}
    second = ask([wish, first, {"role": "user", "parts": [answer]}])
    assert "functionCall" not in second["parts"][0]


def test_a_web_socket_is_refused_so_that_clients_fall_back(url: str) -> None:
    upgrade = KEY | {"upgrade": "websocket", "connection": "Upgrade"}
    assert httpx2.get(f"{url}/v1/responses", headers=upgrade, trust_env=False, timeout=PATIENCE).status_code == 426


def test_a_reasoning_model_spends_tokens_on_it(oai: openai.OpenAI) -> None:
    reply = oai.responses.create(model="gpt-5", input="hello")
    assert reply.usage.output_tokens_details.reasoning_tokens == 64
    assert reply.usage.output_tokens > 64


def test_embeddings_are_unit_vectors_and_the_same_in_both_encodings(oai: openai.OpenAI) -> None:
    texts = ["one", "two"]
    packed = oai.embeddings.create(model="text-embedding-3-small", input=texts)
    plain = oai.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
    assert [len(item.embedding) for item in packed.data] == [1536, 1536]
    for left, right in zip(packed.data, plain.data, strict=True):
        assert left.embedding == pytest.approx(right.embedding)
        assert sum(value * value for value in left.embedding) == pytest.approx(1.0, abs=1e-4)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert packed.usage.prompt_tokens == 2


def test_models_are_listed_for_both(oai: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    assert "gpt-4o" in [model.id for model in oai.models.list()]
    assert oai.models.retrieve("gpt-4o").id == "gpt-4o"
    assert "claude-sonnet-4-6" in [model.id for model in claude.models.list()]


def test_messages_whole_and_streamed_are_one(claude: anthropic.Anthropic) -> None:
    question: Any = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 500,
        "system": "Write one lesson.",
        "messages": [{"role": "user", "content": "about knots"}],
    }
    whole = claude.messages.create(**question)
    with claude.messages.stream(**question) as stream:
        words = list(stream.text_stream)
        last = stream.get_final_message()
    assert whole.content[0].text.startswith("Lesson: knots.")
    assert "".join(words) == whole.content[0].text
    assert len(words) > 5
    assert (last.stop_reason, last.usage.output_tokens) == ("end_turn", whole.usage.output_tokens)
    counted = claude.messages.count_tokens(**{key: question[key] for key in ("model", "system", "messages")})
    assert counted.input_tokens == whole.usage.input_tokens


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_messages_call_tools_and_take_their_results(claude: anthropic.Anthropic, stream: bool) -> None:
    def ask(messages: list[Any]) -> Any:
        question: Any = {
            "model": "claude-sonnet-4-6",
            "max_tokens": 500,
            "system": "Write the outline.",
            "messages": messages,
            "tools": [{"name": "web_search", "input_schema": {"type": "object"}}],
        }
        if not stream:
            return claude.messages.create(**question)
        with claude.messages.stream(**question) as events:
            return events.get_final_message()

    first = ask([OUTLINE[1]])
    (use,) = first.content
    assert (first.stop_reason, use.type, use.name) == ("tool_use", "tool_use", "web_search")
    assert use.input == {"query": "beekeeping: what a beginner needs to know"}
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "Bees are insects."}
    second = ask(
        [OUTLINE[1], {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    )
    assert second.stop_reason == "end_turn"
    assert second.content[0].text.startswith("Outline: beekeeping (from 1 search result)")


def test_a_marked_prompt_counts_as_read_from_the_cache(claude: anthropic.Anthropic) -> None:
    reply = claude.messages.create(
        model="claude-sonnet-4-6",
        max_tokens=100,
        system=[{"type": "text", "text": "x" * 400, "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": "hello"}],
    )
    assert reply.usage.cache_read_input_tokens == 100


@pytest.mark.parametrize(("limit", "finish"), [(2, "length"), (200, "stop")])
def test_a_limit_cuts_the_reply(oai: openai.OpenAI, limit: int, finish: str) -> None:
    messages: Any = [{"role": "user", "content": "Why?"}]
    reply = oai.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=limit)
    assert reply.choices[0].finish_reason == finish
    assert reply.usage.completion_tokens <= limit


OPENAI_ERRORS = [
    pytest.param("gpt-4o", "reply with status 429", openai.RateLimitError, id="429 on request"),
    pytest.param("gpt-4o", "reply with status 503", openai.InternalServerError, id="503 on request"),
    pytest.param("nobody-knows", "hello", openai.NotFoundError, id="unknown model"),
]


@pytest.mark.parametrize(("model", "text", "expected"), OPENAI_ERRORS)
def test_openai_errors(oai: openai.OpenAI, model: str, text: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        oai.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])


ANTHROPIC_ERRORS = [
    pytest.param("claude-haiku-4-5", "reply with status 429", anthropic.RateLimitError, id="429 on request"),
    pytest.param("nobody-knows", "hello", anthropic.NotFoundError, id="unknown model"),
]


@pytest.mark.parametrize(("model", "text", "expected"), ANTHROPIC_ERRORS)
def test_anthropic_errors(claude: anthropic.Anthropic, model: str, text: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        claude.messages.create(model=model, max_tokens=10, messages=[{"role": "user", "content": text}])


CLAUDE = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
RAW = [
    pytest.param("/v1/chat/completions", {}, b"{}", 401, "invalid_request_error", id="openai, no key"),
    pytest.param("/v1/chat/completions", KEY, b"{", 400, "invalid_request_error", id="openai, no JSON"),
    pytest.param("/v1/chat/completions", KEY, b"[]", 400, "invalid_request_error", id="openai, no object"),
    pytest.param("/v1/nothing", KEY, b"{}", 404, "invalid_request_error", id="openai, no such route"),
    pytest.param("/v1/messages", {}, b"{}", 401, "authentication_error", id="anthropic, no key"),
    pytest.param("/v1/messages", CLAUDE, b"{", 400, "invalid_request_error", id="anthropic, no JSON"),
    pytest.param("/v1/messages", {"x-api-key": "any"}, b"{}", 400, "invalid_request_error", id="no version"),
    pytest.param("/api/settings", CLAUDE, b"{}", 404, "not_found_error", id="anthropic, no such route"),
]


@pytest.mark.parametrize(("path", "headers", "body", "status", "kind"), RAW)
def test_errors_have_the_providers_shape(
    url: str, path: str, headers: dict[str, str], body: bytes, status: int, kind: str
) -> None:
    reply = httpx2.post(url + path, headers=headers, content=body, trust_env=False, timeout=PATIENCE)
    assert (reply.status_code, reply.json()["error"]["type"]) == (status, kind)
