"""Protobuf's wire format, read by a schema into JSON."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.llm import protobuf
from sessiontap.llm.protobuf import STRUCT, Damaged, EnumNames, ProtoField, Schema, message

INNER = Schema({1: ProtoField("said", "string")})
SCHEMA = Schema(
    {
        1: ProtoField("text", "string"),
        2: ProtoField("count", "int"),
        3: ProtoField("yes", "bool"),
        4: ProtoField("data", "bytes"),
        5: ProtoField("colour", EnumNames({1: "RED"})),
        6: ProtoField("inner", INNER),
        7: ProtoField("words", "string", many=True),
        8: ProtoField("args", STRUCT),
        16: ProtoField("far", "int"),
    }
)
SCHEMA[9] = ProtoField("nested", SCHEMA)


def varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def number(at: int, value: int) -> bytes:
    return varint(at << 3) + varint(value & (1 << 64) - 1)


def piece(at: int, value: bytes) -> bytes:
    return varint(at << 3 | 2) + varint(len(value)) + value


CASES: dict[str, tuple[bytes, Any]] = {
    "nothing": (b"", {}),
    "a text": (piece(1, "Zürich".encode()), {"text": "Zürich"}),
    "a text that is no UTF-8": (piece(1, b"a\xff"), {"text": "a�"}),
    "a number": (number(2, 300), {"count": 300}),
    "a number below zero": (number(2, -5), {"count": -5}),
    "a field with a large number": (number(16, 1), {"far": 1}),
    "true": (number(3, 1), {"yes": True}),
    "bytes": (piece(4, b"\0\xff"), {"data": "AP8="}),
    "an enum": (number(5, 1), {"colour": "RED"}),
    "an enum's number without a name": (number(5, 9), {"colour": 9}),
    "a message": (piece(6, piece(1, b"a")), {"inner": {"said": "a"}}),
    "a message in two parts": (piece(9, number(2, 1)) + piece(9, number(3, 1)), {"nested": {"count": 1, "yes": True}}),
    "several": (piece(7, b"a") + piece(1, b"x") + piece(7, b"b"), {"words": ["a", "b"], "text": "x"}),
    "one that is stated twice": (number(2, 1) + number(2, 2), {"count": 2}),
    "unknown fields of every kind": (
        number(100, 1)
        + piece(101, b"x")
        + varint(102 << 3 | 1)
        + bytes(8)
        + varint(103 << 3 | 5)
        + bytes(4)
        + number(2, 7),
        {"count": 7},
    ),
    "a struct": (
        piece(
            8,
            piece(1, piece(1, b"null") + piece(2, number(1, 0)))
            + piece(1, piece(1, b"half") + piece(2, varint(2 << 3 | 1) + struct.pack("<d", 0.5)))
            + piece(1, piece(1, b"text") + piece(2, piece(3, b"a")))
            + piece(1, piece(1, b"no") + piece(2, number(4, 0)))
            + piece(1, piece(1, b"inner") + piece(2, piece(5, piece(1, piece(1, b"a") + piece(2, number(4, 1))))))
            + piece(1, piece(1, b"list") + piece(2, piece(6, piece(1, piece(3, b"x")) + piece(1, number(4, 1)))))
            + piece(1, piece(1, b"bare")),
        ),
        {
            "args": {
                "null": None,
                "half": 0.5,
                "text": "a",
                "no": False,
                "inner": {"a": True},
                "list": ["x", True],
                "bare": None,
            }
        },
    ),
}


@pytest.mark.parametrize(("data", "found"), CASES.values(), ids=CASES)
def test_a_message(data: bytes, found: Any) -> None:
    assert message(data, SCHEMA) == found


def nested(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        data = piece(9, data)
    return data


DAMAGED: dict[str, tuple[bytes, str]] = {
    "a field number of 0": (b"\0\0", "begins no field"),
    "a number without its end": (varint(2 << 3) + b"\xff\xff", "does not end"),
    "a number that is too long": (varint(2 << 3) + b"\xff" * 11, "does not end"),
    "a length beyond the end": (varint(1 << 3 | 2) + varint(10) + b"a", "ends beyond its message"),
    "eight bytes that are not there": (varint(1 << 3 | 1) + bytes(7), "ends beyond its message"),
    "a group": (varint(1 << 3 | 3), "unknown wire type 3"),
    "a number for a text": (number(1, 5), "a number stands where bytes belong"),
    "a text for a number": (piece(2, b"a"), "bytes stand where a number belongs"),
    "a struct's number that is too short": (
        piece(8, piece(1, piece(2, varint(2 << 3 | 5) + bytes(4)))),
        "has not 8 bytes",
    ),
    "too deep": (nested(protobuf.DEEPEST + 2), "nested deeper"),
}


@pytest.mark.parametrize(("data", "said"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_message(data: bytes, said: str) -> None:
    with pytest.raises(Damaged, match=said):
        message(data, SCHEMA)


def test_many_fields_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "MOST_VALUES", 10)
    assert len(message(piece(7, b"") * 10, SCHEMA)["words"]) == 10
    with pytest.raises(Damaged, match="more than 10 fields"):
        message(piece(9, number(100, 1) * 10), SCHEMA)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_message_or_damaged(data: bytes) -> None:
    with suppress(Damaged):
        message(data, SCHEMA)
