"""Gemini's generateContent, streamGenerateContent and countTokens, as https://ai.google.dev/api has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sessiontap.demo import model
from sessiontap.demo.model import Completion, Prompt
from sessiontap.demo.provider_replies import BadRequest, Ids, StreamedReply, WholeReply, sse

STATUS = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def error(status: int, message: str) -> WholeReply:
    """An error in Google's shape."""
    name = STATUS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return WholeReply({"error": {"code": status, "message": message, "status": name}}, status)


def generate(name: str, method: str, body: dict[str, Any], ids: Ids) -> WholeReply | StreamedReply:
    """`POST /v1beta/models/{name}:{method}`. Raises BadRequest."""
    if not model.KNOWN_MODELS.match(name):
        raise BadRequest(error(404, f"models/{name} is not found for API version v1beta."))
    asked = body.get("contents") if isinstance(body, dict) else None
    if not isinstance(asked, list) or not asked or not all(isinstance(content, dict) for content in asked):
        raise BadRequest(error(400, "* GenerateContentRequest.contents: contents is not specified"))
    prompt = _prompt_tokens(body, asked)
    if method == "countTokens":
        return WholeReply({"totalTokens": prompt[0]})
    answer = model.answer(_prompt(name, asked, body))
    if isinstance(answer, model.PromptedError):
        return error(answer.status, f"The prompt asked for status {answer.status}.")
    head = {"modelVersion": name, "responseId": ids.take("", 22)}
    if method == "generateContent":
        parts = [*([{"text": answer.text}] if answer.text else []), *_calls(answer)]
        return WholeReply(_chunk(head, parts, prompt, answer, _finish(answer)))
    if method == "streamGenerateContent":
        return StreamedReply(_events(head, prompt, answer))
    raise BadRequest(error(404, f"{method} is no method of models"))


def _prompt(name: str, asked: list[dict[str, Any]], body: dict[str, Any]) -> Prompt:
    last_reply = max((i for i, content in enumerate(asked) if content.get("role") == "model"), default=-1)
    users = [i for i, content in enumerate(asked) if content.get("role") != "model" and _text(content)]
    newest = users[-1] if users else -1
    declared = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    fresh = [part for content in asked[last_reply + 1 :] for part in _parts(content)]
    settings = body.get("generationConfig") or {}
    return Prompt(
        model=name,
        system=_text(body.get("systemInstruction") or {}),
        user=_text(asked[newest]) if users else "",
        tools=tuple(one["name"] for one in declared),
        results=tuple(json.dumps(p["functionResponse"].get("response")) for p in fresh if "functionResponse" in p),
        done=sum("functionResponse" in part for content in asked[newest + 1 :] for part in _parts(content)),
        limit=settings.get("maxOutputTokens"),
    )


def _parts(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in content.get("parts") or () if isinstance(part, dict)]


def _text(content: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in _parts(content) if isinstance(part.get("text"), str))


def _prompt_tokens(body: dict[str, Any], asked: list[dict[str, Any]]) -> tuple[int, int]:
    system = _text(body.get("systemInstruction") or {})
    tools = body.get("tools")
    texts = [*([system] if system else []), *(_text(c) + _rest(c) for c in asked)]
    return model.count_prompt(texts, json.dumps(tools) if tools else "")


def _rest(content: dict[str, Any]) -> str:
    rest = [part for part in _parts(content) if "text" not in part]
    return json.dumps(rest) if rest else ""


def _calls(answer: Completion) -> list[dict[str, Any]]:
    return [{"functionCall": {"name": use.name, "args": use.arguments}} for use in answer.tool_uses]


def _finish(answer: Completion) -> str:
    return "MAX_TOKENS" if answer.cut else "STOP"


def _chunk(
    head: dict[str, Any], parts: list[dict[str, Any]], prompt: tuple[int, int], answer: Completion, finish: str | None
) -> dict[str, Any]:
    """A reply, or one piece of it; the counts stand at the end, as far as the output goes."""
    total, cached = prompt
    usage = {"promptTokenCount": total, "totalTokenCount": total}
    usage |= {"cachedContentTokenCount": cached} if cached else {}
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
        usage |= {"candidatesTokenCount": answer.tokens, "totalTokenCount": total + answer.tokens}
    return {"candidates": [candidate], "usageMetadata": usage} | head


def _events(head: dict[str, Any], prompt: tuple[int, int], answer: Completion) -> Iterator[bytes]:
    steps = [[{"text": piece}] for piece in model.pieces(answer.text)] + [[call] for call in _calls(answer)]
    for number, parts in enumerate(steps, 1):
        yield sse(_chunk(head, parts, prompt, answer, _finish(answer) if number == len(steps) else None))
