"""The fields of a call's record that `capture: metadata` keeps, as a table, and a record cut down to it.

Metadata says when a call was made, by whom, to which model, how it ended and what it took. What the app or the model
said, and what may quote it, is content: bodies, query strings, header values, names and ids of tools, error texts,
digests of messages. `KEPT` names every field of a record; a field that is not in it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

How = Literal["keep", "out", "url", "headers", "changes"]
NOT_CAPTURED = "[not captured]"
"""Stands for a header's value that is not kept."""

KEPT: dict[str, How] = {
    "type": "keep",
    "id": "keep",
    "time": "keep",
    "session": "keep",  # as the rules and the app set it; its name and path are what the user looks for
    "conversation": "keep",
    "parent": "keep",
    "evidence": "keep",
    "link": "keep",
    "link.kind": "keep",
    "link.root": "keep",
    "link.lineage": "out",  # names of tools
    "link.match_scope": "out",  # with no digest of the messages it serves nothing
    "link.request_chain": "out",  # digests of messages: who has a guess could try it
    "link.system": "out",
    "link.settings": "out",
    "link.declared": "out",
    "link.of_run": "out",
    "link.reply_chain": "out",
    "link.reply_outline": "out",
    "link.reply_digest": "out",
    "link.pair_digest": "out",
    "link.delegated": "out",
    "link.failed": "out",
    "link.retryable": "out",
    "link.incomplete": "out",
    "caller": "keep",
    "caller_unknown": "keep",
    "llm": "keep",
    "llm.provider": "keep",
    "llm.family": "keep",
    "llm.operation": "keep",
    "llm.request_model": "keep",
    "llm.response_model": "keep",
    "llm.response_id": "keep",
    "llm.stream": "keep",
    "llm.finish_reason": "keep",
    "llm.tools_offered": "out",
    "llm.tool_calls": "out",
    "llm.tool_call_ids": "out",
    "llm.tool_results": "out",
    "llm.usage": "keep",
    "llm.cost_reported": "keep",
    "llm.service_tier": "keep",
    "llm.billed": "keep",
    "llm.error": "keep",
    "llm.error.type": "keep",
    "llm.error.message": "out",
    "llm.problems": "out",  # they quote what could not be read
    "llm.request_id": "keep",
    "llm.rate_limits": "keep",
    "outcome": "keep",
    "flags": "keep",
    "duration": "keep",
    "time_to_first_byte": "keep",
    "time_to_first_token": "keep",
    "client": "keep",
    "proxy_user": "keep",
    "agent": "keep",
    "subagent": "keep",
    "user": "keep",  # labels: the rules' author chose what goes into them
    "properties": "keep",
    "tags": "keep",
    "state": "keep",
    "rules": "keep",
    "host": "keep",
    "forwarded_host": "keep",
    "route": "keep",
    "changes": "changes",
    "gateway": "keep",
    "counted": "keep",
    "request": "keep",
    "request.method": "keep",
    "request.url": "url",
    "request.http_version": "keep",
    "request.headers": "headers",
    "request.trailers": "headers",
    "request.body": "keep",  # its size alone, by then
    "response": "keep",
    "response.status": "keep",
    "response.http_version": "keep",
    "response.headers": "headers",
    "response.trailers": "headers",
    "response.chunks": "keep",
    "response.body": "keep",
}
"""By the field's place in the record: kept, left out, or kept in part. Fields of `session`, `llm.usage`, `llm.billed`
and the like are kept with them."""

HEADERS = frozenset(
    {
        "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "api-version", "apim-request-id", "cf-ray",
        "connection", "content-encoding", "content-length", "content-type", "date", "host", "openai-processing-ms",
        "openai-version", "request-id", "retry-after", "server", "transfer-encoding", "user-agent", "via",
        "x-amzn-requestid", "x-ms-region", "x-request-id", "x-should-retry",
    }
)  # fmt: skip
HEADER_BEGINNINGS = ("anthropic-ratelimit-", "x-ratelimit-", "x-stainless-", "x-amzn-bedrock-")
"""Headers whose values are kept: of the transport, of limits, of the client library. Of all others the name is."""

CALLER = frozenset(
    {"type", "id", "pid", "started", "name", "names", "exe", "user", "uid", "ancestors", "tree", "container"}
)
"""The fields that are kept of a caller all of whose calls are metadata: not its command line, folder and variables."""


def metadata_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """A call's record without what is content. Keys stay; what is left out is nil or empty, as if it were unknown."""
    return _cut(record, "")


def caller_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """A caller's record without its command line, folder and variables."""
    return {key: value if key in CALLER else _nothing(value) for key, value in record.items()}


def _cut(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    # A link is without what it does not know.
    gone = {key for key in values if place == "link." and KEPT.get(f"link.{key}") != "keep"}
    return {key: _cut_value(value, f"{place}{key}") for key, value in values.items() if key not in gone}


def _cut_value(value: Any, place: str) -> Any:
    match KEPT.get(place, "out"):
        case "out":
            return _nothing(value)
        case "url":
            return _without_query(value)
        case "headers":
            return value and [[name, text if keeps_value(name) else NOT_CAPTURED] for name, text in value]
        case "changes":
            return [_change(one) for one in value]
    if isinstance(value, Mapping) and any(key.startswith(f"{place}.") for key in KEPT):
        return _cut(value, f"{place}.")
    return value


def keeps_value(header: str) -> bool:
    """True if the value of this header is metadata."""
    name = header.lower()
    return name in HEADERS or name.startswith(HEADER_BEGINNINGS)


def _without_query(url: str) -> str:
    """Scheme, host and path: no user, no query, no fragment."""
    scheme, mark, rest = url.partition("?")[0].partition("#")[0].rpartition("://")
    authority, slash, path = rest.partition("/")
    return scheme + mark + authority.rpartition("@")[2] + slash + path


def _change(change: Sequence[Any]) -> list[Any]:
    """[action, header, old, new, rule]: values of headers go; the host that a gateway led to stays."""
    action, header, old, new, rule = change
    if header is None or keeps_value(header):
        return list(change)
    return [action, header, old and NOT_CAPTURED, new and NOT_CAPTURED, rule]


def _nothing(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return []
    return {} if isinstance(value, Mapping) else None
