"""Langfuse's attributes (langfuse.com/docs/opentelemetry/get-started, "Property Mapping"; its server read in code).

They win over all other names for the same. Trace attributes (name, session, user, tags, metadata, environment)
are on every span: Langfuse sums and filters by span. Token counts are given by what they cost: `input` without what a
cache held, `output` without reasoning. The cost is ours if it is known; else Langfuse makes one by its own prices.

Session, user, name and tags must be ASCII of at most 200 characters, or Langfuse drops them. What does not fit is made
to, and the metadata have it as it was. All other attributes of a span are in Langfuse's `metadata.attributes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sessiontap.dialects.header_text import ascii_text
from sessiontap.push.attributes.content import (
    answered_text,
    as_json,
    asked_text,
    content_of,
    turn_input,
    turn_output,
)
from sessiontap.push.attributes.genai import usage_of
from sessiontap.push.attributes.request_settings import request_settings
from sessiontap.push.chat_form import messages, reply_message, tool_definitions
from sessiontap.push.observed_tools import ObservedTool
from sessiontap.push.operations import SpanKind, mcp_request, operation_of
from sessiontap.push.span_facts import Attributes, known
from sessiontap.push.spans import AgentWork, PathLevel, Span, agent_of
from sessiontap.push.target import PushedCall, UserTurn
from sessiontap.trace.outcomes import came_to_an_end, part

LONGEST = 200
"""Characters of a session's or user's id, a trace's name, a tag."""
ENVIRONMENT = re.compile(r"(?!langfuse)[a-z0-9_-]{1,40}\Z")
"""An environment as Langfuse takes it."""
_TYPES: Mapping[SpanKind, str] = {
    "LLM": "generation",
    "EMBEDDING": "embedding",
    "RETRIEVER": "retriever",
    "RERANKER": "retriever",
    "GUARDRAIL": "guardrail",
    "TOOL": "tool",
    "AGENT": "agent",
    "CHAIN": "span",
}
_WITH_MODEL = frozenset(("generation", "embedding"))
_USAGE: Mapping[str, str] = {
    "cache_read": "input_cached_tokens",
    "cache_write": "input_cache_creation",
    "reasoning": "output_reasoning_tokens",
}
_COST: Mapping[str, str] = {
    "input": "input",
    "cache_read": "input_cached_tokens",
    "cache_write": "input_cache_creation",
    "output": "output",
    "other": "other",
}


def langfuse(span: Span) -> Attributes:
    """Return the attributes of a span, without its content."""
    found = _trace(span) | {"langfuse.observation.type": observation_type(span)}
    if span.status == "error":
        found |= {"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": span.message or None}
    if isinstance(span.of, PushedCall):
        found |= _call(span.of, span)
    elif isinstance(span.of, ObservedTool):
        found |= _metadata("observation", {"tool_call_id": span.of.id, "time": "inferred"})
    return known(found)


def langfuse_content(span: Span) -> Attributes:
    """Return what came in and what went out; nothing if content is not sent."""
    of = span.of
    pair: tuple[Any, Any] = (None, None)
    if isinstance(of, PushedCall):
        pair = _messages(of)
    elif isinstance(of, ObservedTool):
        pair = of.arguments, of.result
    elif isinstance(of, UserTurn):
        pair = turn_input(of), turn_output(of)
    elif isinstance(of, AgentWork | PathLevel):
        pair = asked_text(of.calls[0]), answered_text(of.calls[-1])
    return known({"langfuse.observation.input": _text(pair[0]), "langfuse.observation.output": _text(pair[1])})


def observation_type(span: Span) -> str:
    """Return the type of a span's observation."""
    of = span.of
    if isinstance(of, PushedCall):
        return _TYPES[operation_of(of).kind]
    if isinstance(of, ObservedTool):
        return "tool"
    if isinstance(of, AgentWork):
        return "agent"
    return "agent" if isinstance(of, UserTurn) and agent_of(of) else "chain"


def usage_details(call: PushedCall) -> dict[str, int]:
    """Return the known token counts, each token in one of them."""
    counts = usage_of(call)
    found = {name: counts[key] for key, name in _USAGE.items() if key in counts}
    if "input" in counts:
        cached = counts.get("cache_read", 0) + counts.get("cache_write", 0)
        found["input"] = max(0, counts["input"] - cached)
    if "output" in counts:
        found["output"] = max(0, counts["output"] - counts.get("reasoning", 0))
    return found


def cost_details(call: PushedCall) -> dict[str, float]:
    """Return the cost in US dollars by what it was for; nothing if it is not known."""
    row = call.call.row
    if row["cost_usd"] is None:
        return {}
    parts = row["cost_parts"] or {}
    return {_COST[key]: value for key, value in parts.items() if value} | {"total": row["cost_usd"]}


