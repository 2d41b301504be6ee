"""The messages of a request in one form, whatever family they are of.

Families bring the forms of their messages (`MessageShape`) and the kinds of parts that only they have (`PartReader`).
`history` makes digests of the pieces that they are read as (message_pieces.py); `parts` reads the same forms, and keeps
all that they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from sessiontap.llm.message_pieces import (
    DEEPEST,
    CallPiece,
    MediaPiece,
    MessagePiece,
    ReasoningPiece,
    ResultPiece,
    TextPiece,
    ToolOutput,
    digest,
    json_bytes,
    message_digest,
    plain,
    said_digest,
)
from sessiontap.llm.pick import dicts, dig, text

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Fields of an assistant's message, in a request or a reply: DeepSeek, OpenRouter, Ollama."""

_TEXTS = ("text", "input_text", "output_text")

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
_STATED_ROLES = frozenset((*ROLES, "system", "developer"))
AGENT = "agent"
"""The role of what another agent of the same team says (Codex)."""


def role_of(message: dict[str, Any]) -> str:
    """Return a message's role in lower case, by the name that `ROLES` has for it; `user` if it states none."""
    role = message.get("role")
    role = role.lower() if isinstance(role, str) else "user"
    return ROLES.get(role, role)


def is_conversation(messages: Any) -> bool:
    """Return whether this is a list of messages of which each states a role that models know."""
    return (
        isinstance(messages, list)
        and len(messages) > 0
        and all(isinstance(one, dict) and text(one, "role") in _STATED_ROLES for one in messages)
    )


PartReader = Callable[[dict[str, Any], "ContentReader"], list[MessagePiece] | None]
"""Return the pieces of a part of one kind; None if it is not of that kind after all."""


class ContentReader:
    """Reads the content of a message: a string, a part, or a list of them, in the form of any family.

    `parts` are the readers of the families, by the part's `type` or by the key that holds it. A part with a text that
    none of them takes is text; any other is media, of which the keys in `noise` do not count. Lists may be nested
    `levels` deep.
    """

    __slots__ = ("_inner", "_noise", "_parts")

    def __init__(self, parts: dict[str, PartReader], noise: frozenset[str], levels: int = DEEPEST) -> None:
        self._parts = parts
        self._noise = noise
        self._inner = type(self)(parts, noise, levels - 1) if levels else None

    def pieces(self, content: Any) -> list[MessagePiece]:
        """Return the pieces of a content, in order."""
        if isinstance(content, str):
            return self.text(content)
        if isinstance(content, list) and self._inner is not None:
            pieces: list[MessagePiece] = []
            for part in content:
                pieces += self._part(part) if isinstance(part, dict) else self._inner.pieces(part)
            return pieces
        return self._part(content) if isinstance(content, dict) else []

    def text(self, words: str) -> list[MessagePiece]:
        """Return a text as a piece; none if it says nothing."""
        return [TextPiece(words)] if (words := plain(words)) else []

    def uncounted(self, part: dict[str, Any]) -> list[MessagePiece]:
        """Return the pieces of what does not count in what a message says: none, but for readers of whole parts."""
        return []

    def result(self, call_id: str | None, content: Any, output: ToolOutput | None = None) -> ResultPiece:
        """Return a tool's result. It may itself hold parts, of which a single text is the same as a string.

        `output` tells readers of whole parts more of it; without it the content is all.
        """
        if isinstance(content, list) and self._inner is not None and all(map(_typed, content)):
            pieces = self._inner.pieces(content)
            if len(pieces) != 1 or not isinstance(pieces[0], TextPiece):
                return ResultPiece(call_id, message_digest("result", pieces))
            content = pieces[0].text
        elif isinstance(content, str):
            content = plain(content)
        if isinstance(content, str):
            return ResultPiece(call_id, said_digest(content, b"text\0"))
        return ResultPiece(call_id, digest(b"json\0", json_bytes(content)))

    def _part(self, part: dict[str, Any]) -> list[MessagePiece]:
        kind, words = text(part, "type"), part.get("text")
        if kind in _TEXTS and isinstance(words, str):
            return self.text(words)
        if kind is not None and (read := self._parts.get(kind)) and (pieces := read(part, self)) is not None:
            return pieces
        if not self._parts.keys().isdisjoint(part):
            for key in part:
                if (read := self._parts.get(key)) and (pieces := read(part, self)) is not None:
                    return pieces
        if kind is None and isinstance(words, str):
            return self.text(words)
        return [self.media(part)]

    def whole(self, part: dict[str, Any], *pieces: MessagePiece) -> list[MessagePiece]:
        """Return a part that counts as a whole, whatever it holds; readers of whole parts get its `pieces`."""
        return [self.media(part)]

    def media(self, part: dict[str, Any]) -> MediaPiece:
        """Return a part that is neither text nor known to a family."""
        return MediaPiece(digest(json_bytes({key: value for key, value in part.items() if key not in self._noise})))


