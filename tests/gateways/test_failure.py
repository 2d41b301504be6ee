"""Whose failure a reply is, by kind of gateway: its own, a control's that somebody set there, or the provider's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessiontap.exchange import Headers
from sessiontap.gateways import KINDS
from sessiontap.gateways.failure import BODY_START, GatewayFailure, json_body, unsigned, word


def failure(kind: str, status: int, headers: dict[str, str], body: Any) -> GatewayFailure | None:
    start = body if isinstance(body, bytes) else json.dumps(body).encode()
    return KINDS[kind].failure(status, Headers(list(headers.items())), start)


PROVIDERS = {"error": {"message": "Rate limit reached for gpt-4o", "type": "requests", "code": "rate_limit_exceeded"}}
"""An error as OpenAI words it."""


PASS_ON = sorted(KINDS.keys() - {"litellm", "openrouter"})
"""The kinds through which a provider's error comes as it is. The others word it anew."""


@pytest.mark.parametrize("kind", PASS_ON)
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b'{"error":', b"[1]", b"\xff\xfe", PROVIDERS])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_reply_without_a_signature_is_the_providers(kind: str, status: int, body: Any) -> None:
    assert failure(kind, status, {}, body) == GatewayFailure("provider_error")


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_that_succeeds_is_no_failure(kind: str) -> None:
    assert failure(kind, 200, {}, {"id": "x"}) is None


HELICONE: list[Any] = [
    pytest.param(
        *(500, {"helicone-error": "true"}, {"helicone-message": "Helicone ran into an error servicing your request"}),
        GatewayFailure("gateway_refused", "helicone-error"),
        id="its worker crashed",
    ),
    pytest.param(
        *(429, {"Helicone-RateLimit-Remaining": "0"}, {"message": "Rate limit reached."}),
        GatewayFailure("policy", "rate_limited"),
        id="its rate limit",
    ),
    pytest.param(
        *(429, {"Helicone-RateLimit-Remaining": "7"}, PROVIDERS),
        GatewayFailure("provider_error"),
        id="the provider's rate limit, with its own kept",
    ),
    pytest.param(
        *(400, {}, {"success": False, "error": {"code": "PROMPT_THREAT_DETECTED", "message": "Prompt threat"}}),
        GatewayFailure("policy", "PROMPT_THREAT_DETECTED"),
        id="a prompt that it blocks",
    ),
    pytest.param(
        *(400, {}, {"success": False, "error": {"code": "PROMPT_FLAGGED_FOR_MODERATION"}}),
        GatewayFailure("policy", "PROMPT_FLAGGED_FOR_MODERATION"),
        id="a prompt that moderation flags",
    ),
]


@pytest.mark.parametrize(("status", "headers", "body", "expected"), HELICONE)
@pytest.mark.parametrize("kind", ["helicone", "helicone-selfhosted"])
def test_helicone(kind: str, status: int, headers: dict[str, str], body: Any, expected: GatewayFailure) -> None:
    assert failure(kind, status, headers, body) == expected


REFUSED, UNANSWERED, PROVIDER = "gateway_refused", "gateway_unanswered", "provider_error"
NO_HEADERS: dict[str, str] = {}


def litellm(message: str, kind: str | None, code: int, **more: Any) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": str(code)} | more}


def cloudflare(code: int) -> Any:
    return {"success": False, "result": [], "messages": [], "error": [{"code": code, "message": "..."}]}


GUARDRAIL = {"provider_specific_fields": {"guardrail_name": "words", "guardrail_mode": "pre_call"}}
ANSWERED = {"llm_provider-x-request-id": "req_1", "x-litellm-call-id": "c"}
FALLBACK = "\n\nLiteLLM: model group 'm' failed with the error above. No fallback was attempted."
UPSTREAM = {"x-portkey-last-used-option-index": "config", "x-portkey-provider": "openai"}
EXCEPTION = {"x-portkey-gateway-exception": "true"}


