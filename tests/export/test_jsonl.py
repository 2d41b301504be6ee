"""JSON Lines: all that the log has, a call a line."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from tests.export.calls import ID, call, damaged, turn, unanswered

from sessiontap.export import jsonl
from sessiontap.export.exported_call import NOT_RECORDED, ExportedCall
from sessiontap.trace import body


def written(*calls: ExportedCall) -> list[dict[str, Any]]:
    out = io.BytesIO()
    jsonl.write(calls, out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_call_a_line() -> None:
    lines = written(call(), turn(), unanswered())
    assert [line["outcome"] for line in lines] == ["ok", "ok", "upstream_unreachable"]
    assert len({frozenset(line) for line in lines}) == 1, "every line has the same keys"
    assert lines[2]["response"] is None


def test_a_line_begins_as_that_of_calls_json() -> None:
    one = call()
    (line,) = written(one)
    assert list(line.items())[: len(one.row)] == list(one.row.items())


def test_nothing_of_the_record_is_left_out() -> None:
    changes = [["set", "X-Step", None, "1", "all"]]
    one = call(changes=changes, link={"kind": "new", "root": "ab"}, conversation="c1", state={"deep": [1]})
    (line,) = written(one)
    assert line["changes"] == [{"action": "set", "header": "X-Step", "old": None, "new": "1", "rule": "all"}]
    assert line["caller"]["started"] == "2026-11-21T05:06:03.000001Z"
    elsewhere = {"type", "time", "caller", "changes", "request", "response", "duration", "time_to_first_byte"}
    assert {key: line[key] for key in one.record if key not in elsewhere} == {
        key: value for key, value in one.record.items() if key not in elsewhere
    }
    asked = one.record["request"]
    assert {key: line["request"][key] for key in asked if key != "body"} == {
        key: value for key, value in asked.items() if key != "body"
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"plain", '{"a": 1.10, "a": "ä"}\n'.encode(), "﻿bom \x00 \x7f\u2028".encode(), b"\xff\xfe", bytes(range(256))],
    ids=["empty", "text", "json", "odd characters", "no text", "every byte"],
)
def test_bodies_come_back_byte_for_byte(data: bytes) -> None:
    (line,) = written(call(data, data))
    for side in (line["request"], line["response"]):
        text, binary = side["body"], side["body_base64"]
        assert (text is None) != (binary is None)
        assert (text.encode() if text is not None else base64.b64decode(binary)) == data
        assert side["body_size"] == len(data)


@pytest.mark.parametrize(
    ("stored", "missing"),
    [(damaged(), "the body does not fit its sha256"), (body.measured(9), NOT_RECORDED), (None, None)],
    ids=["damaged", "not recorded", "none"],
)
def test_a_body_that_is_not_there_says_why(stored: dict[str, Any] | None, missing: str | None) -> None:
    (line,) = written(call(told={"body": stored}))
    told = line["response"]
    assert (told["body"], told["body_base64"], told["body_missing"]) == (None, None, missing)
    assert told["body_size"] == (stored["size"] if stored else None)


def test_chunks_in_seconds() -> None:
    (line,) = written(turn())
    assert line["response"]["chunks"] == [[0.1, 12], [0.2, 11]]
    assert line["id"] == ID
