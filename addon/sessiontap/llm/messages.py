"""Where the messages of a request stand, and in what form, whatever its family: told by the keys of the body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from sessiontap.llm.canonical import Called, Media, Piece, Text, digest, json_bytes, pieces_of, result
from sessiontap.llm.pick import dicts, dig, items, text

Role = Literal["user", "assistant", "tool"]

ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "function": "tool",
}
AGENT = "agent"
"""The role of what another agent of the same team says (Codex)."""
_MESSAGES = ("messages", "contents", "input", "chat_history", "message", "tool_results", "prompt", "inputText")
PROMPTS = ("system", "instructions", "systemInstruction", "system_instruction", "preamble")
SAID = frozenset((*_MESSAGES, *PROMPTS, "stream", "model"))
"""Fields of a body that hold what was said; all others are settings."""


def prompts_of(body: dict[str, Any]) -> Iterator[str]:
    """System prompts that stand outside the messages."""
    for key in PROMPTS:
        content = body.get(key)
        if isinstance(content, dict) and isinstance(content.get("parts"), list):
            content = content["parts"]
        yield from (piece.said for piece in pieces_of(content) if isinstance(piece, Text))


def messages_of(body: dict[str, Any]) -> Iterator[tuple[str, list[Piece]]]:
    """(role, pieces) of each message or item, in order."""
    if isinstance(messages := body.get("messages"), list):
        for message in messages:
            if isinstance(message, dict):
                yield _message(message)
    elif isinstance(contents := body.get("contents"), list | dict | str):
        for content in contents if isinstance(contents, list) else [contents]:
            yield _content(content)
    elif "input" in body:
        given = body["input"]
        for item in given if isinstance(given, list) else [given]:
            yield _item(item)
    elif isinstance(body.get("chat_history"), list) or "message" in body:
        yield from _cohere(body)
    else:
        for key in ("prompt", "inputText"):
            if pieces := pieces_of(body.get(key)):
                yield "user", pieces
                break


def _message(message: dict[str, Any]) -> tuple[str, list[Piece]]:
    """Chat completions, Anthropic, Converse, Cohere v2, Ollama."""
    role = _role(message)
    content = message.get("content")
    if role == "tool":
        return role, [result(text(message, "tool_call_id"), content if content is not None else "")]
    pieces = pieces_of(content)
    if "tool_calls" in message:
        for call in dicts(message, "tool_calls"):
            named = next((inner for key in ("function", "custom") if isinstance(inner := call.get(key), dict)), call)
            given = next((named[key] for key in ("arguments", "input", "parameters") if key in named), None)
            pieces.append(Called(text(named, "name") or "", given, text(call, "id")))
    if "function_call" in message and (name := text(message, "function_call", "name")):
        pieces.append(Called(name, dig(message, "function_call", "arguments")))
    if images := message.get("images"):
        pieces.append(Media(digest(json_bytes(images))))  # Ollama
    return role, pieces


def _role(message: dict[str, Any]) -> str:
    role = message.get("role")
    role = role.lower() if isinstance(role, str) else "user"
    return ROLES.get(role, role)


def _content(content: Any) -> tuple[str, list[Piece]]:
    """Gemini."""
    if not isinstance(content, dict):
        return "user", pieces_of(content)
    return _role(content), pieces_of(content.get("parts"))


def _item(item: Any) -> tuple[str, list[Piece]]:
    """An input item of the Responses API. Reasoning, references and what the provider's own tools did count for
    nothing: they are not in the reply as it is read either."""
    if not isinstance(item, dict):
        return "user", pieces_of(item)
    kind = item.get("type")
    if kind == "agent_message":
        return AGENT, pieces_of(item.get("content"))
    if not isinstance(kind, str) or kind == "message" or "role" in item:
        return _role(item), pieces_of(item.get("content"))
    if kind.endswith("_call_output"):
        return "tool", [result(text(item, "call_id"), item.get("output"))]
    if kind.endswith("_call") and (call_id := text(item, "call_id")):
        given = next((item[key] for key in ("arguments", "input", "action", "operation") if key in item), None)
        return "assistant", [Called(text(item, "name") or kind.removesuffix("_call"), given, call_id)]
    if kind.endswith("_call") or kind in ("reasoning", "item_reference", "mcp_list_tools"):
        return "assistant", []
    return "user", pieces_of(item)


def _cohere(body: dict[str, Any]) -> Iterator[tuple[str, list[Piece]]]:
    """Cohere v1: the history, then the newest message, then results that carry the calls they answer."""
    for message in dicts(body, "chat_history"):
        pieces = pieces_of(message.get("message"))
        pieces += (
            Called(text(call, "name") or "", dig(call, "parameters"), text(call, "id"))
            for call in dicts(message, "tool_calls")
        )
        role = _role(message)
        if role == "tool":
            pieces = [result(None, found.get("outputs")) for found in dicts(message, "tool_results")]
        yield role, pieces
    if pieces := pieces_of(body.get("message")):
        yield "user", pieces
    if results := items(body, "tool_results"):
        calls = [found.get("call") for found in dicts(body, "tool_results")]
        yield "assistant", [Called(text(call, "name") or "", dig(call, "parameters")) for call in calls]
        yield "tool", [result(None, dig(found, "outputs")) for found in results]
