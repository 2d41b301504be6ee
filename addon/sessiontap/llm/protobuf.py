"""Protobuf messages as the JSON that the same service speaks over HTTP. (protobuf.dev/programming-guides/encoding)

A schema names the fields that are read; all others are stepped over. Names and values are those of protobuf's JSON
mapping: camel case, enums by name, bytes in base64, `Struct` as an object. Only int64 stays a number. What is not a
message raises `Damaged`; how much a message may hold is bounded.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MOST_VALUES = 500_000
"""Fields of one message, those within it included."""
DEEPEST = 64
"""Messages, one in the other."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class Damaged(ValueError):
    """The bytes are no message, or hold too much; says why in words."""


class ProtoField(NamedTuple):
    """A field that is read. `kind` is a scalar's name, an enum's names by their numbers, or a message's schema."""

    name: str
    kind: str | EnumNames | Schema
    many: bool = False


class EnumNames(dict[int, str]):
    """Names by number; a number without a name stays one."""


class Schema(dict[int, ProtoField]):
    """Fields by number."""


MANY = True
"""Of a field that may come several times: `schema(parts=(2, PART, MANY))`."""


def schema(**fields: tuple[int, Any] | tuple[int, Any, bool]) -> Schema:
    """Return a schema by its fields' names: number and kind of each, and `MANY`."""
    return Schema({number: ProtoField(name, kind, *many) for name, (number, kind, *many) in fields.items()})


STRUCT = Schema()
"""google.protobuf.Struct, which has a form of its own in JSON."""


def message(data: bytes, schema: Schema) -> dict[str, Any]:
    """Return a message as JSON. Raises `Damaged`."""
    return _Reader().message(data, schema, 0)


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (number, value) of each field of a message: an integer, or bytes as they are. Raises `Damaged`."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise Damaged(f"byte {at} begins no field")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            size, at = _varint(data, at)
        if size is None:
            raise Damaged(f"field {number} has the unknown wire type {wire}")
        if at + size > end:
            raise Damaged(f"field {number} ends beyond its message")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(at, min(at + _LONGEST_VARINT, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, index + 1
        shift += 7
    raise Damaged(f"the number at byte {at} does not end")


class _Reader:
    """Reads one message, and counts what it finds."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def message(self, data: bytes, schema: Schema, depth: int) -> dict[str, Any]:
        if schema is STRUCT:
            return self._struct(data, depth)
        found: dict[str, Any] = {}
        for number, raw in self._fields(data, depth):
            known = schema.get(number)
            if known is None:
                continue
            value = self._value(known.kind, raw, depth)
            if known.many:
                found.setdefault(known.name, []).append(value)
            elif isinstance(value, dict) and isinstance(found.get(known.name), dict):
                found[known.name] |= value  # a message that comes in parts is one
            else:
                found[known.name] = value
        return found

    def _fields(self, data: bytes, depth: int) -> Iterator[tuple[int, int | bytes]]:
        if depth > DEEPEST:
            raise Damaged(f"messages are nested deeper than {DEEPEST} levels")
        for field in fields(data):
            self._left -= 1
            if self._left < 0:
                raise Damaged(f"the message has more than {MOST_VALUES} fields")
            yield field

    def _value(self, kind: str | EnumNames | Schema, raw: int | bytes, depth: int) -> Any:
        if isinstance(kind, Schema):
            return self.message(_bytes(raw), kind, depth + 1)
        if isinstance(kind, EnumNames):
            return kind.get(_integer(raw), _integer(raw))
        match kind:
            case "string":
                return _bytes(raw).decode("utf-8", "replace")
            case "bytes":
                return base64.b64encode(_bytes(raw)).decode()
            case "bool":
                return _integer(raw) != 0
            case _:
                return _integer(raw)

    def _struct(self, data: bytes, depth: int) -> dict[str, Any]:
        """`fields` is a map: each entry a message of key and `Value`."""
        found: dict[str, Any] = {}
        for number, raw in self._fields(data, depth):
            if number == 1:
                entry: Mapping[int, int | bytes] = dict(self._fields(_bytes(raw), depth + 1))
                key = _bytes(entry.get(1, b"")).decode("utf-8", "replace")
                found[key] = self._json(_bytes(entry.get(2, b"")), depth + 2)
        return found

    def _json(self, data: bytes, depth: int) -> Any:
        """A `Value`: null, number, string, bool, struct or list."""
        value: Any = None
        for number, raw in self._fields(data, depth):
            match number:
                case 1:
                    value = None
                case 2:
                    value = _number(_bytes(raw))
                case 3:
                    value = _bytes(raw).decode("utf-8", "replace")
                case 4:
                    value = _integer(raw) != 0
                case 5:
                    value = self._struct(_bytes(raw), depth + 1)
                case 6:
                    items = [item for at, item in self._fields(_bytes(raw), depth + 1) if at == 1]
                    value = [self._json(_bytes(item), depth + 2) for item in items]
        return value


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise Damaged("a number stands where bytes belong")
    return raw


def _integer(raw: int | bytes) -> int:
    """An int32 or int64 with its sign."""
    if isinstance(raw, bytes):
        raise Damaged("bytes stand where a number belongs")
    return raw - (1 << 64) if raw >> 63 else raw


def _number(raw: bytes) -> float | None:
    """A double; what is no finite number is None."""
    if len(raw) != 8:
        raise Damaged("a number of a struct has not 8 bytes")
    (value,) = struct.unpack("<d", raw)
    return value if value - value == 0 else None
