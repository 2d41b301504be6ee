"""Values that most calls repeat, written once per segment: header fields, changes, lists of names, templates.

The second time that a value comes it is put into a `values` record, `{"type", "first", "values": [...]}`, which stands
before the call and numbers its values from `first` on; from then on calls hold the number where the value would stand:
in the lists of headers, trailers and changes a whole entry or the name of a field, in `llm` the lists `tools_offered`
and, where a response header says the same, `request_id` and `rate_limits`. What else is the same in every call of a
kind comes from a template (`templates.py`). `whole` puts all of it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sessiontap.trace import body, templates
from sessiontap.trace.templates import Templates

Record = dict[str, Any]
Value = Any
_Key = tuple[str | None, ...] | str

MAX_KNOWN = 8192
"""Values that are remembered; those that came once are forgotten when there are more."""
_LISTS = ("tools_offered", "request_id", "rate_limits")
"""What may be a number in `llm`."""
_NOTHING: tuple[list[Value], list[Value]] = [], []
_SMALLEST = 8
"""Characters below which a number saves nothing worth having."""


class Shared:
    """The values of the segment being written. Not safe for several threads."""

    def __init__(self) -> None:
        self._numbers: dict[_Key, int | None] = {}
        """None: came once."""
        self._count = 0
        self._new: dict[_Key, int] = {}
        """Numbered by the last `thin`; `written` makes them hold."""
        self._values: list[Value] = []
        self._templates = Templates()
        self._said_by = ""
        """The header that the latest request's id stood in."""
        self._last: dict[str, tuple[list[Value], list[Value]]] = {}
        """The latest lists of fields, as they were and as they are written: most are the same in the next call."""
        self._lists: dict[str, tuple[list[Value], list[Value]]] = {}

    def clear(self) -> None:
        """A new segment begins."""
        self._numbers.clear()
        self._new.clear()
        self._values.clear()
        self._templates.clear()
        self._last.clear()
        self._lists.clear()
        self._count = 0

    def written(self) -> None:
        """What the last `thin` gave is in the segment."""
        if self._values:
            self._numbers |= self._new
            self._count += len(self._values)
            self._new.clear()
            self._values.clear()
        self._last |= self._lists
        self._templates.written()

    def thin(self, call: Record) -> tuple[Record | None, Record]:
        """The `values` record that has to be written first, if any, and `call` with numbers for its values."""
        self._new.clear()
        self._values.clear()
        self._lists.clear()
        thin = _each_value(self._by_header(call), self._entry, self._fields)
        template, thin = self._templates.thin(thin, self._count + len(self._values))
        if template is not None:
            self._values.append(template)
        if not self._values:
            return None, thin
        return {"type": "values", "first": self._count, "values": list(self._values)}, thin

    def _by_header(self, call: Record) -> Record:
        """The names of response headers in place of what they say as well."""
        llm = call.get("llm")
        if not isinstance(llm, dict):
            return call
        said, limits = llm.get("request_id"), llm.get("rate_limits")
        if said is None and not limits:
            return call
        headers = _first(call)
        new: Record = {}
        if isinstance(limits, dict) and limits.items() <= headers.items():
            new["rate_limits"] = list(limits)
        if isinstance(said, str):
            if headers.get(self._said_by) != said:
                self._said_by = next((name for name, value in headers.items() if value == said), "")
            if self._said_by:
                new["request_id"] = [self._said_by]
        return call | {"llm": llm | new}

    def _entry(self, value: Any) -> Any:
        if type(value) is not list or not value:
            return value
        key = tuple(value)
        try:
            number = self._numbers.get(key, -1)
        except TypeError:  # something in it is no plain value
            return value
        if number is None or number == -1:
            number = self._new.get(key, number)
        if number == -1:
            if sum([len(part) for part in key if type(part) is str]) >= _SMALLEST:
                self._remember(key)
            return value
        return self._numbered(key, value) if number is None else number

    def _fields(self, name: str, values: list[Value]) -> list[Value]:
        before, numbers = self._last.get(name, _NOTHING)
        new = [
            number if value == same and type(number) is int else self._field(value)
            for value, same, number in zip(values, before, numbers, strict=False)
        ]
        new += [self._field(value) for value in values[len(new) :]]
        self._lists[name] = values, new
        return new

    def _field(self, value: Any) -> Any:
        """A header field or change; where it is new, its name may still be known."""
        entry = self._entry(value)
        if entry is value and type(value) is list and len(value) == 2:
            return [self._name(value[0]), value[1]]
        return entry

    def _name(self, name: Any) -> Any:
        """A number for a field's name that has come before with another value."""
        if type(name) is not str or len(name) < _SMALLEST:
            return name
        number = self._new.get(name, self._numbers.get(name, -1))
        if number == -1:
            self._remember(name)
            return name
        return self._numbered(name, name) if number is None else number

    def _remember(self, key: _Key) -> None:
        if len(self._numbers) >= MAX_KNOWN:
            self._numbers = {key: number for key, number in self._numbers.items() if number is not None}
        if len(self._numbers) < MAX_KNOWN:
            self._numbers[key] = None

    def _numbered(self, key: _Key, value: Value) -> int:
        number = self._new[key] = self._count + len(self._values)
        self._values.append(value)
        return number


