"""The pieces of a message, and digests of what they say, whatever family the message is of.

A conversation is recognised by its messages coming back, but they do not come back as they were. A string becomes a
list with one text part; cache marks, ids, states, signatures and reasoning come and go; arguments of tools are JSON
text that is written anew; clients put reminders in that hold for one request; and a reply that came in pieces, or as
several items, is one assistant message in the next request. So of a message count its role, its text, the tools it
calls with parsed arguments, the tool results it carries, and its media; nothing else.

A **run** is the words and calls of an assistant between two messages of others, however many messages, items or parts
they are written as: its text, in which blanks do not count, then its calls. A reply gives the same digest as the run
that it becomes.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from sessiontap.llm.pick import parse

SIZE = 16
"""Bytes of a digest."""

PASSING = ("system-reminder", "environment_context")
"""Elements that a client puts into a text for one request."""
THOUGHT = ("think", "thinking")
"""Elements that open a text with reasoning, which some clients keep and others cut off."""

DEEPEST = 8
"""Levels of nested lists and maps that are looked into."""
_GIST, _GIST_OF = 48, 256
"""Letters, and the characters among which they are looked for."""
_AT_ONCE = 1 << 16
"""Characters of a text that are encoded at a time: a long one is not held twice."""
_LONGEST_PARSED, _MOST_CONTAINERS = 1 << 20, 5_000
"""Characters and lists and maps of arguments that are parsed; longer ones are compared as they are written."""
_MOST_COPIED = 1_000
"""Lists and maps of a value whose numbers are looked at."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class TextPiece(NamedTuple):
    text: str


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
    text: str | None
    """None if it is encrypted."""
    size: int = 0
    """Bytes of what is encrypted."""


class ToolsPiece(NamedTuple):
    """Tools that are offered within the messages."""

    tools: Any


MessagePiece = TextPiece | CallPiece | ResultPiece | MediaPiece | ReasoningPiece | ToolsPiece


def digest(*parts: bytes) -> bytes:
    """blake2b over the parts; the caller sees to it that they do not run together."""
    return blake2b(b"".join(parts), digest_size=SIZE).digest()


def said_digest(text: str, before: bytes = b"") -> bytes:
    """Return the digest of `before` and a text."""
    hashed = blake2b(before, digest_size=SIZE)
    _add(hashed, text)
    return hashed.digest()


def _add(hashed: blake2b, text: str) -> None:
    if len(text) <= _AT_ONCE:
        hashed.update(text.encode("utf-8", "surrogatepass"))
        return
    for at in range(0, len(text), _AT_ONCE):
        hashed.update(text[at : at + _AT_ONCE].encode("utf-8", "surrogatepass"))


def plain(text: str) -> str:
    """A text without what its client put in for one request, and without the blanks around it."""
    if "<" in text:
        for name in PASSING:
            text = without_element(text, name)
    return text.strip()


def without_element(text: str, name: str) -> str:
    """Elements cut out; one that does not end stays. Linear, whatever the text."""
    start, end = f"<{name}>", f"</{name}>"
    at = text.find(start)
    if at < 0:
        return text
    kept, behind = [], 0
    while at >= 0:
        close = text.find(end, at)
        if close < 0:
            break
        kept.append(text[behind:at])
        behind = close + len(end)
        at = text.find(start, behind)
    return "".join((*kept, text[behind:]))


def spoken(text: str) -> str:
    """An assistant's text without blanks, and without the reasoning that it may open with."""
    return "".join(_spoken(text))


def _spoken(text: str, at_once: int = _AT_ONCE) -> Iterable[str]:
    """The same in pieces, none empty, made of `at_once` characters each: the words of a long text apart would take ten
    times its memory."""
    text = text.strip()
    start = 0
    for name in THOUGHT if text.startswith("<") else ():
        if text.startswith(f"<{name}>"):
            end = text.find(f"</{name}>")
            start = end + len(f"</{name}>") if end >= 0 else 0
            break
    if len(text) <= at_once:
        return filter(None, ("".join(text[start:].split()),))
    pieces = (text[at : at + at_once].split() for at in range(start, len(text), at_once))
    return filter(None, map("".join, pieces))


def run_digest(text: str, calls: Iterable[tuple[str, Any]]) -> bytes | None:
    """Return the digest of an assistant's run, in a request or a reply; None if it says nothing."""
    hashed, says = blake2b(b"assistant\0", digest_size=SIZE), False
    for piece in _spoken(text):
        hashed.update(piece.encode("utf-8", "surrogatepass"))
        says = True
    for name, given in calls:
        hashed.update(b"\0call\0" + name.encode("utf-8", "surrogatepass") + b"\0")
        hashed.update(_arguments(given))
        says = True
    return hashed.digest() if says else None


def rough_digest(text: str, names: Iterable[str]) -> bytes:
    """The part of a run that stays when a framework writes it anew (`{"a": 1}` as `{'a': 1}`, other fences and signs):
    the tools that it calls, else the letters that it begins with. It tells answers to one question apart."""
    names = tuple(names)
    begins = "" if names else _beginning(_spoken(text, 2 * _GIST_OF), _GIST_OF)
    letters = "".join(islice(filter(str.isalnum, begins), _GIST)).lower()
    return digest("\0".join((letters, *names)).encode("utf-8", "surrogatepass"))[:8]


def _beginning(pieces: Iterable[str], size: int) -> str:
    begins = ""
    for piece in pieces:
        begins += piece[:size]
        if len(begins) >= size:
            break
    return begins[:size]


def message_digest(role: str, pieces: Iterable[MessagePiece]) -> bytes:
    """Return the digest of any other message."""
    hashed = blake2b(role.encode(), digest_size=SIZE)
    for piece in pieces:
        match piece:
            case TextPiece(text):
                hashed.update(b"\0text\0")
                _add(hashed, text)
            case CallPiece(name, given):
                hashed.update(b"\0call\0" + name.encode("utf-8", "surrogatepass") + b"\0")
                hashed.update(_arguments(given))
            case ResultPiece(_, found):
                hashed.update(b"\0result\0" + found)
            case MediaPiece(found):
                hashed.update(b"\0media\0" + found)
    return hashed.digest()


def _arguments(given: Any) -> bytes:
    """Arguments as one JSON text; none is the same as an empty object."""
    if isinstance(given, str):
        if len(given) > _LONGEST_PARSED or given.count("{") + given.count("[") > _MOST_CONTAINERS:
            return given.strip().encode("utf-8", "surrogatepass")
        value, problem = parse(given) if given.strip() else (None, None)
        if problem is not None:
            return given.strip().encode("utf-8", "surrogatepass")
        given = value
    return json_bytes(given if given not in (None, "") else {})


def json_bytes(value: Any) -> bytes:
    """A JSON value with its keys in order; 1.0 is 1, because a client's language may not know the difference."""
    try:
        written = _encode(value)
        if b".0" not in written or written.count(b"{") + written.count(b"[") > _MOST_COPIED:
            return written
        return _encode(_whole_numbers(value, 0))
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError):
        return repr(value).encode("utf-8", "surrogatepass")


def _whole_numbers(value: Any, depth: int) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if depth < DEEPEST:
        if isinstance(value, dict):
            return {key: _whole_numbers(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [_whole_numbers(inner, depth + 1) for inner in value]
    return value
