"""The attributes of spans in the words of each convention: counts, cost, errors, settings, what was said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.push.made_calls import chat, coding_turn, pushed, says, turn_of

from sessiontap.push.attributes import content, request_settings
from sessiontap.push.attributes.genai import genai, genai_content
from sessiontap.push.attributes.mlflow import mlflow, mlflow_content
from sessiontap.push.attributes.openinference import openinference, openinference_messages, openinference_values
from sessiontap.push.spans import Convention, Span, call_span, turn_spans
from sessiontap.push.target import PushedCall
from sessiontap.trace.views import CallCost

USAGE = {"input": 100, "output": 20, "cache_read": 60, "cache_write": 30, "reasoning": 5}
NOTHING = CallCost(None, unknown="no usage")


def of_call(convention: Convention, **call: Any) -> dict[str, Any]:
    return dict(convention(call_span(pushed("a", **call))))


def named(name: str) -> Span:
    return next(span for span in turn_spans(coding_turn()) if span.name == name)


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        pytest.param(
            {},
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.response.model": "gpt-4o-2024-08-06",
                "gen_ai.conversation.id": "conversation-1",
                "gen_ai.usage.cost": 0.25,
                "server.address": "api.openai.com",
                "server.port": 443,
                "http.request.method": "POST",
                "http.response.status_code": 200,
            },
            id="a plain one: nothing unknown, no zero",
        ),
        pytest.param(
            {"llm": {"usage": USAGE}},
            {
                "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.output_tokens": 20,
                "gen_ai.usage.cache_read.input_tokens": 60,
                "gen_ai.usage.cache_write.input_tokens": 30,
                "gen_ai.usage.cache_creation.input_tokens": 30,
                "gen_ai.usage.reasoning.output_tokens": 5,
            },
            id="gross tokens, both names of cache writes",
        ),
        pytest.param(
            {"llm": {"usage": {"input": 90, "output": 9}, "billed": {"input": 80, "audio_input": 7}}},
            {"gen_ai.usage.input_tokens": 80, "gen_ai.usage.output_tokens": 9, "gen_ai.usage.audio.input_tokens": 7},
            id="billed tokens, audio",
        ),
        pytest.param({"llm": {"usage": {"input": 0}}}, {"gen_ai.usage.input_tokens": 0}, id="a stated zero"),
        pytest.param(
            {"llm": {"stream": True, "finish_reason": "length", "response_id": "r"}, "time_to_first_token": 1500000000},
            {
                "gen_ai.request.stream": True,
                "gen_ai.response.time_to_first_chunk": 1.5,
                "gen_ai.response.finish_reasons": ["length"],
                "gen_ai.response.id": "r",
            },
            id="a stream",
        ),
        pytest.param(
            {"outcome": "http_error", "status": 429, "llm": {"error": {"type": "rate_limit", "message": "slow down"}}},
            {"error.type": "rate_limit", "http.response.status_code": 429},
            id="an error",
        ),
        pytest.param(
            {"host": "api.groq.com", "forwarded_host": "groq.helicone.ai", "llm": {"provider": "groq"}},
            {"server.address": "api.groq.com", "server.port": 443, "gen_ai.provider.name": "groq"},
            id="the server behind a gateway",
        ),
        pytest.param({"llm": {"provider": "bedrock"}}, {"gen_ai.provider.name": "aws.bedrock"}, id="a provider's name"),
        pytest.param({"link": {"kind": "compaction"}}, {"gen_ai.conversation.compacted": True}, id="compaction"),
        pytest.param(
            {"asked": {"max_tokens": 9, "temperature": 1, "stop": "x", "n": 1}},
            {
                "gen_ai.request.max_tokens": 9,
                "gen_ai.request.temperature": 1.0,
                "gen_ai.request.stop_sequences": ["x"],
            },
            id="settings",
        ),
    ],
)
def test_a_call_in_opentelemetrys_words(call: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = of_call(genai, **call)
    if not call:
        assert found == wanted
    assert {key: found.get(key) for key in wanted} == wanted
    assert None not in found.values()


@pytest.mark.parametrize(
    ("evidence", "told"),
    [("declared", True), ("exact", True), ("strong", True), ("weak", False), ("new", False), (None, False)],
)
def test_a_conversation_is_never_invented(evidence: str | None, told: bool) -> None:
    call = pushed("a", evidence=evidence)
    for span in (call_span(call), *turn_spans(turn_of(call))):
        if span.name != "main":  # a path says nothing of conversations
            assert ("gen_ai.conversation.id" in genai(span)) is told


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        pytest.param(
            "invoke_agent claude-code",
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "claude-code",
                "gen_ai.conversation.id": "conversation-1",
            },
            id="a turn",
        ),
        pytest.param(
            "invoke_agent explore",
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "explore",
                "gen_ai.conversation.id": "conversation-2",
            },
            id="a sub-agent",
        ),
        pytest.param(
            "execute_tool Grep",
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "Grep",
                "gen_ai.tool.call.id": "g1",
                "gen_ai.conversation.id": "conversation-2",
            },
            id="a tool",
        ),
    ],
)
def test_turns_agents_and_tools_in_opentelemetrys_words(name: str, wanted: dict[str, Any]) -> None:
    assert genai(named(name)) == wanted


def test_a_reply_that_is_fetched_again_counts_no_tokens() -> None:
    other = {"operation": "other", "family": "openai-responses", "request_model": None}
    call = pushed("a", llm={**other, "usage": USAGE})
    again = replace(call, call=replace(call.call, row={**call.call.row, "method": "GET"}))
    found = {**genai(call_span(again)), **openinference(call_span(again))}
    assert call_span(again).name == "fetch_response gpt-4o-2024-08-06"
    assert found["gen_ai.operation.name"] == "fetch_response"
    assert not [key for key in found if "usage.input" in key or "token_count" in key]


def test_mcp_in_opentelemetrys_words() -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"q": "x"}}}
    found = of_call(genai, asked=asked, llm={"operation": "other", "request_model": None})
    wanted = {"gen_ai.operation.name": "execute_tool", "mcp.method.name": "tools/call", "gen_ai.tool.name": "search"}
    assert {key: found[key] for key in wanted} == wanted


MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {
        "url": "data:image/png;base64,AAAA"}}]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "t", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}]},
    {"role": "tool", "tool_call_id": "t", "content": "a cat"},
]  # fmt: skip
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
TALK = {"model": "gpt-4o", "messages": MESSAGES, "tools": [TOOL]}


def test_messages_in_opentelemetrys_words() -> None:
    found = of_call(genai_content, asked=TALK, told=says("A cat."))
    assert {key: json.loads(value) for key, value in found.items()} == {
        "gen_ai.input.messages": [
            {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {"role": "user", "parts": [
                {"type": "text", "content": "What is this?"},
                {"type": "uri", "modality": "image", "mime_type": "image/png", "uri": "sessiontap:a/request"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "t", "name": "look", "arguments": {"at": 1}}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "t", "response": "a cat"}]},
        ],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "A cat."}], "finish_reason": "stop"}],
        "gen_ai.tool.definitions": [{"type": "function", "name": "look", "parameters": {"type": "object"}}],
    }  # fmt: skip


def test_system_prompts_outside_the_messages_are_instructions() -> None:
    asked = {"model": "claude", "system": "Be brief.", "messages": [{"role": "user", "content": "Hi."}]}
    found = of_call(genai_content, asked=asked, llm={"family": "anthropic-messages", "provider": "anthropic"})
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]


def test_messages_in_openinferences_words() -> None:
    found = of_call(openinference_messages, asked=TALK, told=says("A cat.", ("u", "look", "{}")))
    tool = json.loads(found.pop("llm.tools.0.tool.json_schema"))
    assert tool["name"] == "look"
    before, after = "llm.input_messages.{}.message.{}".format, "llm.output_messages.0.message."
    assert found == {
        before(0, "role"): "system",
        before(0, "content"): "Be brief.",
        before(1, "role"): "user",
        before(1, "contents.0.message_content.type"): "text",
        before(1, "contents.0.message_content.text"): "What is this?",
        before(1, "contents.1.message_content.type"): "image",
        before(1, "contents.1.message_content.image.image.url"): "sessiontap:a/request",
        before(2, "role"): "assistant",
        before(2, "tool_calls.0.tool_call.id"): "t",
        before(2, "tool_calls.0.tool_call.function.name"): "look",
        before(2, "tool_calls.0.tool_call.function.arguments"): '{"at": 1}',
        before(3, "role"): "tool",
        before(3, "content"): "a cat",
        before(3, "tool_call_id"): "t",
        before(3, "name"): "look",
        after + "role": "assistant",
        after + "content": "A cat.",
        after + "tool_calls.0.tool_call.id": "u",
        after + "tool_calls.0.tool_call.function.name": "look",
        after + "tool_calls.0.tool_call.function.arguments": "{}",
    }


@pytest.mark.parametrize("convention", [genai_content, openinference_messages, openinference_values, mlflow_content])
def test_without_content_nothing_is_said(convention: Convention) -> None:
    turn = coding_turn(content=False)
    assert [convention(span) for span in (*map(call_span, turn.calls), *turn_spans(turn)) if convention(span)] == []


@pytest.mark.parametrize(
    ("name", "said", "answered"),
    [
        ("invoke_agent claude-code", "Fix the dates.", "Done."),
        ("invoke_agent explore", "Look for all uses of dates in the project.", "3 uses"),
        ("execute_tool Grep", '{"pattern": "date"}', "3 lines"),
    ],
)
def test_the_texts_that_tell_most(name: str, said: str, answered: str) -> None:
    found = openinference_values(named(name))
    assert (found["input.value"], found["output.value"]) == (said, answered)


def test_a_call_is_told_by_what_it_adds() -> None:
    found = openinference_values(call_span(coding_turn().calls[3]))
    assert (found["input.value"], found["output.value"]) == ("3 lines", "3 uses")


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        pytest.param(
            {"llm": {"usage": USAGE, "finish_reason": "stop"}, "asked": {"max_tokens": 9, "temperature": 0.5}},
            {
                "openinference.span.kind": "LLM",
                "llm.model_name": "gpt-4o-2024-08-06",
                "llm.request.model_name": "gpt-4o",
                "llm.provider": "openai",
                "llm.system": "openai",
                "llm.finish_reason": "stop",
                "llm.invocation_parameters": '{"max_tokens":9,"temperature":0.5}',
                "llm.token_count.prompt": 100,
                "llm.token_count.completion": 20,
                "llm.token_count.total": 120,
                "llm.token_count.prompt_details.cache_read": 60,
                "llm.token_count.prompt_details.cache_write": 30,
                "llm.token_count.completion_details.reasoning": 5,
                "llm.cost.total": 0.25,
                "llm.cost.prompt": 0.15,
                "llm.cost.completion": 0.1,
                "llm.cost.prompt_details.cache_read": 0.02,
            },
            id="a chat",
        ),
        pytest.param(
            {"llm": {"operation": "embeddings", "usage": {"input": 7}}},
            {
                "openinference.span.kind": "EMBEDDING",
                "embedding.model_name": "gpt-4o-2024-08-06",
                "llm.token_count.prompt": 7,
                "llm.token_count.total": None,
            },
            id="embeddings: the total is not known",
        ),
        pytest.param(
            {"llm": {"operation": "vector_search"}}, {"openinference.span.kind": "RETRIEVER"}, id="a vector database"
        ),
        pytest.param({"llm": {"operation": "rerank"}}, {"openinference.span.kind": "RERANKER"}, id="a reranker"),
        pytest.param({"llm": {"operation": "moderation"}}, {"openinference.span.kind": "GUARDRAIL"}, id="moderation"),
        pytest.param({"llm": {"operation": "other"}}, {"openinference.span.kind": "CHAIN"}, id="something else"),
        pytest.param({"cost": NOTHING}, {"llm.cost.total": None, "llm.token_count.prompt": None}, id="unknown"),
        pytest.param(
            {"tags": ["a", "b"], "properties": {"mode": "act"}},
            {
                "tag.tags": ["a", "b"],
                "metadata": '{"mode":"act","session_name":"Course","session_path":"/main","session_step":0}',
            },
            id="labels",
        ),
    ],
)
def test_a_call_in_openinferences_words(call: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = of_call(openinference, **call)
    assert {key: found.get(key) for key in wanted} == wanted
    assert None not in found.values()


@pytest.mark.parametrize(
    ("name", "kind", "more"),
    [
        ("invoke_agent claude-code", "AGENT", {"agent.name": "claude-code"}),
        ("invoke_agent explore", "AGENT", {"agent.name": "explore"}),
        ("execute_tool Grep", "TOOL", {"tool.name": "Grep", "tool.id": "g1"}),
    ],
)
def test_turns_agents_and_tools_in_openinferences_words(name: str, kind: str, more: dict[str, str]) -> None:
    found = {key: value for key, value in openinference(named(name)).items() if key != "metadata"}
    assert found == {"openinference.span.kind": kind, **more}


def test_a_programs_turn_and_path_are_chains() -> None:
    kinds = [openinference(span)["openinference.span.kind"] for span in turn_spans(turn_of(pushed("a")))]
    assert kinds == ["CHAIN", "CHAIN"]


def test_a_calls_cost_in_mlflows_words() -> None:
    cost = json.loads(of_call(mlflow)["mlflow.llm.cost"])
    assert cost == {"total_cost": 0.25, "input_cost": 0.15, "output_cost": 0.1}
    assert of_call(mlflow, cost=NOTHING) == {}


def test_a_turns_tags_in_mlflows_words() -> None:
    root = turn_spans(turn_of(pushed("a", properties={"mode": "act"})))[-1]
    assert mlflow(root) == {
        "mlflow.traceTag.sessiontap.session.name": "Course",
        "mlflow.traceTag.sessiontap.session.path": "/main",
        "mlflow.traceTag.mode": "act",
    }


def settings(asked: Any) -> dict[str, Any]:
    return dict(request_settings.request_settings(pushed("a", asked=asked)).known)


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        pytest.param({"max_completion_tokens": 5, "top_p": 1}, {"max_tokens": 5, "top_p": 1.0}, id="OpenAI chat"),
        pytest.param(
            {"max_output_tokens": 5, "reasoning": {"effort": "low"}, "previous_response_id": "r"},
            {"max_tokens": 5, "reasoning_level": "low", "previous_response": "r"},
            id="OpenAI responses",
        ),
        pytest.param({"stop_sequences": ["a"], "top_k": 3}, {"stop_sequences": ["a"], "top_k": 3}, id="Claude"),
        pytest.param(
            {"request": {"generationConfig": {"maxOutputTokens": 5, "candidateCount": 2}}},
            {"max_tokens": 5, "choice_count": 2},
            id="Gemini, wrapped",
        ),
        pytest.param(
            {"generation_config": {"max_output_tokens": 5, "thinking_level": "low"}, "previous_interaction_id": "i"},
            {"max_tokens": 5, "reasoning_level": "low", "previous_response": "i"},
            id="Gemini, interactions",
        ),
        pytest.param({"inferenceConfig": {"maxTokens": 5}}, {"max_tokens": 5}, id="Bedrock"),
        pytest.param({"options": {"num_predict": 5, "seed": 1}}, {"max_tokens": 5, "seed": 1}, id="Ollama"),
        pytest.param({"max_tokens": "5", "temperature": True, "stop": [1], "top_k": 2**70}, {}, id="other types"),
        pytest.param({"generationConfig": [1]}, {}, id="no map"),
        pytest.param([1, 2], {}, id="no object"),
    ],
)
def test_settings_of_requests(asked: Any, known: dict[str, Any]) -> None:
    assert settings(asked) == known


def test_of_a_long_history_mlflow_gets_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST", 30)
    found = of_call(mlflow_content, asked=chat(("user", "the very first thing"), ("user", "the newest thing")))
    assert json.loads(found["mlflow.spanInputs"])["messages"] == [{"role": "user", "content": "the newest thing"}]
    assert found["sessiontap.content.cut"] is True


def test_of_a_long_history_the_newest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST", 30)
    found = of_call(genai_content, asked=chat(("user", "the very first thing"), ("user", "the newest thing")))
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "the newest thing"}]}
    ]
    assert found["sessiontap.content.cut"] is True


def test_a_long_text_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "LONGEST", 12)
    found = of_call(genai_content, asked=chat(("user", "a long, long text")))
    assert json.loads(found["gen_ai.input.messages"])[0]["parts"][0]["content"] == "a lon… [cut]"
    assert found["sessiontap.content.cut"] is True


def test_json_that_readers_refuse_is_none() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert content.as_json(deep) == '"[nested too deeply]"'
    assert content.as_json({"a": float("nan"), "b": [float("inf")]}) == '{"a":"NaN","b":["Infinity"]}'
    assert content.parsed('{"a": NaN}') == {"a": "NaN"}


@pytest.mark.parametrize("convention", [genai_content, mlflow_content, openinference_messages, openinference_values])
def test_odd_arguments_and_definitions_are_told_all_the_same(convention: Convention) -> None:
    odd = ("t", "look", '{"at": NaN, "deep": ' + "[" * 5_000 + "]" * 5_000 + "}")
    tool = {"name": "look", "input_schema": {"type": "object", "maximum": float("inf")}}
    call = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Look."}], "tools": [tool]}
    for value in of_call(convention, asked=call, told=says("Yes.", odd)).values():
        assert isinstance(value, str | bool)


def test_every_attribute_is_a_plain_value() -> None:
    conventions = (genai, genai_content, openinference, openinference_messages, openinference_values, mlflow)
    turn = coding_turn()
    for span in (*map(call_span, turn.calls), *turn_spans(turn)):
        for convention in conventions:
            for key, value in convention(span).items():
                assert isinstance(value, str | int | float | bool) or all(isinstance(one, str) for one in value), key


def test_a_calls_parts_are_not_changed() -> None:
    call: PushedCall = pushed("a", asked=TALK)
    assert call.parts is not None
    before = list(call.parts.request)
    genai_content(call_span(call))
    assert call.parts.request == before
