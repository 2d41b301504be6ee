"""A call that is refused in the provider's stead: an error of the wire family's own form, which says why.

Its status is one that client libraries raise at once. They try again after 408, 409, 429 and 5xx, some for minutes; 403
none of them does. OpenAI's and Anthropic's own libraries are told by a header, too.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import quote

FORBIDDEN = 403


class Refusal(NamedTuple):
    """The response that a client gets if a limit refuses its call."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def openai_refusal(text: str) -> Refusal:
    """Return the form that OpenAI and those who follow it have."""
    error = {"message": text, "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}
    return _json({"error": error}, ("x-should-retry", "false"))


def anthropic_refusal(text: str) -> Refusal:
    """Return Anthropic's form."""
    error = {"type": "permission_error", "message": text}
    return _json({"type": "error", "error": error}, ("x-should-retry", "false"))


def google_refusal(text: str) -> Refusal:
    """Return the form of Google's APIs."""
    return _json({"error": {"code": FORBIDDEN, "message": text, "status": "PERMISSION_DENIED"}})


def grpc_refusal(text: str) -> Refusal:
    """Return a response of gRPC without messages: its status stands in the headers."""
    message = quote(text.encode("utf-8", "replace"), safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}~")
    headers = (("content-type", "application/grpc"), ("grpc-status", "7"), ("grpc-message", message))
    return Refusal(200, headers, b"")


def bedrock_refusal(text: str) -> Refusal:
    """Return Bedrock's form. Its quotas are refused by a status of 400, which is not tried again."""
    name = "ServiceQuotaExceededException"
    return _json({"message": text}, ("x-amzn-errortype", name), status=400)


def message_refusal(text: str) -> Refusal:
    """Return Cohere's form: the message alone."""
    return _json({"message": text})


def error_refusal(text: str) -> Refusal:
    """Return Ollama's form: the error is a text."""
    return _json({"error": text})


def _json(value: Any, *headers: tuple[str, str], status: int = FORBIDDEN) -> Refusal:
    return Refusal(status, (("content-type", "application/json"), *headers), json.dumps(value).encode())
