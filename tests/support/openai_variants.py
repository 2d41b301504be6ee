"""How Azure, Groq and Mistral differ from OpenAI's chat completions in what they send.

Sources: learn.microsoft.com/azure/ai-foundry/openai/reference, console.groq.com/docs/api-reference,
docs.mistral.ai/api. Groq and Mistral count the tokens of a stream unasked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from sessiontap.demo import openai_wire
from sessiontap.demo.provider_replies import Ids, StreamedReply, WholeReply, sse

_SAFE = {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}
Chunk = dict[str, Any]


def azure(body: Chunk, ids: Ids) -> WholeReply | StreamedReply:
    """`POST /openai/deployments/{name}/chat/completions`. Raises BadRequest."""
    reply = openai_wire.chat(body, ids)
    filtered = [{"prompt_index": 0, "content_filter_results": _SAFE}]

    def checked(chunk: Chunk) -> Chunk:
        return chunk | {"choices": [choice | {"content_filter_results": _SAFE} for choice in chunk["choices"]]}

    if isinstance(reply, WholeReply):
        return WholeReply(checked(reply.body) | {"prompt_filter_results": filtered}) if reply.status == 200 else reply
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filtered}
    return StreamedReply(_azure_events(sse(first), _changed(reply.events, checked)))


def _azure_events(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def groq(body: Chunk, ids: Ids) -> WholeReply | StreamedReply:
    """`POST /openai/v1/chat/completions`. Raises BadRequest."""
    number = ids.take("req_01", 24).lower()
    times = {"queue_time": 0.037, "prompt_time": 0.0006, "completion_time": 0.46, "total_time": 0.46}
    reply = openai_wire.chat(_counted(body), ids)
    if isinstance(reply, WholeReply):
        usage = {"usage": reply.body["usage"] | times, "x_groq": {"id": number}} if reply.status == 200 else {}
        return WholeReply(reply.body | usage, reply.status, reply.headers)
    chunks, usage = _with_usage(reply.events)
    chunks[0]["x_groq"] = {"id": number}
    chunks[-1]["x_groq"] = {"id": number, "usage": usage | times}
    return StreamedReply(_events(chunks))


def mistral(body: Chunk, ids: Ids) -> WholeReply | StreamedReply:
    """`POST /v1/chat/completions`. Raises BadRequest."""
    reply = openai_wire.chat(_counted(body), ids)
    if isinstance(reply, WholeReply):
        return reply
    chunks, usage = _with_usage(reply.events)
    chunks[-1]["usage"] = usage
    return StreamedReply(_events(chunks))


def _counted(body: Chunk) -> Chunk:
    return body | {"stream_options": {"include_usage": True}} if body.get("stream") else body


def _with_usage(events: Iterator[bytes]) -> tuple[list[Chunk], Chunk]:
    """The chunks that have choices, without usage; and the usage of the last one."""
    *chunks, last = _chunks(events)
    for chunk in chunks:
        del chunk["usage"]
    return chunks, last["usage"]


def _chunks(events: Iterator[bytes]) -> list[Chunk]:
    texts = (event.removeprefix(b"data: ").strip() for event in events)
    return [json.loads(text) for text in texts if text != b"[DONE]"]


def _changed(events: Iterator[bytes], change: Callable[[Chunk], Chunk]) -> Iterator[bytes]:
    yield from _events([change(chunk) for chunk in _chunks(events)])


def _events(chunks: list[Chunk]) -> Iterator[bytes]:
    for chunk in chunks:
        yield sse(chunk)
    yield sse("[DONE]")
