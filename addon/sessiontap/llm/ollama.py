"""Ollama's own API: chat, generate, embed.

Source: github.com/ollama/ollama/blob/main/docs/api.md. It streams JSON lines unless told not to; the line with
`done: true` has the counts. A prompt that was already in memory has no count. Tool calls come whole; results of tools
name their tool (`tool_name`), formerly they did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm import openai_chat
from sessiontap.llm.call import Asked, Call, CallError, Operation, Reply, ToolCall, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.messages import CHAT, PROMPT, is_conversation
from sessiontap.llm.newest_turn import MessageLayout, newest
from sessiontap.llm.openai_chat import content_text
from sessiontap.llm.pick import count, dicts, dig, flag, items, parse, text
from sessiontap.llm.refusal import error_refusal
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import arguments_of, pieces, streams


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    if "/embed" in request.path:
        inputs = items(body, "input")
        newest_input = text(body, "input") or text(body, "prompt") or (text(inputs[-1]) if inputs else None)
        return Asked(model=text(body, "model"), stream=False, message=newest_input)
    stream = flag(body, "stream") if dig(body, "stream") is not None or not isinstance(body, dict) else True
    if dig(body, "messages") is None:
        return Asked(
            model=text(body, "model"), stream=stream, message=text(body, "prompt"), prompt=text(body, "system")
        )
    turn = newest(items(body, "messages"), _LAYOUT)
    return replace(
        openai_chat.asked(request, body),
        stream=stream,
        message=turn.message,
        tool_results=turn.tool_results,
        results=turn.results,
        answered=turn.answered,
    )


_LAYOUT = MessageLayout(
    role=lambda message: role if (role := dig(message, "role")) in ("user", "assistant") else None,
    text=lambda message: content_text(dig(message, "content"), "\n"),
    results=lambda message: (
        [(text(message, "tool_call_id"), text(message, "tool_name") or text(message, "name"))]
        if dig(message, "role") == "tool"
        else ()
    ),
    calls=lambda message: [(call.id, call.name) for call in _tool_calls(message)],
)


def _tool_calls(message: Any) -> Iterator[ToolCall]:
    for call in dicts(message, "tool_calls"):
        if name := text(call, "function", "name"):
            yield ToolCall(name, text(call, "id"), arguments_of(dig(call, "function", "arguments")))


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    problems: list[str] = []
    lines: Iterator[tuple[Any, int | None]]
    if streams(response):
        lines = ((piece.value, piece.end) for piece in pieces(response, problems))
    else:
        body, problem = parse(response.body) if response.body else (None, None)
        if problem and response.complete:
            problems.append(f"the response is {problem}")
        lines = iter([(body, None)])
    model = finish = None
    texts: list[str] = []
    thought: list[str] = []
    calls: list[ToolCall] = []
    usage = Usage()
    error: CallError | None = None
    first_token: int | None = None
    for line, end in lines:
        model = model or text(line, "model")
        message = dig(line, "message")
        part = text(message, "content") or text(line, "response")
        wanted = list(_tool_calls(message))
        texts.append(part or "")
        thought.append(text(message, "thinking") or text(line, "thinking") or "")
        calls += wanted
        if first_token is None and (part or wanted or text(message, "thinking") or text(line, "thinking")):
            first_token = end
        finish = text(line, "done_reason") or finish
        given, made = count(line, "prompt_eval_count"), count(line, "eval_count")
        usage = Usage(input=given, output=made) if (given, made) != (None, None) else usage
        error = error or error_inside(line)
    return Reply(
        response_model=model,
        text="".join(texts) or None,
        reasoning="".join(thought) or None,
        tool_calls=tuple(calls),
        finish_reason=finish,
        usage=None if usage == Usage() else usage,
        error=error,
        first_token=first_token,
        problems=tuple(problems),
    )


def _is_request(operation: Operation, body: dict[str, Any]) -> bool:
    asks = is_conversation(body.get("messages")) or any(key in body for key in ("prompt", "input"))
    return asks and text(body, "model") is not None and _FIELDS.issuperset(body)


_FIELDS = frozenset(
    (
        *("model", "messages", "prompt", "input", "suffix", "images", "system", "template", "context", "raw", "stream"),
        *("format", "options", "keep_alive", "tools", "think", "truncate", "shift", "logprobs", "top_logprobs"),
        *("dimensions", "width", "height", "steps"),
    )
)
"""All fields of its requests: its paths are those of many others."""

FAMILY = Family(
    "ollama",
    asked,
    reply,
    refusal=error_refusal,
    is_request=_is_request,
    providers=("ollama", None),
    routes=(
        FamilyRoute("POST", "/api/chat", "chat"),
        FamilyRoute("POST", "/api/generate", "text_completion"),
        FamilyRoute("POST", "/api/embed", "embeddings"),
        FamilyRoute("POST", "/api/embeddings", "embeddings"),
    ),
    provider="ollama",
    port=11434,
    messages=(CHAT, PROMPT),
    prompts=("system",),
    inputs=("input", "prompt", "suffix"),
    tools=(("tools",),),
    fields=("prompt_eval_count", "eval_count", "done", "done_reason", "response"),
)
