"""What a bill counts apart from plain tokens, as each family states it."""

from __future__ import annotations

from typing import Any

import pytest

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm.call import Billed
from sessiontap.llm.read import read_reply, read_request
from sessiontap.llm.routes import endpoint_of
from sessiontap.llm.usage import billed_of

AUDIO, TEXT = {"modality": "AUDIO", "tokenCount": 30}, {"modality": "TEXT", "tokenCount": 70}

STATED = {
    "Anthropic, written for an hour": (
        {"cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5}}, Billed(cache_write_1h=5),
    ),
    "Anthropic, searches": ({"server_tool_use": {"web_search_requests": 2}}, Billed(web_searches=2)),
    "Anthropic, steps that its usage leaves out": (
        {"iterations": [{"type": "compaction", "input_tokens": 9}, {"type": "message"}]}, Billed(tools=("compaction",)),
    ),
    "Anthropic, fast": ({"speed": "fast"}, Billed(speed="fast")),
    "Converse, written for an hour": (
        {"cacheDetails": [{"ttl": "5m", "inputTokens": 1}, {"ttl": "1h", "inputTokens": 9}]}, Billed(cache_write_1h=9),
    ),
    "OpenAI chat, spoken": (
        {"prompt_tokens_details": {"audio_tokens": 30}, "completion_tokens_details": {"audio_tokens": 4}},
        Billed(audio_input=30, audio_output=4),
    ),
    "OpenAI realtime, spoken and partly cached": (
        {"input_token_details": {"audio_tokens": 30, "cached_tokens_details": {"audio_tokens": 0}}},
        Billed(audio_input=30, audio_cache_read=0),
    ),
    "OpenAI, pictures": ({"input_tokens_details": {"image_tokens": 7}}, Billed(image_input=7)),
    "Gemini, spoken and partly cached": (
        {"promptTokensDetails": [TEXT, AUDIO], "cacheTokensDetails": [TEXT]},
        Billed(audio_input=30, audio_cache_read=0),
    ),
    "Gemini, a picture drawn": (
        {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]},
        Billed(audio_output=0, image_output=1290),
    ),
    "Cohere": (
        {"billed_units": {"input_tokens": 7, "output_tokens": 0}, "tokens": {"input_tokens": 69}},
        Billed(input=7, output=0),
    ),
}  # fmt: skip

PLAIN: dict[str, Any] = {
    "nothing": None,
    "another shape": [1],
    "standard speed": {"speed": "standard"},
    "all of it text": {"prompt_tokens_details": {"audio_tokens": 0}, "completion_tokens_details": {"audio_tokens": 0}},
    "written for five minutes": {"cache_creation": {"ephemeral_1h_input_tokens": 0}},
    "Gemini, text and pictures that come in": {
        "promptTokensDetails": [TEXT, {"modality": "IMAGE", "tokenCount": 258}],
        "candidatesTokensDetails": [TEXT],
    },
}


@pytest.mark.parametrize(("usage", "billed"), STATED.values(), ids=STATED)
def test_what_is_stated(usage: Any, billed: Billed) -> None:
    assert billed_of(usage) == billed


@pytest.mark.parametrize("usage", PLAIN.values(), ids=PLAIN)
def test_plain_tokens_have_nothing_apart(usage: Any) -> None:
    assert billed_of(usage) is None


def test_tools_with_a_fee() -> None:
    assert billed_of({}, ["mcp_call", "web_search_call", "web_search_call"]) == Billed(tools=("web_search_call",))


@pytest.mark.parametrize(
    ("headers", "subscription"),
    [
        ([("anthropic-beta", "claude-code-20250219,oauth-2025-04-20")], True),
        ([("anthropic-beta", "claude-code-20250219"), ("x-api-key", "k")], None),
        ([("x-api-key", "k")], None),
    ],
    ids=["a login", "a key", "a key alone"],
)
def test_a_claude_login_is_a_subscription(headers: list[tuple[str, str]], subscription: bool | None) -> None:
    request = Request("POST", "api.anthropic.com", "/v1/messages", Headers(headers), b'{"model": "m", "messages": []}')
    call = read_request(request, endpoint_of("POST", request.host, request.path, "anthropic"))
    body = b'{"type": "message", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 2}}'
    reply = read_reply(call, request, Response(200, Headers([("content-type", "application/json")]), body))
    assert reply.billed == (subscription and Billed(subscription=True))
