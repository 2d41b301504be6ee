"""Amazon Bedrock's InvokeModel and InvokeModelWithResponseStream: each model's own JSON, passed through.

Source: docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html. What speaks a family that has a module of
its own is read by that: Claude's messages, OpenAI's chat (Mistral, Jamba, DeepSeek, Qwen, gpt-oss, imported models),
Cohere's, and Converse's for Nova. The rest is in `SHAPES`. A body's shape tells, not the model's name, which may be an
ARN. A stream is event-stream frames of `{"bytes": base64 of the model's chunk}`.

Counts are stated twice, by the model in its body and by Bedrock in headers (`x-amzn-bedrock-input-token-count`, ...) or
the last chunk (`amazon-bedrock-invocationMetrics`). If both are there and differ, neither is taken.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import anthropic_messages, bedrock_converse, cohere, eventstream, openai_chat
from sessiontap.llm.bedrock_converse import BedrockCounts
from sessiontap.llm.call import Asked, Call, CallError, Reply, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.messages import CHAT, PROMPT, is_conversation
from sessiontap.llm.pick import count, dicts, dig, items, parse, text, unreadable
from sessiontap.llm.refusal import bedrock_refusal
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import StreamEvent

Path = tuple[str | int, ...]


class BodyShape(NamedTuple):
    """The places of text, counts and model in a body, or in a chunk of a stream."""

    text: Path
    finish: tuple[Path, ...] = ()
    input: Path = ()
    output: Path = ()
    model: Path = ()


SHAPES: tuple[BodyShape, ...] = (
    BodyShape(  # Titan
        ("results", 0, "outputText"),
        (("results", 0, "completionReason"),),
        ("inputTextTokenCount",),
        ("results", 0, "tokenCount"),
    ),
    BodyShape(  # Titan's chunks
        ("outputText",), (("completionReason",),), ("inputTextTokenCount",), ("totalOutputTextTokenCount",)
    ),
    BodyShape(("generation",), (("stop_reason",),), ("prompt_token_count",), ("generation_token_count",)),  # Llama
    BodyShape(("outputs", 0, "text"), (("outputs", 0, "stop_reason"),)),  # Mistral
    BodyShape(("completion",), (("stop_reason",),)),  # Claude up to 2.1
    BodyShape(("completions", 0, "data", "text"), (("completions", 0, "finishReason", "reason"),)),  # Jurassic
    BodyShape(  # DeepSeek R1, imported models
        ("choices", 0, "text"),
        (("choices", 0, "finish_reason"), ("choices", 0, "stop_reason")),
        ("usage", "prompt_tokens"),
        ("usage", "completion_tokens"),
        ("model",),
    ),
    BodyShape(("message",), (("finishReason",),)),  # Pegasus
)

_NOVA = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
_NOVA_ASKS = ("schemaVersion", "inferenceConfig", "toolConfig")


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`. The model stands in the URL."""
    return replace(_native(request, body), model=None, stream=request.path.endswith("-stream"))


