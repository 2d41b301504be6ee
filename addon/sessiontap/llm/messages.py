"""The messages of a request in one form, whatever family they are of: pieces, and digests of what they say.

A conversation is recognised by its messages coming back, but they do not come back as they were. A string becomes a
list with one text part; cache marks, ids, states, signatures and reasoning come and go; arguments of tools are JSON
text that is written anew; clients put reminders in that hold for one request; and a reply that came in pieces, or as
several items, is one assistant message in the next request. So of a message count its role, its text, the tools it
calls with parsed arguments, the tool results it carries, and its media; nothing else.

A **run** is what an assistant said between two messages of others, however many messages, items or parts it is written
as: its text, in which blanks do not count, then its calls. A reply gives the same digest as the run that it becomes.

Families bring the forms of their messages (`MessageShape`) and the kinds of parts that only they have (`PartReader`).
`parts` reads the same forms, and keeps all that they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import msgspec

from sessiontap.llm.pick import dicts, dig, parse, text

SIZE = 16
"""Bytes of a digest."""

PASSING = ("system-reminder", "environment_context")
"""Elements that a client puts into a text for one request."""
THOUGHT = ("think", "thinking")
"""Elements that open a text with reasoning, which some clients keep and others cut off."""

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Fields of an assistant's message, in a request or a reply: DeepSeek, OpenRouter, Ollama."""

_TEXTS = ("text", "input_text", "output_text")
_DEEPEST = 8
_GIST, _GIST_OF = 48, 256
"""Letters, and the characters among which they are looked for."""

_encode = msgspec.json.Encoder(order="deterministic").encode

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


# Pieces --------------------------------------------------------------------------------------------------------------


class TextPiece(NamedTuple):
    said: str


class CallPiece(NamedTuple):
    name: str
    arguments: Any
    id: str | None = None


class ToolOutput(NamedTuple):
    """The result of a tool as it was sent."""

    content: Any
    name: str | None = None
    """The tool's name if the result itself states it."""
    error: bool | None = None
    """The result states that it is an error, or that it is none."""


class ResultPiece(NamedTuple):
    id: str | None
    digest: bytes
    output: ToolOutput | None = None
    """For readers of whole parts (`parts`); comparing messages needs the digest alone."""


class MediaPiece(NamedTuple):
    digest: bytes
    sent: Any = None
    """For readers of whole parts."""


class ReasoningPiece(NamedTuple):
    said: str | None
    """None if it is encrypted."""
    size: int = 0
    """Bytes of what is encrypted."""


class ToolsPiece(NamedTuple):
    """Tools that are offered within the messages."""

    tools: Any


MessagePiece = TextPiece | CallPiece | ResultPiece | MediaPiece | ReasoningPiece | ToolsPiece

PartReader = Callable[[dict[str, Any], "ContentReader"], list[MessagePiece] | None]
"""Return the pieces of a part of one kind; None if it is not of that kind after all."""


class ContentReader:
    """Reads the content of a message: a string, a part, or a list of them, in the form of any family.

    `parts` are the readers of the families, by the part's `type` or by the key that holds it. A part with a text that
    none of them takes is text; any other is media, of which the keys in `noise` do not count. Lists may be nested
    `levels` deep.
    """

    __slots__ = ("_inner", "_noise", "_parts")

    def __init__(self, parts: dict[str, PartReader], noise: frozenset[str], levels: int = _DEEPEST) -> None:
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

    def text(self, said: str) -> list[MessagePiece]:
        """Return a text as a piece; none if it says nothing."""
        return [TextPiece(said)] if (said := plain(said)) else []

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
            content = pieces[0].said
        elif isinstance(content, str):
            content = plain(content)
        if isinstance(content, str):
            return ResultPiece(call_id, digest(b"text\0", content.encode("utf-8", "surrogatepass")))
        return ResultPiece(call_id, digest(b"json\0", json_bytes(content)))

    def _part(self, part: dict[str, Any]) -> list[MessagePiece]:
        kind, said = text(part, "type"), part.get("text")
        if kind in _TEXTS and isinstance(said, str):
            return self.text(said)
        if kind is not None and (read := self._parts.get(kind)) and (pieces := read(part, self)) is not None:
            return pieces
        if not self._parts.keys().isdisjoint(part):
            for key in part:
                if (read := self._parts.get(key)) and (pieces := read(part, self)) is not None:
                    return pieces
        if kind is None and isinstance(said, str):
            return self.text(said)
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
    said = next((value for key in _SAID_OF_REASONING if (value := text(part, key))), None)
    if said is None:
        texts = [text(one, "text") for key in ("summary", "content") for one in dicts(part, key)]
        said = "\n".join(one for one in texts if one) or None
    size = sum(len(sealed) for key in _SEALED if (sealed := text(part, key)))
    return [ReasoningPiece(said, size)]


