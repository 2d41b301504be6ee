"""Amazon Bedrock's Converse and ConverseStream; Nova's native bodies have the same shape.

Source: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. Input excludes cached tokens and is
made inclusive. The stream is event-stream frames; its last event, `metadata`, has the counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sessiontap.exchange import Request, Response
from sessiontap.llm import eventstream
from sessiontap.llm.call import Asked, Call, CallError, Reply, ToolCall, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.message_pieces import CallPiece, MessagePiece, TextPiece, ToolOutput
from sessiontap.llm.messages import CHAT, ContentReader, is_conversation, reasoning, silent
from sessiontap.llm.newest_turn import MessageLayout, newest
from sessiontap.llm.pick import count, dicts, dig, first_count, in_range, items, names, parse, place, text, unreadable
from sessiontap.llm.refusal import bedrock_refusal
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import Growing, arguments_of
from sessiontap.llm.usage import billed_of


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`. The model stands in the URL."""
    counted = dig(body, "input", "converse")  # count-tokens
    asks = counted if isinstance(counted, dict) else body
    turn = newest(items(asks, "messages"), _LAYOUT)
    return Asked(
        stream=request.path.endswith("-stream"),
        tools_offered=names(
            text(tool, "toolSpec", "name") or text(tool, "systemTool", "name")
            for tool in dicts(asks, "toolConfig", "tools")
        ),
        tool_results=turn.tool_results,
        results=turn.results,
        message=turn.message,
        prompt=_text_of(dig(asks, "system"), "\n"),
        answered=turn.answered,
    )


def _blocks(message: Any, key: str) -> Iterator[Any]:
    return (block[key] for block in dicts(message, "content") if key in block)


def _tool_use(part: dict[str, Any], content: ContentReader) -> list[MessagePiece] | None:
    use = part.get("toolUse")
    if not isinstance(use, dict):
        return None
    return [CallPiece(text(use, "name") or "", use.get("input"), text(use, "toolUseId"))]


def _tool_result(part: dict[str, Any], content: ContentReader) -> list[MessagePiece] | None:
    found = part.get("toolResult")
    if not isinstance(found, dict):
        return None
    given, failed = found.get("content"), _FAILED.get(text(found, "status") or "")
    return [content.result(text(found, "toolUseId"), given, ToolOutput(given, error=failed))]


def _said_inside(part: dict[str, Any], content: ContentReader) -> list[MessagePiece] | None:
    """A text that is guarded, or has citations."""
    words = _text_of([part])
    return content.whole(part, TextPiece(words)) if words is not None else None


_FAILED = {"error": True, "success": False}
"""By the status of a result."""


def _reasoning(part: dict[str, Any], content: ContentReader) -> list[MessagePiece] | None:
    found = part.get("reasoningContent")
    if not isinstance(found, dict):
        return None
    stated = found.get("reasoningText")
    return reasoning(stated if isinstance(stated, dict) else found, content)


def _text_of(content: Any, joint: str = "") -> str | None:
    """The text of blocks: plain, guarded, or with citations."""
    if isinstance(content, str):
        return content or None
    parts: list[str | None] = []
    for block in dicts(content):
        parts.append(text(block, "text") or text(block, "guardContent", "text", "text"))
        parts += [text(cited, "text") for cited in dicts(block, "citationsContent", "content")]
    return joint.join(part for part in parts if part) or None


_LAYOUT = MessageLayout(
    role=lambda message: role if (role := dig(message, "role")) in ("user", "assistant") else None,
    text=lambda message: _text_of(dig(message, "content"), "\n"),
    results=lambda message: [(text(found, "toolUseId"), None) for found in _blocks(message, "toolResult")],
    calls=lambda message: [(text(use, "toolUseId"), text(use, "name")) for use in _blocks(message, "toolUse")],
)


class BedrockCounts(NamedTuple):
    """Tokens as Bedrock states them: `input` without those read from and written to the cache."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None

    def usage(self) -> Usage | None:
        if self == BedrockCounts():
            return None
        given = None if self.input is None else in_range(self.input + (self.cache_read or 0) + (self.cache_write or 0))
        return Usage(given, self.output, self.cache_read, self.cache_write)


def counts_of(usage: Any) -> BedrockCounts:
    """Converse's `usage`; Nova's own bodies name the cached tokens `...TokenCount`."""
    return BedrockCounts(
        input=None if unreadable(usage, *_CACHE_READ, *_CACHE_WRITE) else count(usage, "inputTokens"),
        output=count(usage, "outputTokens"),
        cache_read=first_count(usage, *_CACHE_READ),
        cache_write=first_count(usage, *_CACHE_WRITE),
    )


_CACHE_READ = (("cacheReadInputTokens",), ("cacheReadInputTokenCount",))
_CACHE_WRITE = (("cacheWriteInputTokens",), ("cacheWriteInputTokenCount",))


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`. The answer of count-tokens is no usage: nothing was used."""
    if call.endpoint.operation == "count_tokens" or not response.body:
        return Reply()
    problems: list[str] = []
    if eventstream.is_eventstream(response):
        return streamed(eventstream.events(response, problems), problems)
    body, problem = parse(response.body)
    if problem:
        return Reply(problems=(f"the response is {problem}",) if response.complete else ())
    return whole(body)


