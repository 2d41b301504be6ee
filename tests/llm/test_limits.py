"""Request ids and rate limits from response headers."""

from __future__ import annotations

import pytest

from sessiontap.exchange import Headers
from sessiontap.llm.limits import LONGEST, MOST, rate_limits, request_id


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


def test_they_are_bounded() -> None:
    assert len(rate_limits(Headers((f"x-ratelimit-{n}", "1") for n in range(MOST * 2)))) == MOST
    assert rate_limits(Headers([("x-ratelimit-a", "1" * (LONGEST + 1))])) == {}
