"""OpenTelemetry's conventions for generative AI (github.com/open-telemetry/semantic-conventions-genai, read in autumn
2026, all "development"). Its attributes are written as literals: the constants in packages are deprecated.

Sections, under docs/gen-ai/: client-inference.md, "Span: gen_ai.client.inference" (calls; note 13 and 34: the server
behind any intermediary; note 28: input with cached tokens; note 30: output with reasoning), client-embeddings.md,
gen-ai-agent-spans.md, "Invoke agent internal span" (turns of an agent, sub-agents), execute-tool.md, "Span:
gen_ai.execute_tool" (tools), mcp.md, "Client" (MCP), gen-ai-input-messages.json and its likes (content). The general
ones of opentelemetry.io/docs/specs/semconv: `error.type`, `server.*`, `http.*`.

`gen_ai.usage.cache_creation.input_tokens` was renamed `cache_write` in August 2026: both are sent. No cost is in these
conventions: `gen_ai.usage.cost` is Langfuse's and others' word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.exchange import UrlParts
from sessiontap.part import Part
from sessiontap.push.attributes.content import ContentMessage, as_json, content_of, parsed
from sessiontap.push.attributes.request_settings import request_settings
from sessiontap.push.observed_tools import ObservedTool
from sessiontap.push.operations import mcp_request, operation_of
from sessiontap.push.span_facts import Attributes, error_type, known
from sessiontap.push.spans import AgentWork, Span, agent_of, has_sure_conversation
from sessiontap.push.target import PushedCall, UserTurn
from sessiontap.trace.outcomes import is_main, part

PROVIDERS: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Well-known values of `gen_ai.provider.name` (docs/registry/attributes/gen-ai.md) by our names; others are as ours."""