@pytest.mark.parametrize(
    ("kind", "status", "headers", "body", "expected"),
    [
        # LiteLLM 1.106 and Portkey 1.15: as these answered (tests/gateways_real).
        pytest.param(
            *("litellm", 422, NO_HEADERS, litellm("Budget has been exceeded!", "budget_exceeded", 422)),
            GatewayFailure("policy", "budget_exceeded"),
            id="LiteLLM: a budget",
        ),
        pytest.param(
            *("litellm", 401, NO_HEADERS, litellm("key not allowed to access model.", "key_model_access_denied", 401)),
            GatewayFailure("policy", "key_model_access_denied"),
            id="LiteLLM: a model that a key may not use",
        ),
        pytest.param(
            *("litellm", 401, NO_HEADERS, litellm("Authentication Error, Invalid", "token_not_found_in_db", 401)),
            GatewayFailure("policy", "token_not_found_in_db"),
            id="LiteLLM: a wrong key",
        ),
        pytest.param(
            *("litellm", 400, NO_HEADERS, litellm("No connected db.", "no_db_connection", 400)),
            GatewayFailure("policy", "no_db_connection"),
            id="LiteLLM: a wrong key, and it knows of none but its master key",
        ),
        pytest.param(
            *("litellm", 503, NO_HEADERS, litellm("Service Unavailable", "no_db_connection", 503)),
            GatewayFailure(REFUSED, "no_db_connection"),
            id="LiteLLM: its database is down",
        ),
        pytest.param(
            *("litellm", 400, NO_HEADERS, litellm("Content blocked", "invalid_request_error", 400, **GUARDRAIL)),
            GatewayFailure("policy", "guardrail"),
            id="LiteLLM: a guardrail",
        ),
        pytest.param(
            *("litellm", 429, NO_HEADERS, litellm("No deployments available.", "internal_server_error", 429)),
            GatewayFailure("policy", "internal_server_error"),
            id="LiteLLM: its limit of a model",
        ),
        pytest.param(
            *("litellm", 429, {"llm_provider-retry-after": "60", "llm_provider-content-length": "158"}),
            litellm("litellm.RateLimitError: Model rate limit exceeded. RPM limit=1", None, 429),
            GatewayFailure("policy"),
            id="LiteLLM: its limit of a model, otherwise worded",
        ),
        pytest.param(
            *("litellm", 408, NO_HEADERS, litellm("litellm.Timeout: APITimeoutError - Request timed out.", None, 408)),
            GatewayFailure(UNANSWERED),
            id="LiteLLM: the provider did not answer in time",
        ),
        pytest.param(
            *("litellm", 400, NO_HEADERS, litellm("Invalid model name passed in", "invalid_request_error", 400)),
            GatewayFailure(REFUSED, "invalid_request_error"),
            id="LiteLLM: a model that it does not know",
        ),
        pytest.param(
            *("litellm", 429, ANSWERED, litellm("litellm.RateLimitError: ..." + FALLBACK, "throttling_error", 429)),
            GatewayFailure(PROVIDER),
            id="LiteLLM: the provider's limit",
        ),
        pytest.param(
            *("litellm", 500, NO_HEADERS),
            litellm("litellm.InternalServerError: InternalServerError: OpenAIException - Connection error.", None, 500),
            GatewayFailure(PROVIDER),
            id="LiteLLM: the provider is down",
        ),
        pytest.param(
            *("litellm", 500, NO_HEADERS, b"Internal Server Error", GatewayFailure(UNANSWERED)),
            id="LiteLLM: it crashed",
        ),
        pytest.param(
            "litellm", 404, NO_HEADERS, {"detail": "Not Found"}, GatewayFailure(REFUSED), id="LiteLLM: no such path"
        ),
        pytest.param(
            *("portkey", 400, NO_HEADERS, {"status": "failure", "message": "Invalid provider passed"}),
            GatewayFailure(REFUSED),
            id="Portkey: a provider that it does not know",
        ),
        pytest.param(
            *("portkey", 500, EXCEPTION, {"status": "failure", "message": "Something went wrong"}),
            GatewayFailure(UNANSWERED),
            id="Portkey: an exception of its own, maybe after the provider answered",
        ),
        pytest.param(
            *("portkey", 401, NO_HEADERS, {"status": "failure", "message": "Invalid API Key"}),
            GatewayFailure("policy"),
            id="Portkey: a wrong key",
        ),
        pytest.param(
            *("portkey", 446, UPSTREAM, {"error": {"message": "The guardrail checks", "type": "hooks_failed"}}),
            GatewayFailure("policy", "hooks_failed"),
            id="Portkey: a guardrail",
        ),
        pytest.param("portkey", 412, NO_HEADERS, {}, GatewayFailure("policy"), id="Portkey: a budget"),
        pytest.param(
            *("portkey", 404, NO_HEADERS, {"message": "Not Found", "ok": False}),
            GatewayFailure(REFUSED),
            id="Portkey: no such path",
        ),
        pytest.param(
            *("portkey", 500, UPSTREAM, {"html-message": "Message: fetch failed Cause: Error: connect ECONNREFUSED"}),
            GatewayFailure(PROVIDER),
            id="Portkey: the provider is down",
        ),
        # The others: as their documentation words it.
        pytest.param(
            *("openrouter", 402, NO_HEADERS, {"error": {"code": 402, "message": "Insufficient credits"}}),
            GatewayFailure("policy", "402"),
            id="OpenRouter: no credit",
        ),
        pytest.param(
            *("openrouter", 503, NO_HEADERS, {"error": {"code": 503, "message": "No available model provider"}}),
            GatewayFailure(REFUSED, "503"),
            id="OpenRouter: no provider for the call",
        ),
        pytest.param(
            *("openrouter", 500, NO_HEADERS, {"error": {"code": 500, "message": "Internal Server Error"}}),
            GatewayFailure(UNANSWERED, "500"),
            id="OpenRouter: it crashed",
        ),
        pytest.param(
            *("openrouter", 429, NO_HEADERS, {"error": {"code": 429, "metadata": {"provider_name": "Groq"}}}),
            GatewayFailure(PROVIDER),
            id="OpenRouter: the provider's limit",
        ),
        pytest.param(
            *("openrouter", 502, NO_HEADERS, {"error": {"code": 502, "message": "Provider returned error"}}),
            GatewayFailure(PROVIDER),
            id="OpenRouter: the model is down",
        ),
        pytest.param(
            "cloudflare", 400, NO_HEADERS, cloudflare(2005), GatewayFailure(PROVIDER, "2005"), id="Cloudflare: 2005"
        ),
        pytest.param(
            *("cloudflare", 400, NO_HEADERS, cloudflare(2016), GatewayFailure("policy", "2016")),
            id="Cloudflare: a guardrail",
        ),
        pytest.param(
            *("cloudflare", 401, NO_HEADERS, cloudflare(2009), GatewayFailure("policy", "2009")),
            id="Cloudflare: unauthorized",
        ),
        pytest.param(
            *("cloudflare", 429, NO_HEADERS, cloudflare(2003), GatewayFailure("policy", "2003")),
            id="Cloudflare: its limit",
        ),
        pytest.param(
            *("cloudflare", 400, NO_HEADERS, cloudflare(2001), GatewayFailure(REFUSED, "2001")),
            id="Cloudflare: no gateway",
        ),
        pytest.param(
            *("cloudflare", 500, NO_HEADERS, {"name": "AiGatewayError", "internalCode": 7001}),
            GatewayFailure(UNANSWERED, "7001"),
            id="Cloudflare: an error of its own",
        ),
        pytest.param(
            *("traceforge", 403, {"X-TraceForge-Policy-Blocked": "true"}, {"error": "blocked"}),
            GatewayFailure("policy", "blocked"),
            id="TraceForge: a policy",
        ),
        pytest.param(
            *("helicone-selfhosted", 400, NO_HEADERS, {"message": "Invalid provider"}),
            GatewayFailure(REFUSED),
            id="Helicone of one's own: no such provider",
        ),
    ],
)
def test_kinds(kind: str, status: int, headers: dict[str, str], body: Any, expected: GatewayFailure) -> None:
    assert failure(kind, status, headers, body) == expected


def test_a_gateway_without_signatures_fails_as_its_provider() -> None:
    assert unsigned(503, Headers(), b"") == GatewayFailure("provider_error")
    assert unsigned(200, Headers(), b"") is None


def test_a_body_that_is_not_whole_says_nothing() -> None:
    whole = json.dumps({"error": "x" * BODY_START}).encode()
    assert json_body(whole) == {}
    assert json_body(whole[:BODY_START]) == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[("budget_exceeded", "budget_exceeded"), (2005, "2005"), ("a sentence", None), ("x" * 65, None), ("", None)],
        *[(None, None), (True, None), ({}, None), ("ä", None), ("a\nb", None)],
    ],
)
def test_a_code_is_a_short_word(value: object, expected: str | None) -> None:
    assert word(value) == expected
