from __future__ import annotations

import pytest

from sessiontap.exchange import Headers, Response
from sessiontap.llm.call import CallError
from sessiontap.llm.errors import error_of

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
