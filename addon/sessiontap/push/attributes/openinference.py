"""OpenInference (github.com/Arize-ai/openinference, spec/semantic_conventions.md), which Phoenix and Arize read.

Sections: "Span Kinds"; "Reserved Attributes" (all keys below); "LLM Provider" and "LLM System" values; llm_spans.md and
tool_calling.md, "Input Messages", for the flattened lists: `llm.input_messages.0.message.tool_calls.0.tool_call.id`.
Counts are gross: `llm.token_count.prompt` has cached tokens in it, and `prompt_details` say how many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sessiontap.part import Part
from sessiontap.push.attributes.content import (
    CallContent,
    ContentMessage,
    answered_text,
    as_json,
    asked_text,
    content_of,
    parsed,
    turn_input,
    turn_output,
)
from sessiontap.push.attributes.genai import media_uri, usage_of
from sessiontap.push.attributes.request_settings import request_settings
from sessiontap.push.observed_tools import ObservedTool
from sessiontap.push.operations import SpanKind, mcp_request, operation_of
from sessiontap.push.span_facts import Attributes, AttributeValue, known
from sessiontap.push.spans import AgentWork, Span, agent_of
from sessiontap.push.target import PushedCall, UserTurn
from sessiontap.trace.outcomes import part

PROVIDERS: Mapping[str, str] = {"bedrock": "aws", "vertex": "google", "mistral": "mistralai"}
"""Well-known values of `llm.provider`, by our names; others are as ours."""
_SYSTEMS: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "cohere": "cohere",
    "mistral": "mistralai",
    "xai": "xai",
    "deepseek": "deepseek",
    "google": "vertexai",
    "vertex": "vertexai",
}
_USAGE: Mapping[str, str] = {
    "input": "llm.token_count.prompt",
    "output": "llm.token_count.completion",
    "cache_read": "llm.token_count.prompt_details.cache_read",
    "cache_write": "llm.token_count.prompt_details.cache_write",
    "reasoning": "llm.token_count.completion_details.reasoning",
}
_BILLED: Mapping[str, str] = {
    "audio_input": "llm.token_count.prompt_details.audio",
    "audio_output": "llm.token_count.completion_details.audio",
}
_TEXT, _JSON = "text/plain", "application/json"


def openinference(span: Span) -> Attributes:
    """Return the attributes of a span, without its content. (Session and user stand on every span already.)"""
    of, kind = span.of, kind_of(span)
    found: dict[str, Any] = {
        "openinference.span.kind": kind,
        "tag.tags": span.attributes.get("sessiontap.tags"),
        "metadata": _metadata(span),
    }
    if isinstance(of, UserTurn):
        found["agent.name"] = agent_of(of)
    elif isinstance(of, AgentWork):
        found["agent.name"] = of.name
    elif isinstance(of, ObservedTool):
        found |= {"tool.name": of.name, "tool.id": of.id}
    elif isinstance(of, PushedCall):
        found |= _call(of, kind)
    return known(found)


def openinference_values(span: Span) -> Attributes:
    """Return `input.value` and `output.value`, the texts by which lists show a span; nothing if content is not sent."""
    of = span.of
    if isinstance(of, ObservedTool):
        values = of.arguments, of.result
    elif isinstance(of, PushedCall):
        values = asked_text(of), answered_text(of)
    elif isinstance(of, UserTurn):
        values = turn_input(of), turn_output(of)
    elif isinstance(of, AgentWork):
        values = asked_text(of.calls[0]), answered_text(of.calls[-1])
    else:
        return {}
    found: dict[str, AttributeValue] = {}
    for side, value in zip(("input", "output"), values, strict=True):
        if value:
            is_json = isinstance(of, ObservedTool) and isinstance(parsed(value), dict | list)
            found |= {f"{side}.value": value, f"{side}.mime_type": _JSON if is_json else _TEXT}
    return found


def openinference_messages(span: Span) -> Attributes:
    """Return all messages and tool definitions of a call, flattened; nothing if content is not sent."""
    call = span.of
    content = content_of(call) if isinstance(call, PushedCall) else None
    if content is None or not isinstance(call, PushedCall) or kind_of(span) != "LLM":
        return {}
    found: dict[str, AttributeValue] = {}
    for number, message in enumerate(_input(content)):
        found |= _message(f"llm.input_messages.{number}.message", message, call)
    if content.output:
        found |= _message("llm.output_messages.0.message", ContentMessage("assistant", list(content.output)), call)
    for number, one in enumerate(content.tools):
        if one.text:
            found[f"llm.tools.{number}.tool.json_schema"] = one.text
    return {**found, "sessiontap.content.cut": True} if content.is_cut else found


def kind_of(span: Span) -> SpanKind:
    """Return the kind of a span."""
    of = span.of
    if isinstance(of, PushedCall):
        return operation_of(of).kind
    if isinstance(of, ObservedTool):
        return "TOOL"
    if isinstance(of, AgentWork) or (isinstance(of, UserTurn) and agent_of(of)):
        return "AGENT"
    return "CHAIN"


def _call(call: PushedCall, kind: SpanKind) -> dict[str, Any]:
    row, llm = call.call.row, part(call.call.record, "llm")
    mcp = mcp_request(call)
    if mcp is not None:
        return {"tool.name": mcp.tool}
    settings = request_settings(call).sent
    model = row["response_model"] or row["request_model"]
    if kind == "RERANKER":
        return {"reranker.model_name": model}
    if kind == "EMBEDDING":
        parameters = as_json(settings) if settings else None
        return {"embedding.model_name": model, "embedding.invocation_parameters": parameters, **_usage(call)}
    if kind != "LLM":
        return {}
    billed = part(llm, "billed")
    return {
        "llm.model_name": model,
        "llm.request.model_name": row["request_model"],
        "llm.response.model_name": row["response_model"],
        "llm.provider": PROVIDERS.get(row["provider"], row["provider"]),
        "llm.system": "anthropic" if row["family"] == "anthropic-messages" else _SYSTEMS.get(row["provider"] or ""),
        "llm.invocation_parameters": as_json(settings) if settings else None,
        "llm.finish_reason": row["finish_reason"],
        **_usage(call),
        **{attribute: billed.get(name) for name, attribute in _BILLED.items()},
        **_cost(row),
    }


def _usage(call: PushedCall) -> dict[str, Any]:
    counts = usage_of(call)
    found: dict[str, Any] = {_USAGE[name]: count for name, count in counts.items() if name in _USAGE}
    if "input" in counts and "output" in counts:
        found["llm.token_count.total"] = counts["input"] + counts["output"]
    return found


def _cost(row: Mapping[str, Any]) -> dict[str, Any]:
    parts = row["cost_parts"]
    found = {"llm.cost.total": row["cost_usd"]}
    if parts is None:
        return found
    return found | {
        "llm.cost.prompt": round(parts["input"] + parts["cache_read"] + parts["cache_write"], 12),
        "llm.cost.prompt_details.input": parts["input"],
        "llm.cost.prompt_details.cache_read": parts["cache_read"],
        "llm.cost.prompt_details.cache_write": parts["cache_write"],
        "llm.cost.completion": parts["output"],
    }


def _metadata(span: Span) -> str | None:
    """The properties, and the place in the session, as the reader's pages show and filter them."""
    prefix, found = "sessiontap.property.", {}
    for key, value in span.attributes.items():
        if key.startswith(prefix):
            found[key.removeprefix(prefix)] = value
    for key in ("sessiontap.session.name", "sessiontap.session.path", "sessiontap.session.step"):
        if key in span.attributes:
            found[key.removeprefix("sessiontap.").replace(".", "_")] = span.attributes[key]
    return as_json(found) if found else None