_SETTINGS: Mapping[str, str] = {
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "stop_sequences": "gen_ai.request.stop_sequences",
    "choice_count": "gen_ai.request.choice.count",
    "reasoning_level": "gen_ai.request.reasoning.level",
    "previous_response": "gen_ai.request.previous_response.id",
    "dimensions": "gen_ai.embeddings.dimension.count",
}
_USAGE: Mapping[str, tuple[str, ...]] = {
    "input": ("gen_ai.usage.input_tokens",),
    "output": ("gen_ai.usage.output_tokens",),
    "cache_read": ("gen_ai.usage.cache_read.input_tokens",),
    "cache_write": ("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
    "reasoning": ("gen_ai.usage.reasoning.output_tokens",),
}
_BILLED: Mapping[str, str] = {
    "audio_input": "gen_ai.usage.audio.input_tokens",
    "audio_cache_read": "gen_ai.usage.audio.cache_read.input_tokens",
    "audio_output": "gen_ai.usage.audio.output_tokens",
    "image_input": "gen_ai.usage.image.input_tokens",
    "image_output": "gen_ai.usage.image.output_tokens",
}
_MODALITIES = ("image", "audio", "video")


def genai(span: Span) -> Attributes:
    """Return the attributes of a span, without its content."""
    of = span.of
    if isinstance(of, PushedCall):
        return known(_call(of))
    if isinstance(of, ObservedTool):
        return known(_tool(of))
    if isinstance(of, AgentWork):
        return known({**_agent(of.name), **_conversation(of.calls)})
    if isinstance(of, UserTurn):
        return known({**_agent(agent_of(of)), **_conversation(of.calls)})
    return {}


def genai_content(span: Span) -> Attributes:
    """Return what was said, as JSON text; nothing if content is not sent."""
    of = span.of
    if isinstance(of, ObservedTool):
        return known({"gen_ai.tool.call.arguments": of.arguments, "gen_ai.tool.call.result": of.result})
    content = content_of(of) if isinstance(of, PushedCall) else None
    if content is None or not isinstance(of, PushedCall):
        return {}
    answer = {"role": "assistant", "parts": [_part(one, of) for one in content.output]}
    answer["finish_reason"] = of.call.row["finish_reason"] or ("error" if error_type(of) else "stop")
    attributes = {
        "gen_ai.system_instructions": [_part(one, of) for one in content.system],
        "gen_ai.input.messages": [_message(one, of) for one in content.input],
        "gen_ai.output.messages": [answer] if content.output else [],
        "gen_ai.tool.definitions": [definition(one) for one in content.tools],
    }
    found = {key: as_json(value) for key, value in attributes.items() if value}
    return {**found, "sessiontap.content.cut": True} if content.is_cut else found


def provider_name(call: PushedCall) -> str | None:
    """Return the provider by its well-known name; None if it is not known."""
    provider = call.call.row["provider"]
    return PROVIDERS.get(provider, provider) if provider else None


def usage_of(call: PushedCall) -> dict[str, int]:
    """Return the known counts of tokens. Of a provider that bills for others than it read (Cohere) the billed ones."""
    llm = part(call.call.record, "llm")
    billed = {name: count for name, count in part(llm, "billed").items() if name in ("input", "output")}
    return _known_counts({**(call.call.row["usage"] or {}), **billed})


def definition(one: Part) -> Any:
    """Return a tool's definition as it was sent, with the type and name that readers look for."""
    sent = parsed(one.text)
    if not isinstance(sent, dict):
        return {"type": "function", "name": one.name}
    found = {"type": "function", "name": one.name, **sent}
    if "parameters" not in found and isinstance(schema := sent.get("input_schema") or sent.get("inputSchema"), dict):
        found["parameters"] = schema
    return found


def _call(call: PushedCall) -> dict[str, Any]:
    row, llm = call.call.row, part(call.call.record, "llm")
    operation, mcp = operation_of(call), mcp_request(call)
    found: dict[str, Any] = {
        "gen_ai.operation.name": operation.name,
        "error.type": error_type(call),
        "http.request.method": row["method"],
        "http.response.status_code": row["status"],
        **_server(call),
    }
    if mcp is not None:
        return found | {"mcp.method.name": mcp.method, "gen_ai.tool.name": mcp.tool}
    if row["operation"] == "other" and operation.name is None and not row["request_model"]:
        return found | {"url.template": row["route"]}
    settings, billed = request_settings(call).known, part(llm, "billed")
    found |= {_SETTINGS[name]: value for name, value in settings.items() if (name, value) != ("choice_count", 1)}
    if operation.name != "fetch_response":  # client-inference.md, note 40: no token usage of it
        for name, count in usage_of(call).items():
            found |= dict.fromkeys(_USAGE.get(name, ()), count)
        found |= {attribute: billed.get(name) for name, attribute in _BILLED.items()}
    return found | {
        "gen_ai.provider.name": provider_name(call),
        "gen_ai.request.model": row["request_model"],
        "gen_ai.request.stream": True if row["stream"] else None,
        "gen_ai.response.id": llm.get("response_id"),
        "gen_ai.response.model": row["response_model"],
        "gen_ai.response.finish_reasons": [row["finish_reason"]] if row["finish_reason"] else None,
        "gen_ai.response.time_to_first_chunk": row["time_to_first_token"] if row["stream"] else None,
        "gen_ai.conversation.compacted": True if row["kind"] == "compaction" else None,
        "gen_ai.usage.cost": row["cost_usd"],
        **_conversation((call,)),
    }


def _server(call: PushedCall) -> dict[str, Any]:
    """The server that the app meant, behind any gateway."""
    record = call.call.record
    url = UrlParts.of(str(call.call.request.get("url") or ""), record.get("host"), record.get("forwarded_host"))
    host = record.get("host") or url.host or None
    rerouted = record.get("forwarded_host") not in (None, record.get("host"))
    port = None if rerouted else url.port
    default = {"http": 80, "https": 443}.get(url.scheme)
    return {"server.address": host, "server.port": (port or default) if host else None}


def _tool(tool: ObservedTool) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool.name,
        "gen_ai.tool.call.id": tool.id,
        "error.type": "tool_error" if tool.error else None,
        **_conversation((tool.asked,)),
    }


def _agent(name: str | None) -> dict[str, Any]:
    return {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name} if name else {}


def _conversation(calls: tuple[PushedCall, ...]) -> dict[str, Any]:
    """The conversation's id, which is never invented: only one that was declared, or is known for sure."""
    mains = [call for call in calls if is_main(call.call.record)] or list(calls)
    sure = next((call for call in mains if has_sure_conversation(call)), None)
    return {"gen_ai.conversation.id": sure.call.row["conversation"]} if sure else {}


def _message(message: ContentMessage, call: PushedCall) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(one, call) for one in message.parts]}


def _part(one: Part, call: PushedCall) -> dict[str, Any]:
    match one.kind:
        case "tool_call":
            return {"type": "tool_call", "id": one.id, "name": one.name or "", "arguments": parsed(one.text)}
        case "tool_result":
            return {"type": "tool_call_response", "id": one.id, "response": one.text or ""}
        case "reasoning":
            return {"type": "reasoning", "content": one.text or ""}
        case "media":
            kind = next((modality for modality in _MODALITIES if modality in (one.name or "")), "document")
            return {"type": "uri", "modality": kind, "mime_type": one.name, "uri": media_uri(call)}
        case "other":
            return {"type": one.name or "other", "content": one.text or ""}
        case _:
            return {"type": "text", "content": one.text or ""}


def media_uri(call: PushedCall) -> str:
    """Return what stands for media: the call in whose request it is. The media itself is not sent."""
    return f"sessiontap:{call.call.id}/request"


def _known_counts(counts: Mapping[str, Any]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if isinstance(count, int) and not isinstance(count, bool)}
