"""Anthropic messages and count_tokens, at Anthropic, Vertex, Azure, Copilot and whoever else speaks them.

Source: platform.claude.com/docs/en/api/messages and /streaming. Usage excludes cached tokens and is made inclusive.
In a stream `message_start` states it first and `message_delta` overrides it field by field: the last statement
counts, nothing is added up. Steps of a server-side compaction or an advisor (`usage.iterations`) are in neither the
top-level counts nor ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm.call import Asked, Call, CallError, Operation, Reply, ToolCall, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.message_pieces import CallPiece, MessagePiece, ToolOutput
from sessiontap.llm.messages import CHAT, ContentReader, is_conversation, reasoning
from sessiontap.llm.newest_turn import MessageLayout, newest
from sessiontap.llm.openai_chat import content_text
from sessiontap.llm.pick import count, counts, dicts, dig, flag, items, names, place, text
from sessiontap.llm.refusal import anthropic_refusal
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import Growing, StreamEvent, arguments_of, asked_for, pieces, reply_by_form
from sessiontap.llm.usage import billed_of

_BILLING = "x-anthropic-billing-header"
_REMINDER = "<system-reminder>"
_LOGIN = "oauth-"
"""In `anthropic-beta`: Claude Code sends it with a Claude login, and not with a key."""
_PROVIDER_RUNS = ("server_tool_use", "mcp_tool_use")
"""Blocks about tools that the provider ran within the reply, and those of their results."""
_PROVIDER_RESULTS = ("web_search_tool_result", "mcp_tool_result", "code_execution_tool_result")


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    turn = newest(items(body, "messages"), _LAYOUT)
    return Asked(
        model=text(body, "model"),
        stream=asked_for(body),
        tools_offered=names(text(tool, "name") or text(tool, "type") for tool in dicts(body, "tools")),
        runs_tools=any((text(tool, "type") or "custom") != "custom" for tool in dicts(body, "tools"))
        if body is not None
        else None,
        tool_results=turn.tool_results,
        results=turn.results,
        message=turn.message,
        prompt=_prompt(dig(body, "system")),
        user=text(body, "metadata", "user_id"),
        previous=names([text(body, "diagnostics", "previous_message_id")]),
        answered=turn.answered,
    )


def _prompt(system: Any) -> str | None:
    """The system prompt without Claude Code's billing block, which changes with every request."""
    if isinstance(system, list):
        system = [part for part in system if not (text(part, "text") or "").startswith(_BILLING)]
    return content_text(system, "\n")


def _blocks(message: Any, kind: str) -> Iterator[dict[str, Any]]:
    return (block for block in dicts(message, "content") if block.get("type") == kind)


def _user_text(message: Any) -> str | None:
    """Return a user message's text without the reminders that the client put in."""
    content = dig(message, "content")
    if isinstance(content, list):
        content = [part for part in content if not (text(part, "text") or "").lstrip().startswith(_REMINDER)]
    return content_text(content, "\n")


_LAYOUT = MessageLayout(
    role=lambda message: role if (role := dig(message, "role")) in ("user", "assistant") else None,
    text=_user_text,
    results=lambda message: [(text(block, "tool_use_id"), None) for block in _blocks(message, "tool_result")],
    calls=lambda message: [(text(block, "id"), text(block, "name")) for block in _blocks(message, "tool_use")],
)