def _input(content: CallContent) -> Iterable[ContentMessage]:
    if content.system:
        yield ContentMessage("system", list(content.system))
    for message in content.input:
        if message.role != "tool":
            yield message
            continue
        for one in message.parts:  # the convention has one result a message
            yield ContentMessage("tool", [one])


def _message(key: str, message: ContentMessage, call: PushedCall) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {f"{key}.role": message.role}
    contents = [one for one in message.parts if one.kind != "tool_call"]
    if len(contents) == 1 and contents[0].kind in ("text", "system", "tool_result"):
        found[f"{key}.content"] = contents[0].text or ""
    else:
        for number, one in enumerate(contents):
            found |= _content(f"{key}.contents.{number}.message_content", one, call)
    for one in contents:
        if one.kind == "tool_result":
            found |= known({f"{key}.tool_call_id": one.id, f"{key}.name": one.name})
    for number, one in enumerate(one for one in message.parts if one.kind == "tool_call"):
        called = f"{key}.tool_calls.{number}.tool_call"
        call_facts = {"id": one.id, "function.name": one.name, "function.arguments": one.text}
        found |= known({f"{called}.{name}": value for name, value in call_facts.items()})
    return found


def _content(key: str, one: Part, call: PushedCall) -> dict[str, AttributeValue]:
    if one.kind == "media" and (one.name or "").startswith("image"):
        return {f"{key}.type": "image", f"{key}.image.image.url": media_uri(call)}
    if one.kind == "media":
        return {f"{key}.type": "text", f"{key}.text": f"[{one.name or 'media'}, {one.bytes} bytes]"}
    kind = "reasoning" if one.kind == "reasoning" else "text"
    return {f"{key}.type": kind, f"{key}.text": one.text or ""}
