"""Everything that an LLM service offers beside the families: opaque, but for what is plain to see.

The model that a request names is taken. Responses that are shaped like a chat completion (prompt services), or like one
of the older text completions of `SHAPES`, give model, text and usage too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sessiontap.exchange import Request, Response
from sessiontap.llm import openai_chat, openai_completions
from sessiontap.llm.call import Asked, Call, Operation, Reply, Usage
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.messages import CHAT, PROMPT
from sessiontap.llm.openai_input import INPUT
from sessiontap.llm.pick import count, dig, flag, parse, text
from sessiontap.llm.response_facts import error_inside
from sessiontap.llm.streaming import body_kind, pieces, streams

_SMALL = 1024 * 1024
"""Bytes beyond which a body of no known shape is not looked into."""

Path = tuple[str | int, ...]


class ReplyShape(NamedTuple):
    """The places of text, model and counts in a response of an older kind."""

    text: Path
    model: Path = ()
    finish: Path = ()
    input: Path = ()
    output: Path = ()
    streamed: bool = False
    """Its stream's events have the same shape, each with a part of the text."""


SHAPES: tuple[ReplyShape, ...] = (
    ReplyShape(("completion",), ("model",), ("stop_reason",), streamed=True),  # Anthropic /v1/complete
    ReplyShape(("value",), streamed=True),  # Writer /v1/completions
    ReplyShape(  # watsonx
        ("results", 0, "generated_text"),
        ("model_id",),
        ("results", 0, "stop_reason"),
        ("results", 0, "input_token_count"),
        ("results", 0, "generated_token_count"),
    ),
    ReplyShape(  # Aleph Alpha
        ("completions", 0, "completion"),
        ("model_version",),
        ("completions", 0, "finish_reason"),
        ("num_tokens_prompt_total",),
        ("num_tokens_generated",),
    ),
)


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`."""
    return Asked(
        model=text(body, "model") or text(body, "model_id"),
        stream=flag(body, "stream"),
        user=text(body, "user"),
    )


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    if call.endpoint.operation not in ("chat", "text_completion"):
        return _error_only(response)
    if streams(response):
        return _streamed(call, response)
    if body_kind(response.headers.get("content-type"), response.body) != "json":
        return Reply()
    body, problem = parse(response.body)
    if problem:
        return Reply(problems=(f"the response is {problem}",) if response.complete else ())
    if dig(body, "choices", 0, "message") is not None:
        return openai_chat.whole(body)
    if dig(body, "choices", 0, "text") is not None:
        return openai_completions.reply(call, response)
    shape = next((shape for shape in SHAPES if isinstance(dig(body, *shape.text), str)), None)
    if shape is None:
        return Reply(response_id=text(body, "id"), error=error_inside(body))
    usage = Usage(input=_count(body, shape.input), output=_count(body, shape.output))
    return Reply(
        response_model=_text(body, shape.model),
        response_id=text(body, "id"),
        text=text(body, *shape.text),
        finish_reason=_text(body, shape.finish),
        usage=None if usage == Usage() else usage,
        error=error_inside(body),
    )


def _text(body: Any, path: Path) -> str | None:
    return text(body, *path) if path else None


def _count(body: Any, path: Path) -> int | None:
    return count(body, *path) if path else None


def _error_only(response: Response) -> Reply:
    """Files, images, threads, runs: a body may be anything, and a `model` in it need not be the one that answered."""
    if len(response.body) > _SMALL or body_kind(response.headers.get("content-type"), response.body) != "json":
        return Reply()
    body, _ = parse(response.body)
    return Reply(response_id=text(body, "id"), error=error_inside(body))


def _streamed(call: Call, response: Response) -> Reply:
    problems: list[str] = []
    events = list(pieces(response, problems))
    first: Any = next((event.value for event in events if "choices" in event.value), None)
    if first is not None:
        plain = dig(first, "choices", 0, "text") is not None
        return openai_completions.reply(call, response) if plain else openai_chat.reply(call, response)
    texts: list[str] = []
    model = finish = response_id = None
    first_token: int | None = None
    error = None
    for event in events:
        error = error or error_inside(event.value)
        for shape in SHAPES:
            part = dig(event.value, *shape.text)
            if shape.streamed and isinstance(part, str):
                texts.append(part)
                model = model or _text(event.value, shape.model)
                finish = _text(event.value, shape.finish) or finish
                response_id = response_id or text(event.value, "id")
                first_token = event.end if part and first_token is None else first_token
                break
    return Reply(
        response_model=model,
        response_id=response_id,
        text="".join(texts) or None,
        finish_reason=finish,
        error=error,
        first_token=first_token,
        problems=tuple(problems),
    )


def _is_request(operation: Operation, body: dict[str, Any]) -> bool:
    """The model is named, since all other fields are words of the web; text-embeddings-inference reranks without it."""
    if operation == "rerank":
        ranked = next((body[key] for key in ("documents", "texts") if key in body), None)
        named = text(body, "model") is not None or "texts" in body
        return named and text(body, "query") is not None and isinstance(ranked, list)
    wanted = _FIELDS.get(operation)
    return wanted is not None and all(text(body, key) is not None for key in ("model", *wanted))


_FIELDS: dict[Operation, tuple[str, ...]] = {
    "image": ("prompt",),
    "audio": ("input", "voice"),
    "moderation": ("input",),
}
"""The texts that a request for an operation has beside its model."""

FAMILY = Family(
    "other",
    asked,
    reply,
    is_request=_is_request,
    routes=(
        # Azure
        FamilyRoute("POST", "**/openai/deployments/{model}/images/{action}", "image"),
        FamilyRoute("POST", "**/openai/deployments/{model}/audio/{action}", "audio"),
        # Anthropic
        FamilyRoute("*", "**/v1/messages/batches", "batch"),
        FamilyRoute("*", "**/v1/messages/batches/{rest*}", "batch"),
        FamilyRoute("POST", "/v1/complete", "text_completion"),
        # Gemini and Vertex
        FamilyRoute("POST", "**/models/{model}:embedContent", "embeddings"),
        FamilyRoute("POST", "**/models/{model}:batchEmbedContents", "embeddings"),
        FamilyRoute("POST", "**/models/{model}:asyncBatchEmbedContent", "batch"),
        FamilyRoute("POST", "**/models/{model}:batchGenerateContent", "batch"),
        FamilyRoute("POST", "**/models/{model}:predict", "other", by_model=True),
        FamilyRoute("POST", "**/models/{model}:predictLongRunning", "other"),
        FamilyRoute(
            "GET", "/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent", "realtime"
        ),
        # Bedrock
        FamilyRoute("POST", "/knowledgebases/{id}/retrieve", "vector_search"),
        FamilyRoute("POST", "/rerank", "rerank"),
        # Cohere
        FamilyRoute("*", "**/v1/embed-jobs", "batch", ("cohere",)),
        # Aleph Alpha, watsonx
        FamilyRoute("POST", "/complete", "text_completion", ("alephalpha",)),
        FamilyRoute("POST", "/ml/{version}/generation/text", "text_completion"),
        FamilyRoute("POST", "/ml/{version}/generation/text_stream", "text_completion"),
        FamilyRoute("POST", "/ml/{version}/text/generation", "text_completion"),
        FamilyRoute("POST", "/ml/{version}/text/generation_stream", "text_completion"),
        FamilyRoute("POST", "/ml/{version}/text/chat", "chat"),
        FamilyRoute("POST", "/ml/{version}/text/chat_stream", "chat"),
        # OpenAI and all that speak it
        FamilyRoute("*", "**/realtime/{rest*}", "realtime"),
        FamilyRoute("*", "**/images/{rest*}", "image"),
        FamilyRoute("*", "**/audio/{rest*}", "audio"),
        FamilyRoute("POST", "**/moderations", "moderation"),
        FamilyRoute("POST", "**/rerank", "rerank"),
        FamilyRoute("POST", "**/reranking", "rerank"),
        FamilyRoute("*", "**/batches", "batch"),
        FamilyRoute("*", "**/batches/{rest*}", "batch"),
        FamilyRoute("*", "**/vector_stores/{id}/search", "vector_search"),
        FamilyRoute("*", "**/vector_stores/{id}/files", "other"),
        FamilyRoute("*", "**/files", "file"),
        FamilyRoute("*", "**/files/{rest*}", "file"),
        FamilyRoute("*", "**/uploads", "file"),
        FamilyRoute("*", "**/uploads/{rest*}", "file"),
    ),
    messages=(CHAT, INPUT, PROMPT),
)