def reasoning_fields(message: dict[str, Any], content: ContentReader) -> list[MessagePiece]:
    """Return the reasoning that a chat's message holds beside its content; one, if it stands there twice."""
    for key in REASONING_FIELDS:
        if text(message, key):
            return content.uncounted({"type": "reasoning", key: message[key]})
    return []


def _typed(part: Any) -> bool:
    return isinstance(part, dict) and "type" in part


# Digests -------------------------------------------------------------------------------------------------------------


def digest(*parts: bytes) -> bytes:
    """blake2b over the parts; the caller sees to it that they do not run together."""
    return blake2b(b"".join(parts), digest_size=SIZE).digest()


def plain(said: str) -> str:
    """A text without what its client put in for one request, and without the blanks around it."""
    if "<" in said:
        for name in PASSING:
            said = without_element(said, name)
    return said.strip()


def without_element(said: str, name: str) -> str:
    """Elements cut out; one that does not end stays. Linear, whatever the text."""
    start, end = f"<{name}>", f"</{name}>"
    at = said.find(start)
    if at < 0:
        return said
    kept, behind = [], 0
    while at >= 0:
        close = said.find(end, at)
        if close < 0:
            break
        kept.append(said[behind:at])
        behind = close + len(end)
        at = said.find(start, behind)
    return "".join((*kept, said[behind:]))


def spoken(said: str) -> str:
    """An assistant's text without blanks, and without the reasoning that it may open with."""
    said = said.strip()
    for name in THOUGHT if said.startswith("<") else ():
        if said.startswith(f"<{name}>"):
            _, end, rest = said.partition(f"</{name}>")
            said = rest if end else said
            break
    return "".join(said.split())


def run_digest(said: str, calls: Iterable[tuple[str, Any]]) -> bytes | None:
    """Return the digest of an assistant's run, in a request or a reply; None if it says nothing."""
    said = spoken(said)
    written = [name.encode("utf-8", "surrogatepass") + b"\0" + _arguments(given) for name, given in calls]
    if not said and not written:
        return None
    return digest(b"assistant\0", said.encode("utf-8", "surrogatepass"), *(b"\0call\0" + call for call in written))


def rough_digest(said: str, names: Iterable[str]) -> bytes:
    """The part of a run that stays when a framework writes it anew (`{"a": 1}` as `{'a': 1}`, other fences and signs):
    the tools that it calls, else the letters that it begins with. It tells answers to one question apart."""
    names = tuple(names)
    letters = "" if names else "".join(filter(str.isalnum, spoken(said)[:_GIST_OF]))[:_GIST].lower()
    return digest("\0".join((letters, *names)).encode("utf-8", "surrogatepass"))[:8]


def message_digest(role: str, pieces: Iterable[MessagePiece]) -> bytes:
    """Return the digest of any other message."""
    hashed = blake2b(role.encode(), digest_size=SIZE)
    for piece in pieces:
        match piece:
            case TextPiece(said):
                hashed.update(b"\0text\0" + said.encode("utf-8", "surrogatepass"))
            case CallPiece(name, given):
                hashed.update(b"\0call\0" + name.encode("utf-8", "surrogatepass") + b"\0" + _arguments(given))
            case ResultPiece(_, found):
                hashed.update(b"\0result\0" + found)
            case MediaPiece(found):
                hashed.update(b"\0media\0" + found)
    return hashed.digest()


def _arguments(given: Any) -> bytes:
    """Arguments as one JSON text; none is the same as an empty object."""
    if isinstance(given, str):
        value, problem = parse(given) if given.strip() else (None, None)
        if problem is not None:
            return given.strip().encode("utf-8", "surrogatepass")
        given = value
    return json_bytes(given if given not in (None, "") else {})


def json_bytes(value: Any) -> bytes:
    """A JSON value with its keys in order; 1.0 is 1, because a client's language may not know the difference."""
    try:
        written = _encode(value)
        return _encode(_whole_numbers(value, 0)) if b".0" in written else written
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError):
        return repr(value).encode("utf-8", "surrogatepass")


def _whole_numbers(value: Any, depth: int) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if depth < _DEEPEST:
        if isinstance(value, dict):
            return {key: _whole_numbers(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [_whole_numbers(inner, depth + 1) for inner in value]
    return value


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
    said = message.get("content")
    if role == "tool":
        said = said if said is not None else ""
        output = ToolOutput(said, text(message, "tool_name") or text(message, "name"))
        return role, [content.result(text(message, "tool_call_id"), said, output)]
    pieces = content.pieces(said)
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
