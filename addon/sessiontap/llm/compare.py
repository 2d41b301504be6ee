"""The changes from one request to the next: its messages, system prompt, tools and parameters.

Agents send their whole history again with every turn, so two requests are mostly the same. Messages are compared by
what they say (`outline`): those that are the same are counted, and a changed one is one of the same role that shares
its words with the one before. A body without messages is compared value by value.

The shapes of all families are told apart by their keys, as in `families.messages_of`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from sessiontap.llm.families import MESSAGE_SHAPES, PROMPTS, TOOLS, WRAPPERS, definitions_in, messages_of
from sessiontap.llm.line_diff import opcodes, unified
from sessiontap.llm.message_pieces import CallPiece, ResultPiece
from sessiontap.llm.messages import MessageShape
from sessiontap.llm.outline import outline
from sessiontap.llm.pick import text

ChangeKind = Literal["same", "added", "removed", "changed"]

_ALIKE = 0.3
"""Share of the words of two messages that makes one a new version of the other."""
_DEEPEST = 40
"""Levels of a value that are compared one by one."""
MANY_MESSAGES = 1_000
"""Messages of two requests together beyond which they are aligned within a budget."""
_NEAR = 20
"""Messages among which the new version of one is looked for."""
_IDS = frozenset((
    "id", "tool_use_id", "tool_call_id", "call_id", "toolUseId", "signature", "encrypted_content", "thoughtSignature",
    "thought_signature",
))  # fmt: skip
"""Keys of a message and its parts whose values are new in every run."""
_ARGUMENTS = frozenset(("input", "arguments", "args", "parameters"))
_Place = tuple[str, Any]
"""A message as it stands in a body, and the key under which it stands."""
_TOOLS = tuple(path[0] for path in TOOLS if len(path) == 1)
_TOOL_CONFIGS = tuple((path[0], path[1]) for path in TOOLS if len(path) == 2)


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A parameter that is not what it was; what it is not any more, or was not yet, is None."""

    change: ChangeKind
    name: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class PartChange:
    """A system prompt or a tool. `lines`: all of it if it came or went, a unified diff if it changed."""

    change: ChangeKind
    name: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageChange:
    """A message that came, went or changed, or `count` in a row that are the same.

    `before` and `after`: the position of the (first) one, from 0. `lines` as in `PartChange`.
    """

    change: ChangeKind
    title: str
    before: int | None = None
    after: int | None = None
    count: int = 1
    rewritten: int = 0
    """Of the same ones: written in another way (marks for the cache, a string as a list)."""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """From one request to the next. `system`, `tools` and `parameters` hold what is not the same."""

    messages: tuple[MessageChange, ...] = ()
    system: PartChange | None = None
    tools: tuple[PartChange, ...] = ()
    tools_same: int = 0
    parameters: tuple[ValueChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Both say the same."""
        changed = any(message.change != "same" for message in self.messages)
        return not (changed or self.system or self.tools or self.parameters)


def compare(
    before: Any, after: Any, *, known_before: Any = None, known_after: Any = None, by_ids: bool = True
) -> Difference:
    """Two request bodies as parsed JSON.

    `known_before` and `known_after`: the bodies of the requests that they continue. The messages that a request
    begins with in common with that one are left out of the comparison. Without `by_ids`, ids of tool calls and the
    like, which are new in every run, do not count.
    """
    old, new = _Request.of(before, known_before, by_ids), _Request.of(after, known_after, by_ids)
    same, tools = _tools(old.tools, new.tools)
    return Difference(
        messages=tuple(_numbered(change, old.known, new.known) for change in _messages(old.messages, new.messages)),
        system=_part("system prompt", old.system, new.system),
        tools=tools,
        tools_same=same,
        parameters=changed_values(old.rest, new.rest),
    )


def changed_values(before: Any, after: Any) -> tuple[ValueChange, ...]:
    """Values of two JSON structures that differ, under names such as `thinking.budget_tokens` or `stop[0]`."""
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    found = []
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            found.append(ValueChange("removed", name, before=old[name]))
        elif name not in old:
            found.append(ValueChange("added", name, after=new[name]))
        elif old[name] != new[name] or isinstance(old[name], bool) != isinstance(new[name], bool):
            found.append(ValueChange("changed", name, old[name], new[name]))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Message:
    """A message of a request, and its lines as text."""

    title: str
    role: str
    lines: tuple[str, ...]
    raw: Any


@dataclass(slots=True)
class _Request:
    """A request body in the parts that are compared."""

    messages: list[_Message] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    tools: dict[str, list[str]] = field(default_factory=dict)
    rest: Any = None
    known: int = 0
    """Messages that were left out: they stand in the request that this one continues."""

    @classmethod
    def of(cls, body: Any, continued: Any = None, by_ids: bool = True) -> _Request:
        if not isinstance(body, dict):
            return cls(rest=body)
        outer, body = _unwrapped(body)
        shape = _shape_of(body)
        keys = shape.keys if shape else ()
        places = _places(shape, body)
        known = _known(shape, places, _places(shape, _unwrapped(continued)[1])) if isinstance(continued, dict) else 0
        taken = {*keys, *PROMPTS, *_TOOLS}
        rest = outer | {key: value for key, value in body.items() if key not in taken}
        definitions = [tool for key in _TOOLS for tool in definitions_in(body.get(key))]
        for key, inner_key in _TOOL_CONFIGS:
            if isinstance(config := body.get(key), dict):
                definitions += definitions_in(config.get(inner_key))
                rest[key] = {name: value for name, value in config.items() if name != inner_key}
        return cls(
            messages=[_message(shape, *place, by_ids) for place in places[known:]] if shape else [],
            system=[line for key in PROMPTS if key in body for line in _outlined({"content": _bare(body[key])})],
            tools=_named(definitions),
            rest=rest,
            known=known,
        )


def _unwrapped(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the wrapper of a request, and the request in it."""
    for key in WRAPPERS:
        if isinstance(inner := body.get(key), dict):
            return {name: value for name, value in body.items() if name != key}, inner
    return {}, body


def _shape_of(body: dict[str, Any]) -> MessageShape | None:
    return next((shape for shape in MESSAGE_SHAPES if any(key in body for key in shape.keys)), None)


def _places(shape: MessageShape | None, body: dict[str, Any]) -> list[_Place]:
    """The messages of a request."""
    keys = shape.keys if shape else ()
    return [(key, item) for key in keys if key in body for item in _items(body[key])]


def _known(shape: MessageShape | None, places: list[_Place], continued: list[_Place]) -> int:
    """The number of messages that two requests of one shape begin with in common, by what they say."""
    number = 0
    for one, other in zip(places, continued, strict=False):
        if one != other and (shape is None or _content(_message(shape, *one)) != _content(_message(shape, *other))):
            break
        number += 1
    return number


def _content(message: _Message) -> tuple[str, tuple[str, ...]]:
    return message.role, message.lines


def _numbered(change: MessageChange, known_before: int, known_after: int) -> MessageChange:
    """The change with positions in whole requests."""
    return replace(
        change,
        before=None if change.before is None else change.before + known_before,
        after=None if change.after is None else change.after + known_after,
    )


def _outlined(value: Any) -> tuple[str, ...]:
    """As `outline`, of what comes again with every request of a session: system prompts, tools."""
    return _outline_of_json(json.dumps(value))


@lru_cache(maxsize=256)
def _outline_of_json(text: str) -> tuple[str, ...]:
    return tuple(outline(json.loads(text)))


def _items(value: Any) -> list[Any]:
    """The messages in a place; a list of numbers (tokens) is one."""
    if isinstance(value, list) and all(isinstance(item, dict | str) for item in value):
        return value
    return [value]


def _bare(content: Any) -> Any:
    return [content] if isinstance(content, dict) else content


def _message(shape: MessageShape, key: str, item: Any, by_ids: bool = True) -> _Message:
    """With a title such as `assistant → web_search`."""
    place = item if key in shape.single else [item]
    role, pieces = next(iter(messages_of({key: place})), ("tool" if key in shape.results else "user", []))
    called = ", ".join(piece.name for piece in pieces if isinstance(piece, CallPiece))
    title = f"{role} → {called}" if called else role
    if role == "user" and pieces and all(isinstance(piece, ResultPiece) for piece in pieces):
        title = "tool result"
    if isinstance(item, dict):
        item = {name: value for name, value in item.items() if name != "role"}
        title = title if pieces else text(item, "type") or title
    shown = item if by_ids else _without_ids(item)
    lines = outline(shown if isinstance(shown, dict | list) else [shown])
    return _Message(title, role, tuple(lines), item)


def _without_ids(value: Any, depth: int = 0) -> Any:
    """A message, or a part of it, without the ids and signatures of one run; arguments of tools stay as they are."""
    if isinstance(value, list) and depth < _DEEPEST:
        return [_without_ids(one, depth + 1) for one in value]
    if isinstance(value, dict) and depth < _DEEPEST:
        return {
            key: inner if key in _ARGUMENTS else _without_ids(inner, depth + 1)
            for key, inner in value.items()
            if key not in _IDS
        }
    return value


def _named(definitions: list[dict[str, Any]]) -> dict[str, list[str]]:
    """By name; what has none goes by its type or its first key, a name that comes again gets a number."""
    named: dict[str, list[str]] = {}
    for tool in definitions:
        name = text(tool, "name") or text(tool, "type") or next(iter(tool), "?")
        known = name
        number = 1
        while known in named:
            number += 1
            known = f"{name} #{number}"
        named[known] = list(_outlined(tool))
    return named


def _tools(before: dict[str, list[str]], after: dict[str, list[str]]) -> tuple[int, tuple[PartChange, ...]]:
    """Return the number of tools that are the same, and the changes of the others."""
    parts = [_part(name, before.get(name), after.get(name)) for name in dict.fromkeys((*before, *after))]
    return parts.count(None), tuple(part for part in parts if part is not None)


def _part(name: str, before: list[str] | None, after: list[str] | None) -> PartChange | None:
    """None if it is the same."""
    if before == after:
        return None
    if not before:
        return PartChange("added", name, tuple(after or ()))
    if not after:
        return PartChange("removed", name, tuple(before))
    return PartChange("changed", name, unified(before, after))


def _leaves(value: Any, name: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Names and values; lists of plain values are one, and so is what is nested too deeply to be told apart."""
    if isinstance(value, dict) and value and depth < _DEEPEST:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value) and depth < _DEEPEST:
        for number, item in enumerate(value):
            yield from _leaves(item, f"{name}[{number}]", depth + 1)
    elif name or value not in (None, {}, []):
        yield name, value


def _messages(before: list[_Message], after: list[_Message]) -> Iterator[MessageChange]:
    old, new = ([_content(one) for one in messages] for messages in (before, after))
    is_long = len(old) + len(new) > MANY_MESSAGES
    aligned = opcodes(old, new) if is_long else difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for tag, i1, i2, j1, j2 in aligned:
        if tag == "equal":
            pairs = zip(before[i1:i2], after[j1:j2], strict=True)
            rewritten = sum(one.raw != other.raw for one, other in pairs)
            yield MessageChange("same", before[i1].title, i1, j1, i2 - i1, rewritten)
        else:
            yield from _block(before, range(i1, i2), after, range(j1, j2))


def _block(before: list[_Message], old: range, after: list[_Message], new: range) -> Iterator[MessageChange]:
    """A stretch in which nothing is the same: new versions of messages, and what came and went between them."""
    at = new.start
    for i in old:
        version = next((j for j in range(at, min(new.stop, at + _NEAR)) if _is_version(before[i], after[j])), None)
        if version is None:
            yield MessageChange("removed", before[i].title, before=i, lines=before[i].lines)
            continue
        yield from (MessageChange("added", after[j].title, after=j, lines=after[j].lines) for j in range(at, version))
        lines = unified(before[i].lines, after[version].lines)
        yield MessageChange("changed", after[version].title, i, version, lines=lines)
        at = version + 1
    yield from (MessageChange("added", after[j].title, after=j, lines=after[j].lines) for j in range(at, new.stop))


def _is_version(before: _Message, after: _Message) -> bool:
    if before.role != after.role:
        return False
    old, new = ({word for line in one.lines for word in line.split()} for one in (before, after))
    return len(old & new) >= _ALIKE * max(1, len(old | new))