def fitting(text: str, *, is_id: bool = False) -> str:
    """Return a text as Langfuse takes it. Two ids that differ still do: one that is changed ends in its digest."""
    plain = ascii_text(text)
    if plain == text and len(text) <= LONGEST:
        return text
    if not is_id:
        return plain[:LONGEST].rstrip()
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{plain[: LONGEST - len(digest) - 1]}-{digest}"


def _trace(span: Span) -> dict[str, Any]:
    """The attributes of the trace, on each of its spans."""
    first = _calls(span)[0]
    properties = {
        key.removeprefix("sessiontap.property."): str(value)
        for key, value in span.attributes.items()
        if key.startswith("sessiontap.property.")
    }
    found: dict[str, Any] = {}
    original: dict[str, Any] = {}
    for attribute, name in (("session.id", "session_id"), ("user.id", "user_id")):
        if (text := span.attributes.get(attribute)) is not None:
            found[attribute] = fitting(str(text), is_id=True)
            original[name] = text if found[attribute] != text else None
    name = _name(first)
    found["langfuse.trace.name"] = fitting(name)
    original["name"] = name if found["langfuse.trace.name"] != name else None
    tags = _tags(span)
    found["langfuse.trace.tags"] = list(dict.fromkeys(one for tag in tags if (one := fitting(tag)))) or None
    original["tags"] = as_json(tags) if any(fitting(tag) != tag for tag in tags) else None
    original["session_path"] = span.attributes.get("sessiontap.session.path")
    stated = {key.lower(): value for key, value in properties.items()}
    environment = stated.get("environment", "").lower()
    return {
        **found,
        **_metadata("trace", {**properties, **original}),
        "langfuse.environment": environment if ENVIRONMENT.match(environment) else None,
        "langfuse.release": stated.get("release", "")[:LONGEST] or None,
        "langfuse.version": stated.get("version", "")[:LONGEST] or None,
    }


def _calls(span: Span) -> Sequence[PushedCall]:
    of = span.of
    if isinstance(of, PushedCall):
        return (of,)
    return (of.asked,) if isinstance(of, ObservedTool) else of.calls


def _name(call: PushedCall) -> str:
    """The trace's name: that of the session, else of the agent or program. The same for all calls of a turn."""
    row = call.call.row
    return str(row["session_name"] or row["agent"] or (row["process"] or {}).get("name") or "turn")


def _tags(span: Span) -> list[str]:
    tags = span.attributes.get("sessiontap.tags")
    return [str(tag) for tag in tags] if isinstance(tags, list | tuple) else []


def _call(call: PushedCall, span: Span) -> dict[str, Any]:
    row, llm = call.call.row, part(call.call.record, "llm")
    found = _metadata("observation", {"step": row["step"], "provider": row["provider"], "host": row["host"]})
    if span.status != "error" and (warning := _warning(call)):
        found |= {"langfuse.observation.level": "WARNING", "langfuse.observation.status_message": warning}
    if observation_type(span) not in _WITH_MODEL or mcp_request(call) is not None:
        return found
    usage, cost, settings = usage_details(call), cost_details(call), request_settings(call).known
    first = row["time_to_first_token"] if row["stream"] else None
    return {
        **found,
        **_metadata("observation", {"finish_reason": row["finish_reason"], "response_id": llm.get("response_id")}),
        "langfuse.observation.model.name": row["response_model"] or row["request_model"],
        "langfuse.observation.model.parameters": as_json(settings) if settings else None,
        "langfuse.observation.usage_details": as_json(usage) if usage else None,
        "langfuse.observation.cost_details": as_json(cost) if cost else None,
        "langfuse.observation.completion_start_time": None if first is None else _iso(span.start + int(first * 1e9)),
    }


def _warning(call: PushedCall) -> str | None:
    """Return what was not right with a call that did not fail."""
    row, llm = call.call.row, part(call.call.record, "llm")
    if row["outcome"] == "client_gone":
        return "its client did not wait for the end"
    return f"cut off: {row['finish_reason']}" if came_to_an_end(row["outcome"], llm) is False else None


def _messages(call: PushedCall) -> tuple[Any, Any]:
    """The messages of a request, and the message of its reply, as OpenAI's chat has them: Langfuse draws those."""
    content = content_of(call)
    if content is None:
        return None, None
    parts = [*content.system, *(one for message in content.input for one in message.parts)]
    if call.call.row["operation"] == "embeddings":
        return [one.text for one in parts if one.text] or None, None
    asked: Any = messages(parts)
    if tools := tool_definitions(content.tools):
        asked = {"messages": asked, "tools": tools}
    return asked or None, reply_message(content.output) if content.output else None


def _text(value: Any) -> str | None:
    """A text as it is, anything else as JSON; a tool's result that is JSON stays it."""
    return value if value is None or isinstance(value, str) else as_json(value)


def _metadata(domain: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"langfuse.{domain}.metadata.{key}": value for key, value in values.items() if value is not None}


def _iso(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
