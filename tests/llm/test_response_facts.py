"""The provider's error, its id of the request, and rate limits."""

from __future__ import annotations

import pytest

from sessiontap.exchange import Headers, Response
from sessiontap.llm.call import CallError
from sessiontap.llm.response_facts import LONGEST, MOST, error_of, rate_limits, request_id

JSON = ("content-type", "application/json")

CASES = {
    "openai": (
        b'{"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}',
        CallError("invalid_request_error", "no such model"),
    ),
    "azure, a number for a code": (
        b'{"error": {"code": "401", "message": "Access denied"}}',
        CallError(None, "Access denied"),
    ),
    "anthropic": (
        b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}',
        CallError("overloaded_error", "Overloaded"),
    ),
    "google": (
        b'{"error": {"code": 400, "message": "bad role", "status": "INVALID_ARGUMENT"}}',
        CallError("INVALID_ARGUMENT", "bad role"),
    ),
    "google, streamed": (
        b'[{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}]',
        CallError("RESOURCE_EXHAUSTED", "slow down"),
    ),
    "openrouter": (b'{"error": {"code": 402, "message": "no credits"}}', CallError(None, "no credits")),
    "a string": (b'{"error": "model \'x\' not found"}', CallError(None, "model 'x' not found")),
    "cohere": (b'{"id": "1", "message": "invalid api token"}', CallError(None, "invalid api token")),
    "mistral": (
        b'{"object": "error", "message": "bad", "type": "invalid_model"}',
        CallError("invalid_model", "bad"),
    ),
    "detail": (b'{"detail": "Unauthorized"}', CallError(None, "Unauthorized")),
    "detail of a validation": (
        b'{"detail": [{"loc": ["body"], "msg": "field required"}, {"msg": "too long"}]}',
        CallError(None, "field required; too long"),
    ),
    "sse": (
        b'event: error\ndata: {"type": "error", "error": {"type": "api_error", "message": "oops"}}\n\n',
        CallError("api_error", "oops"),
    ),
    "a page": (b"<html>Bad gateway</html>", CallError(None, None)),
    "nothing": (b"", CallError(None, None)),
    "half of it": (b'{"error": {"mess', CallError(None, None)),
}


@pytest.mark.parametrize(("body", "expected"), CASES.values(), ids=CASES)
def test_error(body: bytes, expected: CallError) -> None:
    assert error_of(Response(400, Headers([JSON]), body)) == expected


def test_awss_type_stands_in_a_header() -> None:
    headers = Headers([JSON, ("x-amzn-ErrorType", "ValidationException:http://internal.amazon.com/x")])
    found = error_of(Response(400, headers, b'{"message": "The model identifier is invalid."}'))
    assert found == CallError("ValidationException", "The model identifier is invalid.")


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        pytest.param([("x-request-id", "req_1")], "req_1", id="OpenAI"),
        pytest.param([("Request-Id", "req_011")], "req_011", id="Anthropic"),
        pytest.param([("x-request-id", "gateway"), ("apim-request-id", "azure")], "azure", id="Azure's own, of two"),
        pytest.param([("x-amzn-RequestId", "b-1")], "b-1", id="Bedrock"),
        pytest.param([("mistral-correlation-id", "m-1")], "m-1", id="Mistral"),
        pytest.param([("x-debug-trace-id", "c-1")], "c-1", id="Cohere"),
        pytest.param([("content-type", "application/json")], None, id="none"),
        pytest.param([("x-request-id", "")], None, id="an empty one"),
        pytest.param([("x-request-id", "a" * (LONGEST + 1))], None, id="too long to be one"),
    ],
)
def test_request_id(headers: list[tuple[str, str]], found: str | None) -> None:
    assert request_id(Headers(headers)) == found


def test_rate_limits_of_every_provider() -> None:
    headers = Headers(
        [
            ("X-RateLimit-Remaining-Tokens", "149984"),
            ("x-ratelimit-reset-requests", "8.64s"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-01-01T00:00:00Z"),
            ("Retry-After", "20"),
            ("x-trial-endpoint-call-remaining", "39"),
            ("content-length", "9"),
        ]
    )
    assert rate_limits(headers) == {
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "8.64s",
        "anthropic-ratelimit-output-tokens-reset": "2026-01-01T00:00:00Z",
        "retry-after": "20",
        "x-trial-endpoint-call-remaining": "39",
    }


def test_rate_limits_are_bounded() -> None:
    assert len(rate_limits(Headers((f"x-ratelimit-{n}", "1") for n in range(MOST * 2)))) == MOST
    assert rate_limits(Headers([("x-ratelimit-a", "1" * (LONGEST + 1))])) == {}
