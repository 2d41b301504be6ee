"""The differences between a live request and a recorded one, in sentences: which message, which words.

Both are compared in their canonical form, so that only what counts is told, and by `llm.compare`, as `sessiontap diff`
does; but only the messages and fields whose digests differ are looked at: a request of an agent is mostly history.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice, takewhile
from typing import Any, NamedTuple

from sessiontap.llm.compare import Difference, MessageChange, PartChange, ValueChange, compare
from sessiontap.replay.canonical import CanonicalEntry, CanonicalItem
from sessiontap.replay.canonicalizer import Canonicalizer, shown

MOST = 6
"""Sentences."""
_MOST_OF_BLOCK = 12
"""Messages in a row that are compared on each side."""
_LONGEST = 60
"""Characters of a quotation."""
_WORD = re.compile(r"[\w/.-]+|\s+|[^\w\s]")
"""A path is a word."""
_MOST_WORDS = 400
"""Words, behind what both texts begin with, that are aligned."""
_MOST_STRETCHES = 3
"""Stretches of a text that are quoted."""


class ToldMessages(NamedTuple):
    """The first messages, which an earlier request had, too: their differences were told with that one."""

    recorded: int = 0
    live: int = 0


NOTHING_TOLD = ToldMessages()


class ComparedBodies(NamedTuple):
    """The bodies of a recorded request and of a live one."""

    recorded: bytes | None
    live: bytes | None


def differences(
    forms: Canonicalizer, bodies: ComparedBodies, redacted: Callable[[bytes], bytes], told: ToldMessages = NOTHING_TOLD
) -> tuple[str, ...]:
    """Return how a live body differs from a recorded one; empty if only in what means nothing.

    `redacted` takes the credentials out of the JSON of the live one, as they are out of the recorded one.
    """
    before, after = forms.entries(bodies.recorded), forms.entries(bodies.live)
    if before is None or after is None:
        if bodies.recorded == bodies.live:
            return ()
        sizes = f"{len(bodies.live or b''):,} bytes, and {len(bodies.recorded or b''):,} recorded"
        return (f"its body is not the recorded one: {sizes}",)
    found = list(islice(_all(before, after, redacted, told), MOST + 1))
    return (*found[:MOST], "and more") if len(found) > MOST else tuple(found)


def _all(
    before: Sequence[CanonicalEntry],
    after: Sequence[CanonicalEntry],
    redacted: Callable[[bytes], bytes],
    told: ToldMessages,
) -> Iterator[str]:
    old, new = (_fields(side) for side in (before, after))
    names = [name for name in {**old, **new} if _digest(old.get(name)) != _digest(new.get(name))]
    fields = compare(_body(old, names), _body(new, names, redacted), by_ids=False)
    if fields.system is not None:
        yield f"the system prompt {_how(fields.system)}"
    one, other = (_messages(side) for side in (before, after))
    yield from _changed_messages(one[told.recorded :], other[told.live :], redacted)
    if [item.digest for _, _, item in one[: told.recorded]] != [item.digest for _, _, item in other[: told.live]]:
        yield "the messages before differ as they did in the request before"
    for tool in fields.tools:
        yield f"the tool {tool.name} {_how(tool)}"
    for value in fields.parameters:
        yield _value(value)


_Message = tuple[int, CanonicalEntry, CanonicalItem]
"""The position of a message in its request, from 0."""


def _fields(entries: Sequence[CanonicalEntry]) -> dict[str, CanonicalEntry]:
    return {one.name: one for one in entries if not one.is_message}


def _digest(entry: CanonicalEntry | None) -> bytes | None:
    return entry.item.digest if entry is not None and entry.item is not None else b""


def _body(
    fields: dict[str, CanonicalEntry], names: Sequence[str], redacted: Callable[[bytes], bytes] | None = None
) -> Any:
    return {fields[name].key: _shown(fields[name], redacted) for name in names if name in fields}


def _shown(entry: CanonicalEntry, redacted: Callable[[bytes], bytes] | None = None) -> Any:
    return shown(entry if redacted is None else entry._replace(raw=redacted(entry.raw)))


def _messages(entries: Sequence[CanonicalEntry]) -> list[_Message]:
    listed = enumerate(one for one in entries if one.is_message)
    return [(number, one, one.item) for number, one in listed if one.item is not None]


def _changed_messages(
    before: Sequence[_Message], after: Sequence[_Message], redacted: Callable[[bytes], bytes]
) -> Iterator[str]:
    old, new = ([item.digest for _, _, item in side] for side in (before, after))
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        one, other = before[i1 : min(i2, i1 + _MOST_OF_BLOCK)], after[j1 : min(j2, j1 + _MOST_OF_BLOCK)]
        for key in dict.fromkeys(entry.key for _, entry, _ in (*one, *other)):
            left = [(number, _shown(entry)) for number, entry, _ in one if entry.key == key]
            right = [(number, _shown(entry, redacted)) for number, entry, _ in other if entry.key == key]
            found: Difference = compare(
                {key: [content for _, content in left]}, {key: [content for _, content in right]}, by_ids=False
            )
            for change in found.messages:
                if change.change != "same":
                    places, at = (right, change.after) if change.after is not None else (left, change.before)
                    yield _message(change, places[at or 0][0] if at is not None and at < len(places) else 0)
            yield from map(_value, found.parameters)


def _message(message: MessageChange, number: int) -> str:
    place = f"message {number + 1} ({message.title})"
    if message.change == "changed":
        return f"{place}: {_words(message.lines)}"
    if message.change == "added":
        return f"{place} was not recorded: {_quoted(' '.join(message.lines))}"
    return f"{place} of the recording is missing: {_quoted(' '.join(message.lines))}"


def _how(part: PartChange) -> str:
    match part.change:
        case "added":
            return "was not recorded"
        case "removed":
            return "of the recording is missing"
    return f"is not the recorded one: {_words(part.lines)}"


def _value(value: ValueChange) -> str:
    name = value.name or "the body"
    match value.change:
        case "added":
            return f"{name}: {_written(value.after)} was not recorded"
        case "removed":
            return f"{name}: {_written(value.before)} of the recording is missing"
    return f"{name}: {_written(value.after)} instead of {_written(value.before)}"


def _words(lines: tuple[str, ...]) -> str:
    """The first words of a unified diff that changed."""
    gone = [line[1:] for line in lines if line.startswith("-")]
    came = [line[1:] for line in lines if line.startswith("+")]
    pairs = list(islice(_changed(gone, came), _MOST_STRETCHES))
    old, new = (" … ".join(words for pair in pairs if (words := pair[side].strip())) for side in (0, 1))
    if old and new:
        return f"{_quoted(new)} instead of {_quoted(old)}"
    return f"{_quoted(new)} was not recorded" if new else f"{_quoted(old)} is missing"


def _changed(gone: Sequence[str], came: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The stretches of two texts that are not the same, whole words each."""
    old, new = (_WORD.findall("\n".join(lines)) for lines in (gone, came))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    old, new = old[same : same + _MOST_WORDS], new[same : same + _MOST_WORDS]
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal" and ("".join(old[i1:i2]).strip() or "".join(new[j1:j2]).strip()):
            yield "".join(old[i1:i2]), "".join(new[j1:j2])


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}”"


def _written(value: Any) -> str:
    written = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return written if len(written) <= _LONGEST else f"{written[: _LONGEST - 1]}…"
