"""Roles of messages, and the forms of messages that several families share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from sessiontap.llm.canonical import CallPiece, MediaPiece, MessagePiece, digest, json_bytes, pieces_of, result
from sessiontap.llm.family import MessageShape
from sessiontap.llm.pick import dicts, dig, text

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


def role_of(message: dict[str, Any]) -> str:
    """Return a message's role in lower case, by the name that `ROLES` has for it; `user` if it states none."""
    role = message.get("role")
    role = role.lower() if isinstance(role, str) else "user"
    return ROLES.get(role, role)


def _chat(body: dict[str, Any]) -> Iterator[tuple[str, list[MessagePiece]]]:
    for message in body["messages"]:
        if isinstance(message, dict):
            yield _message(message)


def _message(message: dict[str, Any]) -> tuple[str, list[MessagePiece]]:
    role = role_of(message)
    content = message.get("content")
    if role == "tool":
        return role, [result(text(message, "tool_call_id"), content if content is not None else "")]
    pieces = pieces_of(content)
    if "tool_calls" in message:
        for call in dicts(message, "tool_calls"):
            named = next((inner for key in ("function", "custom") if isinstance(inner := call.get(key), dict)), call)
            given = next((named[key] for key in ("arguments", "input", "parameters") if key in named), None)
            pieces.append(CallPiece(text(named, "name") or "", given, text(call, "id")))
    if "function_call" in message and (name := text(message, "function_call", "name")):
        pieces.append(CallPiece(name, dig(message, "function_call", "arguments")))
    if images := message.get("images"):
        pieces.append(MediaPiece(digest(json_bytes(images))))  # Ollama
    return role, pieces


CHAT = MessageShape(("messages",), lambda body: isinstance(body.get("messages"), list), _chat)
"""Chat completions, Anthropic, Converse, Cohere v2, Ollama."""

_PROMPTS = ("prompt", "inputText")


def _prompt(body: dict[str, Any]) -> Iterator[tuple[str, list[MessagePiece]]]:
    for key in _PROMPTS:
        if pieces := pieces_of(body.get(key)):
            yield "user", pieces
            break


PROMPT = MessageShape(_PROMPTS, lambda body: any(key in body for key in _PROMPTS), _prompt, frozenset(_PROMPTS))
"""One text: completions, Titan."""
