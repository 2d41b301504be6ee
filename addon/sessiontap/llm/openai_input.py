"""The input items of OpenAI's Responses API as messages, and the parts that only they have.

Embeddings and realtime sessions have the same form (`INPUT`): of embeddings it holds the texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessiontap.llm.message_pieces import CallPiece, MessagePiece, ToolOutput, ToolsPiece
from sessiontap.llm.messages import AGENT, ContentReader, MessageShape, PartReader, role_of
from sessiontap.llm.pick import dicts, dig, flag, text


def _messages(body: dict[str, Any], content: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    given = body["input"]
    for item in given if isinstance(given, list) else [given]:
        yield _message(item, content)


def _message(item: Any, content: ContentReader) -> tuple[str, list[MessagePiece]]:
    """An input item. Reasoning, references and calls of the provider's own tools count for nothing: they are not in the
    reply as it is read either."""
    if not isinstance(item, dict):
        return "user", content.pieces(item)
    kind = item.get("type")
    if kind == "agent_message":
        return AGENT, content.pieces(item.get("content"))
    if not isinstance(kind, str) or kind == "message" or "role" in item:
        return role_of(item), [*content.pieces(item.get("content")), *_offered_there(item, content)]
    if kind.endswith("_call_output"):
        given = item.get("output")
        return "tool", [content.result(text(item, "call_id"), given, ToolOutput(given, error=_failed(item)))]
    if kind.endswith("_call") and (call_id := text(item, "call_id")):
        given = next((item[key] for key in ("arguments", "input", "action", "operation") if key in item), None)
        return "assistant", [CallPiece(text(item, "name") or kind.removesuffix("_call"), given, call_id)]
    if kind.endswith("_call") or kind in ("reasoning", "item_reference", "mcp_list_tools"):
        return "assistant", content.uncounted(item)
    return "user", content.pieces(item)


def _failed(item: dict[str, Any]) -> bool | None:
    """`success` of Codex's outputs; the outcome of a shell call's last command."""
    output = item.get("output")
    stated = next((flag(one, "success") for one in (item, output) if flag(one, "success") is not None), None)
    if stated is not None:
        return not stated
    codes = [dig(one, "outcome", "exit_code") for one in dicts(item, "output")]
    return any(codes) if codes and all(isinstance(code, int) for code in codes) else None


def _offered_there(item: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    """Codex offers tools within the input; they do not count in what is said."""
    return content.uncounted(item) if item.get("type") == "additional_tools" else []


def _sealed(part: dict[str, Any], content: ContentReader) -> list[MessagePiece] | None:
    """A text that an agent sends another one, as the tool was handed it."""
    encrypted = part.get("encrypted_content")
    return content.text(encrypted) if part.get("type") == "encrypted_content" and isinstance(encrypted, str) else None


def _tools_part(part: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    return content.whole(part, ToolsPiece(part.get("tools")))


def provider_ran(part: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    """A tool that the provider ran: the call with what came of it."""
    kind = text(part, "type") or ""
    given = next((part[key] for key in ("arguments", "action", "queries", "code") if part.get(key) is not None), None)
    return [CallPiece(text(part, "name") or kind.removesuffix("_call"), given, text(part, "id"))]


def is_input(given: Any) -> bool:
    """A text, or items of which each is a message or states its type."""
    if isinstance(given, list):
        return len(given) > 0 and all(text(item, "type") or text(item, "role") for item in given)
    return isinstance(given, str)


INPUT = MessageShape(("input",), lambda body: "input" in body, _messages)
"""Input items; of embeddings the texts."""

PARTS: dict[str, PartReader] = {"encrypted_content": _sealed, "additional_tools": _tools_part}
"""As `Family.parts`."""
UNCOUNTED: dict[str, PartReader] = dict.fromkeys(
    ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"), provider_ran
)
"""As `Family.uncounted`."""