def whole(call: Record, values: Mapping[int, Value]) -> Record:
    """`call` as it was before `thin`; a number that is not known gives way to nil or is left out of its list."""

    def entry(value: Any) -> Any:
        return values.get(value) if isinstance(value, int) else value

    def field(value: Any) -> Any:
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], int):
            name = values.get(value[0])
            return None if name is None else [name, value[1]]
        return entry(value)

    def fields(_: str, given: list[Value]) -> list[Value]:
        return [new for value in given if (new := field(value)) is not None]

    return _from_headers(_each_value(templates.full(facts(call), values), entry, fields))


def indexed(call: Record, values: Mapping[int, Value]) -> Record:
    """As `whole` without what takes longer and no list shows: headers, changes, and what is said by headers."""
    new = templates.full(call, values)
    llm = new.get("llm")
    if isinstance(llm, dict) and isinstance(llm.get("tools_offered"), int):
        new = new | {"llm": llm | {"tools_offered": values.get(llm["tools_offered"])}}
    return new


def facts(call: Record) -> Record:
    """`call` with its bodies' stored maps as `body.decode` takes them."""
    new = dict(call)
    for side in ("request", "response"):
        message = call.get(side)
        stored = message.get("body") if isinstance(message, dict) else None
        if isinstance(message, dict) and isinstance(stored, dict):
            new[side] = message | {"body": body.spelled_out(stored, call.get("parent"))}
    return new


def values_of(record: Record) -> dict[int, Value]:
    """Number -> value of a `values` record."""
    first, values = record.get("first"), record.get("values")
    if not isinstance(first, int) or not isinstance(values, list):
        return {}
    return dict(enumerate(values, first))


def _each_value(
    call: Record, entry: Callable[[Any], Any], fields: Callable[[str, list[Value]], list[Value]]
) -> Record:
    """A copy of `call` with `entry` done to what may be a number, `fields` to lists (by name) where entries may be."""
    new = dict(call)
    llm = call.get("llm")
    if isinstance(llm, dict):
        found = {name: entry(llm[name]) for name in _LISTS if llm.get(name) is not None}
        if found:
            new["llm"] = llm | found
    if isinstance(changes := call.get("changes"), list) and changes:
        new["changes"] = fields("changes", changes)
    for side in ("request", "response"):
        message = call.get(side)
        if isinstance(message, dict):
            new[side] = message = dict(message)
            for name in ("headers", "trailers"):
                if isinstance(values := message.get(name), list) and values:
                    message[name] = fields(side + name, values)
    return new


def _from_headers(call: Record) -> Record:
    """`Shared._by_header` backwards."""
    llm = call.get("llm")
    if not isinstance(llm, dict):
        return call
    said, limits = llm.get("request_id"), llm.get("rate_limits")
    if not isinstance(said, list) and not isinstance(limits, list):
        return call
    headers = _first(call)
    new: Record = {}
    if isinstance(limits, list):
        new["rate_limits"] = {name: headers[name] for name in limits if name in headers}
    if isinstance(said, list):
        new["request_id"] = headers.get(said[0]) if said else None
    return call | {"llm": llm | new}


def _first(call: Record) -> dict[str, str]:
    """The first value of each of the response's headers, by lower-case name."""
    response = call.get("response")
    headers = response.get("headers") if isinstance(response, dict) else None
    return {name.lower(): value for name, value in reversed(headers or ())}
