"""A piece of a request as lines that a person reads and that can be compared line by line.

JSON is laid out by its keys, whatever the family; what messages are made of stands bare: texts, contents, parts. So
the same message has the same lines as a string and as a list of one text. Left out are marks for the provider's cache,
which move with every turn. Encoded media is told by its length and digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from sessiontap.llm.families import CACHE_MARKS
from sessiontap.llm.pick import parse

BARE = ("text", "content", "parts")
_TEXT_TYPES = ("text", "input_text", "output_text")
_WIDE = 160
"""Characters of a line that is not broken up at the ends of its sentences."""
_SENTENCE = re.compile(r"(?<=[.!?;])\s+(?=\S)")
_MEDIA = re.compile(r"(?:data:[^,]{0,200},)?[A-Za-z0-9+/_=-]{512,}")
_OF_PARTS = frozenset((*BARE, *CACHE_MARKS, "type"))
"""A list's item with one of these keys is a part of a message."""
_DEEPEST = 40


def outline(value: Any) -> list[str]:
    """The lines of a JSON value."""
    return list(_lines(value, 0))


def _lines(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        yield json.dumps(value, ensure_ascii=False)
    elif isinstance(value, str):
        yield from _text(value)
    elif isinstance(value, list):
        for item in value:
            yield from _item(item, depth) if not _is_part(item) else _lines(item, depth + 1)
    elif isinstance(value, dict):
        yield from _map(value, depth)
    elif value is not None:
        yield _scalar(value)


def _map(value: dict[str, Any], depth: int) -> Iterator[str]:
    for key, inner in value.items():
        if key in CACHE_MARKS or (key == "type" and inner in _TEXT_TYPES and "text" in value):
            continue
        if key in BARE and (isinstance(inner, str | list)):
            yield from _lines(inner, depth + 1)
            continue
        inner = _parsed(inner)
        if isinstance(inner, list) and inner and not any(isinstance(one, dict | list) for one in inner):
            yield f"{key}: {', '.join(map(_scalar, inner))}"
        elif isinstance(inner, dict | list) and inner:
            yield f"{key}:"
            yield from (f"  {line}" for line in _lines(inner, depth + 1))
        elif isinstance(inner, str) and ("\n" in inner or len(inner) > _WIDE):
            yield f"{key}:"
            yield from (f"  {line}" for line in _text(inner))
        else:
            yield f"{key}: {_scalar(inner)}"


def _item(item: Any, depth: int) -> Iterator[str]:
    """An item of a list that is no part of a message, with a dash."""
    for number, line in enumerate(_lines(item, depth + 1)):
        yield f"{'  ' if number else '- '}{line}"


def _is_part(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, dict) and not item.keys().isdisjoint(_OF_PARTS))


def _parsed(value: Any) -> Any:
    """Arguments of tools are JSON in a string."""
    if isinstance(value, str) and value[:1] in ("{", "[") and value[-1:] in ("}", "]"):
        found, problem = parse(value)
        return value if problem is not None else found
    return value


def _text(words: str) -> Iterator[str]:
    if _MEDIA.fullmatch(words):
        yield f"[{len(words):,} characters, sha256 {hashlib.sha256(words.encode()).hexdigest()[:12]}]"
        return
    for line in words.splitlines():
        yield from _SENTENCE.split(line) if len(line) > _WIDE else (line,)


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