def whole(body: Any) -> Reply:
    """An answer in one piece."""
    blocks = list(dicts(body, "output", "message", "content"))
    uses = [use for block in blocks if isinstance(use := block.get("toolUse"), dict)]
    return Reply(
        response_model=_routed(body),
        text=_text_of(blocks),
        reasoning="\n".join(one for block in blocks if (one := text(block, *_REASONING_TEXT))) or None,
        tool_calls=tuple(
            ToolCall(name, text(use, "toolUseId"), arguments_of(use.get("input")))
            for use in uses
            if (name := text(use, "name")) and not _builtin(use)
        ),
        builtin_tool_calls=tuple(name for use in uses if (name := text(use, "name")) and _builtin(use)),
        finish_reason=text(body, "stopReason"),
        usage=counts_of(dig(body, "usage")).usage(),
        billed=billed_of(dig(body, "usage")),
        service_tier=text(body, "serviceTier", "type"),
        error=error_inside(body),
    )


_REASONING_TEXT = ("reasoningContent", "reasoningText", "text")


def _routed(body: Any) -> str | None:
    """The model that a prompt router chose; else nothing in the answer says which it was."""
    return text(body, "trace", "promptRouter", "invokedModelId")


def _builtin(use: Any) -> bool:
    """A tool that Bedrock runs itself, such as Nova's grounding."""
    return text(use, "type") == "server_tool_use"


def streamed(events: Iterable[eventstream.EventStreamMessage], problems: list[str]) -> Reply:
    """A stream's events; Nova's own, too, once they are taken out of their chunks."""
    texts: list[str] = []
    thought: list[str] = []
    calls: list[Growing] = []
    growing: dict[int, Growing] = {}
    builtin: list[str] = []
    metadata: Any = None
    finish: str | None = None
    error: CallError | None = None
    first_token: int | None = None
    for event in events:
        at = place(event.value, "contentBlockIndex")
        if event.failed:
            error = error or CallError(event.kind or None, text(event.value, "message"))
        elif event.kind == "contentBlockStart":
            use = dig(event.value, "start", "toolUse")
            if (name := text(use, "name")) and _builtin(use):
                builtin.append(name)
            elif name:
                calls.append(Growing(name, text(use, "toolUseId")))
                growing[at] = calls[-1]
            first_token = event.end if name and first_token is None else first_token
        elif event.kind == "contentBlockDelta":
            delta = dig(event.value, "delta")
            texts.append(text(delta, "text") or "")
            thought.append(text(delta, "reasoningContent", "text") or "")
            if at in growing:
                growing[at].parts.append(arguments_of(dig(delta, "toolUse", "input")) or "")
            first_token = event.end if delta and first_token is None else first_token
        elif event.kind == "messageStop":
            finish = text(event.value, "stopReason")
        elif event.kind == "metadata":
            metadata = event.value
    return Reply(
        response_model=_routed(metadata),
        text="".join(texts) or None,
        reasoning="".join(thought) or None,
        tool_calls=tuple(call.done() for call in calls),
        builtin_tool_calls=tuple(builtin),
        finish_reason=finish,
        usage=counts_of(dig(metadata, "usage")).usage(),
        billed=billed_of(dig(metadata, "usage")),
        service_tier=text(metadata, "serviceTier", "type"),
        error=error,
        first_token=first_token,
        problems=tuple(problems),
    )


FAMILY = Family(
    "bedrock-converse",
    asked,
    reply,
    refusal=bedrock_refusal,
    is_request=lambda _, body: is_conversation(body.get("messages")) or isinstance(dig(body, "input"), dict),
    routes=(
        FamilyRoute("POST", "**/model/{model}/converse", "chat"),
        FamilyRoute("POST", "**/model/{model}/converse-stream", "chat"),
        FamilyRoute("POST", "**/model/{model}/count-tokens", "count_tokens"),
    ),
    messages=(CHAT,),
    prompts=("system",),
    tools=(("toolConfig", "tools"),),
    parts={
        "toolUse": _tool_use,
        "toolResult": _tool_result,
        "cachePoint": silent,
        **dict.fromkeys(("guardContent", "citationsContent"), _said_inside),
    },
    uncounted={"reasoningContent": _reasoning},
    cache_marks=frozenset({"cachePoint"}),
)
