"""LLM calls to hosts that nothing names are recognised, and nothing else is."""

from __future__ import annotations

import pytest

from sessiontap.llm.unnamed_hosts import is_call, may_be_call

HOST = "10.99.0.2"
TALK = '"messages": [{"role": "user", "content": "Why?"}]'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/chat/completions", f'{{"model": "llama", {TALK}}}', id="chat completions"),
        pytest.param("/v1/chat/completions", f"{{{TALK}}}", id="without a model, as llama.cpp takes it"),
        pytest.param("/proxy/openai/v1/chat/completions?v=1", f"{{{TALK}}}", id="behind a prefix"),
        pytest.param("/v1/responses", '{"model": "m", "input": "Why?"}', id="responses"),
        pytest.param("/v1/responses", '{"model": "m", "input": [{"role": "user"}]}', id="responses, a list"),
        pytest.param("/v1/completions", '{"model": "m", "prompt": "Once"}', id="completions"),
        pytest.param("/v1/embeddings", '{"model": "m", "input": ["a", "b"]}', id="embeddings"),
        pytest.param("/v1/messages", f'{{"model": "m", "max_tokens": 5, {TALK}}}', id="Anthropic's"),
        pytest.param(
            "/v1beta/models/gemini-2.5-pro:generateContent",
            '{"contents": [{"parts": [{"text": "Why?"}]}]}',
            id="Gemini's",
        ),
        pytest.param("/api/chat", f'{{"model": "m", {TALK}}}', id="Ollama's chat"),
        pytest.param("/api/generate", '{"model": "m", "prompt": "Why?"}', id="Ollama's generate"),
        pytest.param("/rerank", '{"query": "q", "texts": ["a"]}', id="text-embeddings-inference's rerank"),
        pytest.param("/v1/audio/speech", '{"model": "m", "input": "Hi", "voice": "alloy"}', id="speech"),
    ],
)
def test_llm_calls(path: str, body: str) -> None:
    assert may_be_call("POST", HOST, path, "application/json")
    assert is_call("POST", HOST, path, body.encode())


@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [
        ("GET", "/v1/chat/completions", None),
        ("POST", "/", "application/json"),
        ("POST", "/v1/models", "application/json"),
        ("POST", "/v1/files", "application/json"),
        ("POST", "/chat", "application/json"),
        ("POST", "/v1/chat/completions", "multipart/form-data; boundary=x"),
        ("POST", "/v1/embeddings", "application/x-www-form-urlencoded"),
    ],
)
def test_requests_that_pass_at_once(method: str, path: str, content_type: str | None) -> None:
    assert not may_be_call(method, HOST, path, content_type)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/chat/completions", "", id="nothing"),
        pytest.param("/v1/chat/completions", "{", id="no JSON"),
        pytest.param("/v1/chat/completions", '["messages"]', id="no object"),
        pytest.param("/v1/chat/completions", '{"messages": ["hello"]}', id="messages of somebody else"),
        pytest.param("/v1/messages", '{"to": "anna", "text": "hello"}', id="a message to a person"),
        pytest.param("/v1/responses", '{"survey": 5, "input": "yes"}', id="a survey's answers"),
        pytest.param("/api/chat", '{"room": 5, "message": "hello"}', id="a chat of people"),
        pytest.param("/api/generate", '{"prompt": "a report"}', id="something to generate"),
        pytest.param("/embeddings", '{"input": "x"}', id="no model"),
        pytest.param("/embeddings", '{"model": 5, "input": "x"}', id="a model that is no name"),
    ],
)
def test_bodies_of_others(path: str, body: str) -> None:
    assert may_be_call("POST", HOST, path, "application/json")
    assert not is_call("POST", HOST, path, body.encode())