def _native(request: Request, body: Any) -> Asked:
    if not isinstance(body, dict):
        return Asked()
    if "anthropic_version" in body:
        return anthropic_messages.asked(request, body)
    if "messages" in body:
        nova = any(key in body for key in _NOVA_ASKS)
        return bedrock_converse.asked(request, body) if nova else openai_chat.asked(request, body)
    if "message" in body or "texts" in body or "query" in body:
        return cohere.asked(request, body)
    inputs = items(body, "inputs")
    prompt = text(body, "prompt") or text(body, "inputText") or text(body, "inputPrompt") or text(body, "inputs")
    return Asked(message=prompt or (text(inputs[-1]) if inputs else None))


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`. Embeddings have no output."""
    problems: list[str] = []
    if eventstream.is_eventstream(response):
        found, stated = _from_frames(call, response, problems)
    else:
        body, problem = parse(response.body) if response.body else (None, None)
        if problem and response.complete:
            problems.append(f"the response is {problem}")
        found, stated = replace(whole(body), problems=tuple(problems)), _in_headers(response.headers)
    usage = _both(found.usage, stated)
    if usage and call.endpoint.operation == "embeddings":
        usage = replace(usage, output=None)
    return replace(found, usage=usage)


def whole(body: Any) -> Reply:
    """An answer in one piece."""
    if text(body, "type") == "message":
        return anthropic_messages.whole(body)
    if dig(body, "output", "message") is not None:
        return bedrock_converse.whole(body)
    if dig(body, "choices", 0, "message") is not None:
        return openai_chat.whole(_renamed(body))
    if dig(body, "generations") is not None or text(body, "generation_id") or items(body, "message", "content"):
        return cohere.whole(body)
    if _shape(body) is None:
        given = count(body, "inputTextTokenCount")  # Titan's embeddings
        usage = None if given is None else Usage(input=given)
        return Reply(response_id=text(body, "id"), usage=usage, error=error_inside(body))
    return replace(_shaped([StreamEvent(body, None, 0)], True), first_token=None)


def _from_frames(call: Call, response: Response, problems: list[str]) -> tuple[Reply, BedrockCounts]:
    chunks: list[StreamEvent] = []
    error: CallError | None = None
    stated = BedrockCounts()
    for event in eventstream.events(response, problems):
        if event.failed:
            error = error or CallError(event.kind or None, text(event.value, "message"))
        elif event.kind == "chunk" and (chunk := _chunk(event, problems)) is not None:
            chunks.append(StreamEvent(chunk, None, event.end))
            metrics = dig(chunk, "amazon-bedrock-invocationMetrics")
            stated = _in_metrics(metrics) if metrics else stated
    found = _streamed(call, chunks, response.complete and not problems, problems)
    usage = found.usage
    if (
        usage and not response.complete and stated == BedrockCounts()
    ):  # the other statement, which may differ, was cut off
        usage = replace(usage, output=None)
    return replace(found, usage=usage, error=error or found.error, problems=tuple(problems)), stated


def _chunk(event: eventstream.EventStreamMessage, problems: list[str]) -> dict[str, Any] | None:
    try:
        raw = base64.b64decode(text(event.value, "bytes") or "", validate=True)
    except (binascii.Error, ValueError) as fault:
        problems.append(f"the chunk that ends at byte {event.end} is no base64 ({fault})")
        return None
    chunk, problem = parse(raw) if raw else (None, None)
    if problem:
        problems.append(f"the chunk that ends at byte {event.end} is {problem}")
    return chunk if isinstance(chunk, dict) else None


def _streamed(call: Call, chunks: list[StreamEvent], complete: bool, problems: list[str]) -> Reply:
    first: Any = chunks[0].value if chunks else None
    kind = text(first, "type") or ""
    if kind.startswith(("message_", "content_block_", "ping", "error")):
        return anthropic_messages.streamed(call, chunks, complete, problems)
    if any(key in _NOVA for key in first or ()):
        return bedrock_converse.streamed(_nova(chunks), problems)
    if dig(first, "choices", 0, "delta") is not None or dig(first, "choices", 0, "message") is not None:
        renamed = [chunk._replace(value=_renamed(chunk.value)) for chunk in chunks]
        return openai_chat.streamed(renamed, complete, problems)
    if "is_finished" in (first or ()) or kind.startswith("message-"):
        return cohere.streamed(chunks, problems)
    return _shaped(chunks, complete)


def _nova(chunks: list[StreamEvent]) -> Iterator[eventstream.EventStreamMessage]:
    """Nova's chunks have an event's name for their key."""
    for chunk in chunks:
        for key in _NOVA:
            if key in chunk.value:
                yield eventstream.EventStreamMessage(key, chunk.value[key], chunk.end)


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    """Mistral's choices have a `stop_reason`."""
    choices = [{"finish_reason": choice.get("stop_reason"), **choice} for choice in dicts(body, "choices")]
    return {**body, "choices": choices}


def _shape(body: Any) -> BodyShape | None:
    return next((shape for shape in SHAPES if isinstance(dig(body, *shape.text), str)), None)


def _shaped(chunks: list[StreamEvent], complete: bool) -> Reply:
    """A body, or a stream's chunks, of one of the simple shapes."""
    shape: BodyShape | None = None
    texts: list[str] = []
    model = response_id = finish = None
    given = made = None
    error: CallError | None = None
    first_token: int | None = None
    for chunk, _, end in chunks:
        error = error or error_inside(chunk)
        shape = shape or _shape(chunk)
        if shape is None:
            continue
        part = text(chunk, *shape.text)
        texts.append(part or "")
        first_token = end if part and first_token is None else first_token
        finish = next((found for path in shape.finish if (found := text(chunk, *path))), finish)
        model = model or text(chunk, *shape.model)
        response_id = response_id or text(chunk, "id")
        given = _newer(chunk, shape.input, given)
        made = _newer(chunk, shape.output, made)
    usage = Usage(input=given, output=made if complete or finish else None)  # Llama counts along in every chunk
    return Reply(
        response_model=model,
        response_id=response_id,
        text="".join(texts) or None,
        finish_reason=finish,
        usage=None if usage == Usage() else usage,
        error=error,
        first_token=first_token,
    )


def _newer(chunk: Any, path: Path, before: int | None) -> int | None:
    """Return the count that the chunk states, or the one before if it states none."""
    return before if dig(chunk, *path) is None else count(chunk, *path)


def _or(found: int | None, other: int | None) -> int | None:
    return other if found is None else found


# Counts, stated twice ----------------------------------------------------------------------------------------------


def _in_headers(headers: Headers) -> BedrockCounts:
    return BedrockCounts(*(_whole_number(headers.get(f"x-amzn-bedrock-{what}-token-count")) for what in _HEADERS))


_HEADERS = ("input", "output", "cache-read-input", "cache-write-input")


def _whole_number(value: str | None) -> int | None:
    return count(int(value)) if value is not None and value.isascii() and value.isdigit() and len(value) < 16 else None


def _in_metrics(metrics: Any) -> BedrockCounts:
    unclear = unreadable(metrics, ("cacheReadInputTokenCount",), ("cacheWriteInputTokenCount",))
    return BedrockCounts(
        input=None if unclear else count(metrics, "inputTokenCount"),
        output=count(metrics, "outputTokenCount"),
        cache_read=count(metrics, "cacheReadInputTokenCount"),
        cache_write=count(metrics, "cacheWriteInputTokenCount"),
    )


def _both(usage: Usage | None, stated: BedrockCounts) -> Usage | None:
    """The model's counts and Bedrock's, field by field; both state the input without cached tokens."""
    if usage is None:
        return stated.usage()
    cached = (usage.cache_read or 0) + (usage.cache_write or 0)
    own = BedrockCounts(
        None if usage.input is None else usage.input - cached, usage.output, usage.cache_read, usage.cache_write
    )
    agreed = BedrockCounts(*map(_agreed, own, stated))
    if _differ(own.cache_read, stated.cache_read) or _differ(own.cache_write, stated.cache_write):
        agreed = agreed._replace(input=None)
    found = agreed.usage()
    return replace(found or Usage(), reasoning=usage.reasoning) if found or usage.reasoning is not None else None


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other


def _agreed(one: int | None, other: int | None) -> int | None:
    if _differ(one, other):
        return None
    return _or(one, other)


_ASKS = frozenset({"anthropic_version", "message", "prompt", "inputText", "inputPrompt", "texts", "inputs"})

FAMILY = Family(
    "bedrock-invoke",
    asked,
    reply,
    refusal=bedrock_refusal,
    is_request=lambda _, body: is_conversation(body.get("messages")) or not _ASKS.isdisjoint(body),
    routes=(
        FamilyRoute("POST", "**/model/{model}/invoke", "chat", by_model=True),
        FamilyRoute("POST", "**/model/{model}/invoke-with-response-stream", "chat", by_model=True),
    ),
    messages=(CHAT, PROMPT),
    prompts=("system",),
    inputs=("prompt", "inputText", "inputPrompt", "texts", "inputs", "query", "documents"),
    tools=(("tools",),),
)
