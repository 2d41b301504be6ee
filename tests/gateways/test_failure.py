"""Whose failure a reply is, by kind of gateway: its own, a control's that somebody set there, or the provider's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessiontap.exchange import Headers
from sessiontap.gateways import KINDS
from sessiontap.gateways.failure import BODY_START, Failure, json_body, unsigned, word


def failure(kind: str, status: int, headers: dict[str, str], body: Any) -> Failure | None:
    start = body if isinstance(body, bytes) else json.dumps(body).encode()
    return KINDS[kind].failure(status, Headers(list(headers.items())), start)


PROVIDERS = {"error": {"message": "Rate limit reached for gpt-4o", "type": "requests", "code": "rate_limit_exceeded"}}
"""An error as OpenAI words it."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b'{"error":', b"[1]", b"\xff\xfe", PROVIDERS])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_reply_without_a_signature_is_the_providers(kind: str, status: int, body: Any) -> None:
    assert failure(kind, status, {}, body) == Failure("provider_error")


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_that_succeeds_is_no_failure(kind: str) -> None:
    assert failure(kind, 200, {}, {"id": "x"}) is None


HELICONE: list[Any] = [
    pytest.param(
        *(500, {"helicone-error": "true"}, {"helicone-message": "Helicone ran into an error servicing your request"}),
        Failure("gateway_refused", "helicone-error"),
        id="its worker crashed",
    ),
    pytest.param(
        *(429, {"Helicone-RateLimit-Remaining": "0"}, {"message": "Rate limit reached."}),
        Failure("policy", "rate_limited"),
        id="its rate limit",
    ),
    pytest.param(
        *(429, {"Helicone-RateLimit-Remaining": "7"}, PROVIDERS),
        Failure("provider_error"),
        id="the provider's rate limit, with its own kept",
    ),
    pytest.param(
        *(400, {}, {"success": False, "error": {"code": "PROMPT_THREAT_DETECTED", "message": "Prompt threat"}}),
        Failure("policy", "PROMPT_THREAT_DETECTED"),
        id="a prompt that it blocks",
    ),
    pytest.param(
        *(400, {}, {"success": False, "error": {"code": "PROMPT_FLAGGED_FOR_MODERATION"}}),
        Failure("policy", "PROMPT_FLAGGED_FOR_MODERATION"),
        id="a prompt that moderation flags",
    ),
]


@pytest.mark.parametrize(("status", "headers", "body", "expected"), HELICONE)
def test_helicone(status: int, headers: dict[str, str], body: Any, expected: Failure) -> None:
    assert failure("helicone", status, headers, body) == expected


def test_a_gateway_without_signatures_fails_as_its_provider() -> None:
    assert unsigned(503, Headers(), b"") == Failure("provider_error")
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
