"""Calls of LLM APIs at hosts that nobody named, and the ordinary requests of the web that look like them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.llm.llm_corpus import needs_corpus, recorded

from sessiontap.exchange import Headers
from sessiontap.llm.hosts import is_call, may_be_call, recognised_family

JSON = Headers([("content-type", "application/json")])
UPGRADE = ("upgrade", "websocket")
SAID = [{"role": "user", "content": "Hello"}]


def family_of(path: str, body: Any = None, headers: Headers = JSON, method: str = "POST") -> str | None:
    raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return recognised_family("llm.corp.example", method, path, headers, raw)


CALLS: dict[str, tuple[str, str, Any]] = {
    "chat": ("openai-chat", "/v1/chat/completions", {"model": "m", "messages": SAID}),
    "chat behind a gateway's path": (
        "openai-chat",
        "/team/a/openai/v1/chat/completions?x=1",
        {"model": "m", "messages": SAID},
    ),
    "responses, a text": ("openai-responses", "/v1/responses", {"model": "m", "input": "Hello"}),
    "responses, items": ("openai-responses", "/responses", {"model": "m", "input": SAID}),
    "completions": ("openai-completions", "/v1/completions", {"model": "m", "prompt": "Once"}),
    "embeddings": ("openai-embeddings", "/v1/embeddings", {"model": "m", "input": ["a"]}),
    "messages": ("anthropic-messages", "/v1/messages", {"model": "m", "max_tokens": 9, "messages": SAID}),
    "count_tokens": ("anthropic-messages", "/v1/messages/count_tokens", {"model": "m", "messages": SAID}),
    "Gemini": ("gemini", "/v1beta/models/g:generateContent", {"contents": [{"parts": [{"text": "Hello"}]}]}),
    "Code Assist": (
        "gemini",
        "/v1internal:streamGenerateContent",
        {"model": "g", "request": {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}},
    ),
    "Converse": (
        "bedrock-converse",
        "/model/a.b/converse",
        {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]},
    ),
    "InvokeModel": ("bedrock-invoke", "/model/a.b/invoke", {"inputText": "Hello"}),
    "Cohere v2": ("cohere", "/v2/chat", {"model": "command-r", "messages": SAID}),
    "Cohere v1": ("cohere", "/v1/chat", {"model": "command-r", "message": "Hello", "chat_history": []}),
    "Ollama's chat": ("ollama", "/api/chat", {"model": "llama3", "messages": SAID, "stream": False}),
    "Ollama's generate": ("ollama", "/api/generate", {"model": "llama3", "prompt": "Once"}),
    "Ollama's embed": ("ollama", "/api/embed", {"model": "nomic", "input": "a"}),
    "chat without a model, as llama.cpp takes it": ("openai-chat", "/v1/chat/completions", {"messages": SAID}),
    "text-embeddings-inference's rerank": ("other", "/rerank", {"query": "q", "texts": ["a"]}),
    "rerank": ("other", "/v1/rerank", {"model": "m", "query": "q", "documents": ["a"]}),
    "speech": ("other", "/v1/audio/speech", {"model": "m", "input": "Hi", "voice": "alloy"}),
    "images": ("other", "/v1/images/generations", {"model": "m", "prompt": "a cat"}),
    "moderation": ("other", "/v1/moderations", {"model": "m", "input": "a"}),
}


@pytest.mark.parametrize(("family", "path", "body"), CALLS.values(), ids=CALLS)
def test_a_call(family: str, path: str, body: Any) -> None:
    assert family_of(path, body) == family
    assert may_be_call("POST", "llm.corp.example", path, "application/json")
    assert is_call("POST", "llm.corp.example", path, json.dumps(body).encode())


FALSE_FRIENDS: dict[str, tuple[str, Any]] = {
    "a messenger": ("/v1/messages", {"to": "+4912345", "body": "Hello"}),
    "a messenger that sends several": ("/v1/messages", {"messages": [{"to": "+4912345", "text": "Hello"}]}),
    "a mailer": ("/v1/messages", {"messages": [{"from": {"email": "a@b.example"}, "subject": "Hello"}]}),
    "a support desk's conversation": ("/v1/messages", {"messages": SAID, "conversation_id": 7}),
    "a site's own chat": ("/api/chat", {"message": "Hello", "room": 4}),
    "a site's assistant (AI SDK)": (
        "/api/chat",
        {
            "id": "a1",
            "messages": [{"role": "user", "parts": [{"type": "text", "text": "Hello"}]}],
            "trigger": "submit-message",
        },
    ),
    "a site's assistant that names a model": ("/api/chat", {"model": "fast", "messages": SAID, "chatId": "a1"}),
    "a chat by v1": ("/v1/chat", {"message": "Hello"}),
    "a chat by v1 with users": ("/v1/chat", {"message": "Hello", "user_id": 3, "model": "Tesla 3"}),
    "a survey": ("/v1/responses", {"form": "f1", "answers": [{"q": 1, "a": "yes"}]}),
    "a survey with an input": ("/forms/7/responses", {"input": {"name": "Ann"}}),
    "a survey of cars": ("/forms/7/responses", {"model": "Golf", "input": [{"question": 1, "answer": 2}]}),
    "a training course": ("/api/courses/3/completions", {"user": 7, "done": True}),
    "an editor's code completion": ("/completions", {"prefix": "def ", "suffix": "", "language": "python"}),
    "a generator of passwords": ("/api/generate", {"length": 20}),
    "a generator of pictures": ("/api/generate", {"prompt": "a cat", "style": "oil"}),
    "a vector database": ("/embeddings", {"ids": ["a"], "embeddings": [[0.1, 0.2]]}),
    "GraphQL": ("/graphql", {"query": "{ models { id } }", "variables": {"messages": SAID}}),
    "a 3D model": ("/v1/models/car:generateContent", {"format": "glb"}),
    "a car configurator": ("/model/golf/converse", {"question": "colour?"}),
    "a hook": ("/model/golf/invoke", {"event": "sold"}),
    "a form": ("/v1/chat/completions", b"model=m&messages=Hello"),
    "an upload": ("/v1/messages", b"--x\r\nContent-Disposition: form-data\r\n\r\nHello\r\n--x--"),
    "a list": ("/v1/chat/completions", [{"model": "m", "messages": SAID}]),
    "no messages": ("/v1/chat/completions", {"model": "m", "messages": []}),
    "messages of texts": ("/v1/chat/completions", {"model": "m", "messages": ["Hello"]}),
    "roles of a theatre": (
        "/v1/chat/completions",
        {"model": "m", "messages": [{"role": "Hamlet", "content": "To be"}]},
    ),
    "a role that is a list": ("/v1/chat/completions", {"model": "m", "messages": [{"role": ["user"]}]}),
    "nothing": ("/v1/chat/completions", b""),
    "a body that is not at hand": ("/v1/chat/completions", None),
    "a body that is damaged": ("/v1/chat/completions", b'{"model": "m", "messages": [{"role"'),
    "a gallery": ("/images/search", {"prompt": "a cat"}),
    "a shop's ranking": ("/rerank", {"query": "shoes", "documents": [1, 2]}),
    "a comment to be checked": ("/moderations", {"comment": 5, "input": "Hello"}),
    "files": ("/v1/files", {"purpose": "batch"}),
}


@pytest.mark.parametrize(("path", "body"), FALSE_FRIENDS.values(), ids=FALSE_FRIENDS)
def test_what_is_none(path: str, body: Any) -> None:
    assert family_of(path, body) is None


@pytest.mark.parametrize(
    ("content_type", "family"),
    [
        pytest.param("application/json; charset=utf-8", "openai-chat", id="JSON"),
        pytest.param(None, "openai-chat", id="none"),
        pytest.param("text/plain", "openai-chat", id="text that is JSON"),
        pytest.param("application/x-www-form-urlencoded", None, id="a form"),
        pytest.param("multipart/form-data; boundary=x", None, id="an upload"),
    ],
)
def test_the_content_type(content_type: str | None, family: str | None) -> None:
    headers = Headers([("content-type", content_type)] if content_type else [])
    assert family_of("/v1/chat/completions", {"model": "m", "messages": SAID}, headers) == family


@pytest.mark.parametrize(
    ("path", "content_type", "expected"),
    [
        pytest.param("/v1/chat/completions", "application/json", True, id="a route"),
        pytest.param("/v1/chat/completions", None, True, id="no type"),
        pytest.param("/v1/chat/completions", "application/vnd.api+json", True, id="a kind of JSON"),
        pytest.param("/v1/chat/completions", "application/x-www-form-urlencoded", False, id="a form"),
        pytest.param("/v1/audio/transcriptions", "multipart/form-data; boundary=x", False, id="an upload"),
        pytest.param("/v1/files", "application/json", False, id="files"),
        pytest.param("/v1/models", "application/json", False, id="no call"),
        pytest.param("/chat", "application/json", False, id="a site's chat"),
        pytest.param("/graphql", "application/json", False, id="GraphQL"),
        pytest.param("/v1/generate", "application/json", True, id="a path that a family shares with others"),
    ],
)
def test_what_may_be_a_call_before_its_body_is_known(path: str, content_type: str | None, expected: bool) -> None:
    assert may_be_call("POST", "llm.corp.example", path, content_type) is expected


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_the_method(method: str) -> None:
    assert family_of("/v1/chat/completions", {"model": "m", "messages": SAID}, method=method) is None


@pytest.mark.parametrize(
    ("path", "headers", "family"),
    [
        pytest.param("/v1/realtime?model=gpt-realtime", [UPGRADE], "realtime", id="realtime, by its model"),
        pytest.param("/v1/realtime", [UPGRADE, ("openai-beta", "realtime=v1")], "realtime", id="by OpenAI's header"),
        pytest.param(
            "/v1/realtime", [UPGRADE, ("sec-websocket-protocol", "realtime, x")], "realtime", id="by protocol"
        ),
        pytest.param("/v1/realtime", [UPGRADE], None, id="a site's live prices"),
        pytest.param("/v1/realtime?model=m", [], None, id="no upgrade"),
        pytest.param(
            "/v1/responses",
            [UPGRADE, ("openai-beta", "responses_websockets=2026-02-06")],
            "openai-responses",
            id="responses",
        ),
        pytest.param("/v1/responses", [UPGRADE], None, id="a survey that is watched"),
        pytest.param("/socket?model=m", [UPGRADE], None, id="another path"),
    ],
)
def test_a_socket(path: str, headers: list[tuple[str, str]], family: str | None) -> None:
    assert family_of(path, None, Headers(headers), "GET") == family


def test_a_path_that_only_a_providers_hosts_have() -> None:
    body = json.dumps({"model": "palmyra", "messages": SAID}).encode()
    assert recognised_family("api.writer.com", "POST", "/v1/chat", JSON, body) == "openai-chat"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "model", "messages"]), inner),
    max_leaves=9,
)


@given(st.sampled_from([path for _, path, _ in CALLS.values()]), VALUES | st.binary())
def test_nothing_raises(path: str, body: Any) -> None:
    family_of(path, body)


@needs_corpus
def test_recorded_calls_are_recognised_wherever_they_go() -> None:
    known = [(one, one.call().endpoint.family) for one in recorded() if one.request.method == "POST"]
    calls = [(one.request, family) for one, family in known if family != "other" and one.request.body]
    found = [recognised_family(asked.host, "POST", asked.target, asked.headers, asked.body) for asked, _ in calls]
    right = sum(one == family for one, (_, family) in zip(found, calls, strict=True))
    assert right >= 0.99 * len(calls)
    assert {one for one, (_, family) in zip(found, calls, strict=True) if one != family} == {None}
