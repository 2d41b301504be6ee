"""A call as OpenAI's chat API would have it: for targets that read that form alone, whatever the call's wire family.

It is made of the call's parts, so reasoning stands beside the text, and media are named by type and size. What is not
known is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sessiontap.export.exported_call import Record
from sessiontap.part import Part
from sessiontap.push.attributes.request_settings import request_settings
from sessiontap.push.target import PushedCall

Json = dict[str, Any]

_SETTINGS: Mapping[str, str] = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop",
    "choice_count": "n",
    "reasoning_level": "reasoning_effort",
    "dimensions": "dimensions",
}
"""Our names of a request's settings, and OpenAI's."""


def request_form(call: PushedCall) -> Json:
    """Return the request: its model and settings, and with content its messages and the tools that it offers."""
    known = request_settings(call).known
    asked: Json = {name: known[key] for key, name in _SETTINGS.items() if key in known}
    if model := model_asked(call):
        asked["model"] = model
    if call.parts is None:
        return asked
    if call.call.row["operation"] == "embeddings":
        asked["input"] = [part.text for part in call.parts.request if part.text]
    else:
        asked["messages"] = messages(call.parts.request)
        if tools := tool_definitions(call.parts.request):
            asked["tools"] = tools
    return asked


def reply_form(call: PushedCall) -> Json:
    """Return the reply: id, model, token counts, and with content what was said, or the error."""
    row = call.call.row
    is_chat = row["operation"] != "embeddings"
    form: Json = {"object": "chat.completion" if is_chat else "list"}
    if response_id := _llm(call).get("response_id"):
        form["id"] = response_id
    if model := row["response_model"] or row["request_model"]:
        form["model"] = model
    if is_chat and call.call.response is not None and row["error"] is None:
        form["choices"] = [_choice(call)]
    if usage := usage_form(row["usage"]):
        form["usage"] = usage
    if error := error_form(call):
        form["error"] = error
    return form


def error_form(call: PushedCall) -> Json | None:
    """Return the error of a call that failed; its message may quote what was said, so it is content."""
    row = call.call.row
    error = row["error"] or {}
    kind = error.get("type") or (row["outcome"] if row["outcome"] != "ok" else None)
    if kind is None and not error:
        return None
    error_message = error.get("message") if call.parts is not None else None
    return {key: value for key, value in (("type", kind), ("message", error_message)) if value is not None}


def usage_form(usage: Mapping[str, Any] | None) -> Json:
    """Return token counts as OpenAI states them: the prompt's with those from a cache, the completion's with reasoning.

    The reasoning is not told apart: readers subtract it from the completion and drop it.
    """
    usage = usage or {}
    given, made, cached = (usage.get(key) for key in ("input", "output", "cache_read"))
    counts: Json = {}
    if given is not None:
        counts["prompt_tokens"] = given
    if made is not None:
        counts["completion_tokens"] = made
    if given is not None and made is not None:
        counts["total_tokens"] = given + made
    if given is not None and cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    return counts


def model_asked(call: PushedCall) -> str | None:
    """Return the model that the request names; else the one that replied."""
    row = call.call.row
    model: str | None = row["request_model"] or row["response_model"]
    return model


def messages(parts: Iterable[Part]) -> list[Json]:
    """Return a request's messages: parts of one message and role together, each tool's result by itself."""
    found: list[Json] = []
    place: tuple[int | None, str] | None = None
    for part in parts:
        if part.kind == "tool_definition":
            continue
        if part.kind == "tool_result":
            found.append(_result(part))
            place = None
            continue
        role = part.role or "user"
        if role == "tool":  # media of a tool's result
            role = "user"
        if place != (part.message, role):
            place = (part.message, role)
            found.append({"role": role, "content": ""})
        _add(found[-1], part)
    return found


def reply_message(parts: Iterable[Part]) -> Json:
    """Return a reply's parts as one message."""
    message: Json = {"role": "assistant", "content": ""}
    for part in parts:
        _add(message, part)
    return message


def tool_definitions(parts: Iterable[Part]) -> list[Json]:
    """Return the tools that a request offers."""
    return [tool for part in parts if (tool := _definition(part))]


def _choice(call: PushedCall) -> Json:
    choice: Json = {"index": 0, "finish_reason": call.call.row["finish_reason"]}
    return choice if call.parts is None else choice | {"message": reply_message(call.parts.reply)}


def _add(message: Json, part: Part) -> None:
    if part.kind == "tool_call":
        called = {"type": "function", "function": {"name": part.name or "", "arguments": part.text or "{}"}}
        message.setdefault("tool_calls", []).append({"id": part.id, **called} if part.id else called)
    elif part.kind == "reasoning":
        if part.text:
            message["reasoning_content"] = _joined(message.get("reasoning_content"), part.text)
    else:
        message["content"] = _joined(message["content"], _text(part))


def _result(part: Part) -> Json:
    result: Json = {"role": "tool", "content": part.text or ""}
    if part.id:
        result["tool_call_id"] = part.id
    if part.name:
        result["name"] = part.name
    return result


def _definition(part: Part) -> Json | None:
    """Return a tool in OpenAI's form. Other families call its parameters `input_schema` or `inputSchema`."""
    if part.kind != "tool_definition" or not part.name:
        return None
    try:
        whole = json.loads(part.text or "")
    except (ValueError, RecursionError):
        whole = None
    function: Json = {"name": part.name}
    if isinstance(whole, dict):
        if isinstance(text := whole.get("description"), str):
            function["description"] = text
        schema = next((whole[key] for key in ("parameters", "input_schema", "inputSchema") if key in whole), None)
        if isinstance(schema, dict):
            function["parameters"] = schema.get("json", schema)
    return {"type": "function", "function": function}


def _text(part: Part) -> str:
    if part.kind == "media" or (part.text is None and part.bytes):
        return f"[{part.name or 'media'}, {part.bytes:,} bytes]"
    return part.text or ""


def _joined(before: str | None, text: str) -> str:
    return f"{before}\n\n{text}" if before and text else before or text


def _llm(call: PushedCall) -> Record:
    llm: Record = call.call.record.get("llm") or {}
    return llm