def usage_of(usage: Any) -> Usage | None:
    """Input made inclusive: tokens read from and written to the cache belong to it."""
    found = Usage(
        input=counts(usage, "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        output=count(usage, "output_tokens"),
        cache_read=count(usage, "cache_read_input_tokens"),
        cache_write=count(usage, "cache_creation_input_tokens"),
        reasoning=count(usage, "output_tokens_details", "thinking_tokens"),
    )
    return None if found == Usage() else found


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`. The answer of count_tokens is no usage: nothing was used."""
    if call.endpoint.operation == "count_tokens":
        return Reply()
    problems: list[str] = []
    return reply_by_form(
        response, whole, lambda stream: streamed(call, pieces(stream, problems), stream.complete, problems)
    )


def whole(body: Any) -> Reply:
    """A message in one piece."""
    blocks = list(dicts(body, "content"))
    return Reply(
        response_model=text(body, "model"),
        response_id=text(body, "id"),
        text="".join(text(block, "text") or "" for block in blocks if block.get("type") == "text") or None,
        reasoning="\n".join(thought for block in blocks if (thought := text(block, "thinking"))) or None,
        tool_calls=tuple(
            ToolCall(name, text(block, "id"), arguments_of(block.get("input")))
            for block in blocks
            if block.get("type") == "tool_use" and (name := text(block, "name"))
        ),
        builtin_tool_calls=tuple(
            name for block in blocks if block.get("type") in _PROVIDER_RUNS and (name := text(block, "name"))
        ),
        finish_reason=text(body, "stop_reason"),
        usage=usage_of(dig(body, "usage")),
        billed=billed_of(dig(body, "usage")),
        service_tier=text(body, "usage", "service_tier"),
        error=error_inside(body),
    )


def streamed(call: Call, events: Iterable[StreamEvent], complete: bool, problems: list[str]) -> Reply:
    """A stream's events; Bedrock's, too, once they are taken out of their frames."""
    message: Any = None
    usage: dict[str, Any] = {}
    stopped = False
    texts: list[str] = []
    thought: list[str] = []
    calls: list[Growing] = []
    open_calls: dict[int, Growing] = {}
    inputs: dict[int, Any] = {}
    builtin: list[str] = []
    finish: str | None = None
    error: CallError | None = None
    first_token: int | None = None
    for event, _, end in events:
        kind, at = event.get("type"), place(event, "index")
        if kind == "message_start":
            message = event.get("message")
            usage |= _stated(dig(message, "usage"))
        elif kind == "content_block_start":
            block = event.get("content_block")
            block_type, name = dig(block, "type"), text(block, "name")
            if block_type == "tool_use" and name:
                calls.append(Growing(name, text(block, "id")))
                open_calls[at] = calls[-1]
                inputs[at] = dig(block, "input")
            elif block_type in _PROVIDER_RUNS and name:
                builtin.append(name)
            elif block_type == "text":
                texts.append(text(block, "text") or "")
            first_token = end if name and first_token is None else first_token
        elif kind == "content_block_delta":
            delta = event.get("delta")
            if dig(delta, "type") == "text_delta":
                texts.append(text(delta, "text") or "")
            elif dig(delta, "type") == "thinking_delta":
                thought.append(text(delta, "thinking") or "")
            elif dig(delta, "type") == "input_json_delta" and at in open_calls:
                open_calls[at].parts.append(text(delta, "partial_json") or "")
            first_token = end if first_token is None else first_token
        elif kind == "content_block_stop" and at in open_calls and not any(open_calls[at].parts):
            open_calls[at].parts.append(arguments_of(inputs.get(at)) or "")
        elif kind == "message_delta":
            finish = text(event, "delta", "stop_reason") or finish
            stated = _stated(event.get("usage"))
            usage |= stated
            stopped = stopped or bool(stated)
        elif kind == "message_stop":
            stopped = True
        elif kind == "error" or "error" in event:
            error = error or error_inside(event)
    usage_final = finish is not None or (stopped and complete and not problems)
    return Reply(
        response_model=text(message, "model"),
        response_id=text(message, "id"),
        text="".join(texts) or None,
        reasoning="".join(thought) or None,
        tool_calls=tuple(call.done() for call in calls),
        builtin_tool_calls=tuple(builtin),
        finish_reason=finish,
        usage=usage_of(usage) if usage_final else _at_start(call, usage),
        billed=billed_of(usage),
        service_tier=text(usage, "service_tier"),
        error=error,
        first_token=first_token,
        problems=tuple(problems),
    )


def _stated(usage: Any) -> dict[str, Any]:
    """A field that is null is not stated."""
    return {key: value for key, value in usage.items() if value is not None} if isinstance(usage, dict) else {}


def _at_start(call: Call, usage: dict[str, Any]) -> Usage | None:
    """Usage of a stream that was cut or damaged: the input as stated at its start, the output unknown.

    Not if it may have grown since (tools that the provider runs), nor if it is a placeholder (0, as compatible
    servers send that know it only at the end).
    """
    found = usage_of({key: value for key, value in usage.items() if key != "output_tokens"})
    return None if call.asked.runs_tools is not False or found is None or not found.input else found


def _tool_use(part: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    return [CallPiece(text(part, "name") or "", part.get("input"), text(part, "id"))]


def _tool_result(part: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    given = part.get("content")
    return [content.result(text(part, "tool_use_id"), given, ToolOutput(given, error=_failed(part)))]


def _failed(part: dict[str, Any]) -> bool | None:
    """`is_error`; a tool that the provider ran has an error code in its content."""
    return flag(part, "is_error") if text(part, "content", "error_code") is None else True


def _is_request(operation: Operation, body: dict[str, Any]) -> bool:
    """A chat must limit its tokens. Vertex has the version in place of the model."""
    if operation == "count_tokens":
        return is_conversation(body.get("messages")) and text(body, "model") is not None
    limited = count(body, "max_tokens") is not None or "anthropic_version" in body
    return limited and is_conversation(body.get("messages"))


FAMILY = Family(
    "anthropic-messages",
    asked,
    reply,
    refusal=anthropic_refusal,
    is_request=_is_request,
    is_subscription=lambda headers: _LOGIN in (headers.get("anthropic-beta") or ""),
    routes=(
        FamilyRoute("POST", "**/v1/messages", "chat"),
        FamilyRoute("POST", "**/v1/messages/count_tokens", "count_tokens"),
        # Vertex
        FamilyRoute("POST", "**/publishers/anthropic/models/count-tokens:rawPredict", "count_tokens"),
        FamilyRoute("POST", "**/publishers/anthropic/models/{model}:rawPredict", "chat"),
        FamilyRoute("POST", "**/publishers/anthropic/models/{model}:streamRawPredict", "chat"),
    ),
    messages=(CHAT,),
    prompts=("system",),
    prompt_noise=(_BILLING,),
    tools=(("tools",),),
    parts={
        "tool_use": _tool_use,
        "tool_result": _tool_result,
    },
    uncounted={
        **dict.fromkeys(("thinking", "redacted_thinking"), reasoning),
        **dict.fromkeys(_PROVIDER_RUNS, _tool_use),
        **dict.fromkeys(_PROVIDER_RESULTS, _tool_result),
    },
    noise=frozenset({"signature"}),
    cache_marks=frozenset({"cache_control"}),
    fields=("metadata", "content", "stop_reason", "usage"),
)
