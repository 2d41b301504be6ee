"""Digests of messages by their content, whatever the client's way to write them: one turn, one digest in every family.

A conversation is recognised by its messages coming back, but they do not come back as they were. A string becomes a
list with one text part; cache marks, ids, states, signatures and reasoning come and go; arguments of tools are JSON
text that is written anew; clients put reminders in that hold for one request; and what a reply brought in pieces, or as
items of its own, is one assistant message in the next request. So of a message count its role, its text, the tools it
calls with parsed arguments, the tool results it carries, and its media; nothing else.

A **run** is what an assistant said between two messages of others, however many messages, items or parts it is written
as: its text, in which blanks do not count, then its calls. A reply gives the same digest as the run that it becomes.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from sessiontap.llm.pick import parse, text

SIZE = 16
"""Bytes of a digest."""

PASSING = ("system-reminder", "environment_context")
"""Elements that a client puts into a text for one request."""
THOUGHT = ("think", "thinking")
"""Elements that open a text with reasoning, which some clients keep and others cut off."""

_UNSAID = frozenset(
    ("thinking", "redacted_thinking", "reasoning", "reasoning_content", "reasoningContent", "cachePoint")
)
_PROVIDERS = (
    "server_tool_use",
    "mcp_tool_use",
    "web_search_tool_result",
    "mcp_tool_result",
    "code_execution_tool_result",
)
"""Blocks about tools that the provider ran within the reply."""
_TEXTS = (None, "text", "input_text", "output_text")
_NOISE = frozenset(
    ("id", "status", "signature", "thoughtSignature", "thought_signature", "cache_control", "annotations", "detail")
)
_DEEPEST = 8
_GIST, _GIST_OF = 48, 256
"""Letters, and the characters among which they are looked for."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class TextPiece(NamedTuple):
    said: str


class CallPiece(NamedTuple):
    name: str
    arguments: Any
    id: str | None = None


class ResultPiece(NamedTuple):
    id: str | None
    digest: bytes


class MediaPiece(NamedTuple):
    digest: bytes


MessagePiece = TextPiece | CallPiece | ResultPiece | MediaPiece


def digest(*parts: bytes) -> bytes:
    """blake2b over the parts; the caller sees to it that they do not run together."""
    return blake2b(b"".join(parts), digest_size=SIZE).digest()


def plain(said: str) -> str:
    """A text without what its client put in for one request, and without the blanks around it."""
    if "<" in said:
        for name in PASSING:
            said = _without(said, f"<{name}>", f"</{name}>")
    return said.strip()


def _without(said: str, start: str, end: str) -> str:
    """Elements cut out; one that does not end stays. Linear, whatever the text."""
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
    """What stays of a run where a framework writes it anew (`{"a": 1}` as `{'a': 1}`, other fences and signs): the
    tools that it calls, else the letters that it begins with. It tells answers to one question apart."""
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


# Pieces ------------------------------------------------------------------------------------------------------------


def pieces_of(content: Any, depth: int = 0) -> list[MessagePiece]:
    """The pieces of a message's content: a string, a part, or a list of them, in the shape of any family."""
    if isinstance(content, str):
        return [TextPiece(said)] if (said := plain(content)) else []
    if isinstance(content, list) and depth < _DEEPEST:
        pieces: list[MessagePiece] = []
        for part in content:
            pieces += _part(part, depth) if isinstance(part, dict) else pieces_of(part, depth + 1)
        return pieces
    return _part(content, depth) if isinstance(content, dict) else []


def _part(part: dict[str, Any], depth: int) -> list[MessagePiece]:
    kind = text(part, "type")
    if kind in _TEXTS and isinstance(said := part.get("text"), str) and part.get("thought") is not True:
        return [TextPiece(said)] if (said := plain(said)) else []
    if kind == "encrypted_content" and isinstance(said := part.get("encrypted_content"), str):
        return (
            [TextPiece(said)] if (said := plain(said)) else []
        )  # what an agent sends another, as the tool was handed it
    if kind == "tool_use":
        return [CallPiece(text(part, "name") or "", part.get("input"), text(part, "id"))]
    if kind == "tool_result":
        return [result(text(part, "tool_use_id"), part.get("content"), depth)]
    if kind in _UNSAID or kind in _PROVIDERS or part.get("thought") is True or not _UNSAID.isdisjoint(part):
        return []
    if isinstance(found := part.get("toolUse"), dict):
        return [CallPiece(text(found, "name") or "", found.get("input"), text(found, "toolUseId"))]
    if isinstance(found := part.get("functionCall", part.get("function_call")), dict):
        return [CallPiece(text(found, "name") or "", found.get("args"), text(found, "id"))]
    if isinstance(found := part.get("toolResult"), dict):
        return [result(text(found, "toolUseId"), found.get("content"), depth)]
    if isinstance(found := part.get("functionResponse", part.get("function_response")), dict):
        return [result(text(found, "id"), [text(found, "name"), found.get("response")], depth)]
    return [MediaPiece(digest(json_bytes({key: value for key, value in part.items() if key not in _NOISE})))]


def _typed(part: Any) -> bool:
    return isinstance(part, dict) and "type" in part


def result(call_id: str | None, content: Any, depth: int = 0) -> ResultPiece:
    """Return a tool's result. It may itself hold parts, of which a single text is the same as a string."""
    if isinstance(content, list) and depth < _DEEPEST and all(map(_typed, content)):
        pieces = pieces_of(content, depth + 1)
        if len(pieces) != 1 or not isinstance(pieces[0], TextPiece):
            return ResultPiece(call_id, message_digest("result", pieces))
        content = pieces[0].said
    elif isinstance(content, str):
        content = plain(content)
    if isinstance(content, str):
        return ResultPiece(call_id, digest(b"text\0", content.encode("utf-8", "surrogatepass")))
    return ResultPiece(call_id, digest(b"json\0", json_bytes(content)))