def silent(part: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    """Read a part that says nothing, such as a mark."""
    return []


def quiet(read: PartReader) -> PartReader:
    """Return a reader that takes what `read` takes, and gives no pieces."""
    return lambda part, content: None if read(part, content) is None else []


_SAID_OF_REASONING = ("thinking", "reasoning_content", "reasoning", "text")
_SEALED = ("data", "encrypted_content", "redactedContent", "reasoning_encrypted")


def reasoning(part: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    """Read reasoning: a text, texts of a summary or content, or what only the provider can read."""
    words = next((value for key in _SAID_OF_REASONING if (value := text(part, key))), None)
    if words is None:
        texts = [text(one, "text") for key in ("summary", "content", "thinking") for one in dicts(part, key)]
        words = "\n".join(one for one in texts if one) or None
    size = sum(len(sealed) for key in _SEALED if (sealed := text(part, key)))
    return [ReasoningPiece(words, size)]


def reasoning_fields(message: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    """Return the reasoning that a chat's message holds beside its content; one, if it stands there twice."""
    for key in REASONING_FIELDS:
        if text(message, key):
            return content.uncounted({"type": "reasoning", key: message[key]})
    return []


def _typed(part: Any) -> bool:
    return isinstance(part, dict) and "type" in part


# Forms that several families share ------------------------------------------------------------------------------------


class MessageShape(NamedTuple):
    """The form of the messages in a request body."""

    keys: tuple[str, ...]
    """The fields of the body that hold messages, in the order of the conversation."""
    fits: Callable[[dict[str, Any]], bool]
    """Return whether a body has messages of this form."""
    read: Callable[[dict[str, Any], ContentReader], Iterator[tuple[str, list[MessagePiece]]]]
    """Yield (role, pieces) of each message of a body that fits, in order."""
    single: frozenset[str] = frozenset()
    """Of the keys, those that hold one message and no list."""
    results: frozenset[str] = frozenset()
    """Of the keys, those that hold tool results."""


def _chat(body: dict[str, Any], content: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    for message in body["messages"]:
        if isinstance(message, dict):
            yield _message(message, content)


def _message(message: dict[str, Any], content: ContentReader) -> tuple[str, list[MessagePiece]]:
    role = role_of(message)
    body = message.get("content")
    if role == "tool":
        body = body if body is not None else ""
        output = ToolOutput(body, text(message, "tool_name") or text(message, "name"))
        return role, [content.result(text(message, "tool_call_id"), body, output)]
    pieces = content.pieces(body)
    if role == "assistant":
        pieces = reasoning_fields(message, content) + pieces
    if "tool_calls" in message:
        for call in dicts(message, "tool_calls"):
            named = next((inner for key in ("function", "custom") if isinstance(inner := call.get(key), dict)), call)
            given = next((named[key] for key in ("arguments", "input", "parameters") if key in named), None)
            pieces.append(CallPiece(text(named, "name") or "", given, text(call, "id")))
    if "function_call" in message and (name := text(message, "function_call", "name")):
        pieces.append(CallPiece(name, dig(message, "function_call", "arguments")))
    if images := message.get("images"):
        pieces.append(MediaPiece(digest(json_bytes(images)), images))  # Ollama
    return role, pieces


CHAT = MessageShape(("messages",), lambda body: isinstance(body.get("messages"), list), _chat)
"""Chat completions, Anthropic, Converse, Cohere v2, Ollama."""

_PROMPTS = ("prompt", "inputText")


def _prompt(body: dict[str, Any], content: ContentReader) -> Iterator[tuple[str, list[MessagePiece]]]:
    for key in _PROMPTS:
        if pieces := content.pieces(body.get(key)):
            yield "user", pieces
            break


PROMPT = MessageShape(_PROMPTS, lambda body: any(key in body for key in _PROMPTS), _prompt, frozenset(_PROMPTS))
"""One text: completions, Titan."""
