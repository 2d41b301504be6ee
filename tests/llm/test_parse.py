"""What is JSON, what is nearly so and read all the same, and what is not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from sessiontap.llm import pick
from sessiontap.llm.pick import parse

DEEP = 100_000


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b'{"a": "b"}', {"a": "b"}, id="JSON"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', {"a": 1}, id="behind a byte order mark"),
        pytest.param(rb'{"a": "x\ud83d", "model": "m"}', {"a": "x\ufffd", "model": "m"}, id="a pair cut behind"),
        pytest.param(rb'{"a": "\ude00x"}', {"a": "\ufffdx"}, id="a pair cut before"),
        pytest.param(rb'{"a": "\ud83d\ude00 \ud83d"}', {"a": "\U0001f600 \ufffd"}, id="a whole pair stays"),
        pytest.param(rb'{"a": "\\ud83d \ud83d"}', {"a": "\\ud83d \ufffd"}, id="the text of an escape stays"),
        pytest.param(rb'{"\ud83d": ["x", {"b": "\ud83d"}]}', {"\ufffd": ["x", {"b": "\ufffd"}]}, id="anywhere"),
        pytest.param(b'{"a": NaN, "b": 0.5}', {"a": None, "b": 0.5}, id="NaN"),
        pytest.param(b'{"a": [Infinity, -Infinity]}', {"a": [None, None]}, id="infinities"),
        pytest.param(b'{"a": [1e400, -1e400, 1e308]}', {"a": [None, None, 1e308]}, id="numbers beyond floats"),
        pytest.param(b'{"a": NaN, "b": 12345678901234567890123}', {"a": None, "b": 12345678901234567890123}, id="big"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", {"a": None}, id="a number of 5,000 digits"),
        pytest.param(b'{"a": "one\ntwo\tthree"}', {"a": "one\ntwo\tthree"}, id="line ends within a text"),
        pytest.param(b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}, id="Latin-1"),
        pytest.param('{"a": "é"}'.encode("utf-16"), {"a": "é"}, id="UTF-16"),
    ],
)
def test_what_servers_take_is_read(data: bytes, value: Any) -> None:
    found, problem = parse(data)
    assert (found, problem) == (value, None)
    json.dumps(found, ensure_ascii=False).encode()
    if b"12345678901234567890123" not in data:  # MessagePack holds 64 bits
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(found)) == value


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"a": 1', id="cut"),
        pytest.param(b'{"a": NaN}}', id="more behind"),
        pytest.param(b"{'a': 1}", id="other quotes"),
        pytest.param(rb'{"a": "\x41"}', id="an escape that there is not"),
        pytest.param(b"[" * DEEP + b"NaN" + b"]" * DEEP, id="nested deep"),
        pytest.param(b'{"a": ' * DEEP + rb'"\ud800"' + b"}" * DEEP, id="maps nested deep"),
    ],
)
def test_what_is_no_json_is_told(data: bytes) -> None:
    value, problem = parse(data)
    assert value is None
    assert problem is not None
    assert problem.startswith("no JSON (")


def test_what_is_long_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"a": NaN}'
    monkeypatch.setattr(pick, "MOST_TOLERATED", len(body) - 1)
    assert parse(body)[0] is None
    assert parse(b'{"a": 1.5}') == ({"a": 1.5}, None)


def test_a_part_that_is_not_decoded_yet_is_read_as_tolerantly() -> None:
    assert parse(msgspec.Raw(b'{"a": NaN, "b": "\\ud83d"}')) == ({"a": None, "b": "\ufffd"}, None)
