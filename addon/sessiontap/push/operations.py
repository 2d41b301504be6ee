"""The kinds of calls, as readers of spans tell them apart: by the record's operation, and of MCP by the request's body.

The names are those of two conventions: `gen_ai.operation.name` (github.com/open-telemetry/semantic-conventions-genai,
docs/registry/attributes/gen-ai.md) and `openinference.span.kind` (github.com/Arize-ai/openinference,
spec/semantic_conventions.md, "Span Kinds").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from sessiontap.push.target import PushedCall

SpanKind = Literal["LLM", "EMBEDDING", "RETRIEVER", "RERANKER", "GUARDRAIL", "TOOL", "AGENT", "CHAIN"]


class Operation(NamedTuple):
    """A kind of call."""

    name: str | None
    """Its `gen_ai.operation.name`; None: the conventions have no word for it, and it asks no model for a reply."""
    kind: SpanKind


_BY_OPERATION: Mapping[str, Operation] = {
    "chat": Operation("chat", "LLM"),
    "realtime": Operation("chat", "LLM"),
    "text_completion": Operation("text_completion", "LLM"),
    "image": Operation("generate_content", "LLM"),
    "audio": Operation("generate_content", "LLM"),
    "embeddings": Operation("embeddings", "EMBEDDING"),
    "vector_search": Operation("retrieval", "RETRIEVER"),
    "rerank": Operation(None, "RERANKER"),
    "moderation": Operation(None, "GUARDRAIL"),
}
_GEMINI = Operation("generate_content", "LLM")
_FETCHED = Operation("fetch_response", "CHAIN")
"""A reply that is fetched again: its tokens were counted where it was asked for."""
_OTHER = Operation(None, "CHAIN")
_MCP = Operation(None, "CHAIN")
_TOOL = Operation("execute_tool", "TOOL")
_LARGEST = 1 << 20
"""Bytes of a body beyond which it is not looked into for MCP."""


class McpRequest(NamedTuple):
    """A request to an MCP server."""

    method: str
    """`tools/call`, `tools/list`, `initialize`, ..."""
    tool: str | None
    """The tool that `tools/call` names."""


class _Parameters(msgspec.Struct):
    name: str | None = None


class _JsonRpc(msgspec.Struct):
    jsonrpc: str
    method: str
    params: _Parameters | None = None


_DECODER = msgspec.json.Decoder(_JsonRpc)


def operation_of(call: PushedCall) -> Operation:
    """Return the kind of a call."""
    row = call.call.row
    if row["method"] == "GET" and row["response_model"] and not call.call.is_websocket:
        return _FETCHED
    known = _BY_OPERATION.get(row["operation"] or "")
    if known is not None:
        return _GEMINI if row["operation"] == "chat" and row["family"] == "gemini" else known
    mcp = mcp_request(call)
    if mcp is None:
        return _OTHER
    return _TOOL if mcp.tool else _MCP


def mcp_request(call: PushedCall) -> McpRequest | None:
    """Return what an MCP server was asked (modelcontextprotocol.io, "Base Protocol", "Messages"): JSON-RPC 2.0 in a
    POST. None for any other call, and if its body is not at hand."""
    data = call.call.request_body.data
    if call.call.row["operation"] != "other" or call.call.row["method"] != "POST" or not data or len(data) > _LARGEST:
        return None
    if data.lstrip()[:1] != b"{" or b'"jsonrpc"' not in data:
        return None
    try:
        asked = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if asked.jsonrpc != "2.0" or ("/" not in asked.method and asked.method not in ("initialize", "ping")):
        return None
    return McpRequest(asked.method, asked.params.name if asked.method == "tools/call" and asked.params else None)
