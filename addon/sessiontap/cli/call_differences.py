"""The changes from one recorded request to another as lines for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sessiontap.analysis.compare_recorded import RequestDifferences
from sessiontap.cli.output import line
from sessiontap.llm.compare import (
    ChangeKind,
    Difference,
    MessageChange,
    PartChange,
    ValueChange,
)
from sessiontap.units import plural, size

MARKS: dict[ChangeKind, str] = {"same": "=", "added": "+", "removed": "-", "changed": "~"}
STYLES: dict[str, str] = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}
SHOWN = 12
"""Lines of what came or went, or changed, that a person is shown; --full and --json have all."""
_LONGEST = 120
"""Characters of a parameter's value."""

Line = tuple[str, str]
"""A line and its style."""


def lines(found: RequestDifferences, *, full: bool = False) -> Iterator[Line]:
    """For a person; long ones are cut unless they are wanted in `full`."""
    yield f"{found.before.id} → {found.after.id}", "bold"
    if found.request:
        yield from (("", ""), ("request", "bold"))
        yield from (_value(value, full) for value in found.request)
    if found.body is None or (found.identical and not found.body.messages):
        yield "", ""
        yield from _bytes(found)
        return
    yield from body_lines(found.body, full=full)
    if found.body.is_empty and not found.request:
        how = "byte for byte" if found.identical else "it differs only in how it is written"
        yield from (("", ""), (f"both say the same: {how}", ""))


def body_lines(body: Difference, *, full: bool = False) -> Iterator[Line]:
    """The changes of a request's body, each kind under its title behind an empty line."""
    if body.parameters:
        yield from (("", ""), ("parameters", "bold"))
        yield from (_value(value, full) for value in body.parameters)
    if body.system is not None:
        yield "", ""
        yield from _part(body.system, full)
    if body.tools or body.tools_same:
        yield from (("", ""), ("tools", "bold"))
        if body.tools_same:
            yield f"= {plural(body.tools_same, 'tool')} the same", ""
        for tool in body.tools:
            yield from _part(tool, full)
    if body.messages:
        yield from (("", ""), ("messages", "bold"))
        for message in body.messages:
            yield from _message(message, full)


def _bytes(found: RequestDifferences) -> Iterator[Line]:
    if found.identical:
        yield f"= {size(len(found.before.body))}, the same byte for byte", ""
        return
    for mark, one in (("-", found.before), ("+", found.after)):
        yield f"{mark} {size(len(one.body))}, sha256 {one.sha256}", STYLES[mark]


def _value(value: ValueChange, full: bool) -> Line:
    mark = MARKS[value.change]
    old, new = (_shown(one, full) for one in (value.before, value.after))
    shown = {"added": new, "removed": old}.get(value.change, f"{old} → {new}")
    return line(f"{mark} {value.name or 'body'}: {shown}"), STYLES[mark]


def _shown(value: Any, full: bool) -> str:
    written = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return written if full or len(written) <= _LONGEST else f"{written[: _LONGEST - 1]}…"


def _part(part: PartChange, full: bool) -> Iterator[Line]:
    mark = MARKS[part.change]
    yield line(f"{mark} {part.name}"), STYLES[mark]
    yield from _text(part.change, part.lines, full)


def _message(message: MessageChange, full: bool) -> Iterator[Line]:
    mark = MARKS[message.change]
    if message.change == "same":
        again = f" ({message.rewritten} written in another way)" if message.rewritten else ""
        yield f"{mark} {plural(message.count, 'message')} the same{again}", ""
        return
    number = message.after if message.after is not None else message.before
    yield line(f"{mark} {(number or 0) + 1} {message.title}"), STYLES[mark]
    yield from _text(message.change, message.lines, full)


def _text(change: ChangeKind, text: Sequence[str], full: bool) -> Iterator[Line]:
    for one in text if full else text[:SHOWN]:
        yield line(f"    {one}"), STYLES.get(one[:1], "") if change == "changed" else STYLES[MARKS[change]]
    if len(text) > SHOWN and not full:
        yield f"    … {plural(len(text) - SHOWN, 'more line')}: --full shows all", ""
