"""The kind of a body, and the events of one that is a stream."""

from __future__ import annotations

import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiontap.llm.streaming import body_kind, json_lines, server_sent_events

FRAME = bytes.fromhex("000000af0000004b")

KINDS = {
    "json": ("application/json; charset=utf-8", b'{"a": 1}', "json"),
    "json of a vendor": ("application/vnd.api+json", b"[]", "json"),
    "sse": ("text/event-stream", b"data: a\n\n", "sse"),
    "json lines": ("application/x-ndjson", b'{"a": 1}\n', "ndjson"),
    "cohere's": ("application/stream+json", b'{"a": 1}\n{"b": 2}\n', "ndjson"),
    "aws frames": ("application/vnd.amazon.eventstream", b"\0\0\0\xaf", "eventstream"),
    "an image": ("image/png", b"\x89PNG", "binary"),
    "a page": ("text/html", b"<html>", "text"),
    "nothing": ("application/json", b"", "empty"),
    "json that is sse": ("application/json", b": hello\n\ndata: {}\n\n", "sse"),
    "sse that is json": ("text/event-stream", b'{"error": {}}', "json"),
    "no type: json": (None, b' \n{"a": 1}', "json"),
    "no type: pretty json": (None, b'{\n "a": {\n}\n}', "json"),
    "no type: sse": (None, b"event: a\ndata: b\n\n", "sse"),
    "no type: json lines": (None, b'{"a": 1}\r\n{"b": 2}', "ndjson"),
    "no type: frames": (None, FRAME + zlib.crc32(FRAME).to_bytes(4) + b"x", "eventstream"),
    "no type: text": (None, b"Not found", "text"),
    "no type: binary": (None, b"\x00\x01", "binary"),
    "plain text that is json": ("text/plain", b'{"a": 1}', "json"),
}


@pytest.mark.parametrize(("content_type", "body", "kind"), KINDS.values(), ids=KINDS)
def test_kind(content_type: str | None, body: bytes, kind: str) -> None:
    assert body_kind(content_type, body) == kind


def test_a_large_body_costs_nothing() -> None:
    body = b'{"a": "' + b"}" * 20_000_000 + b'"}'
    start = time.process_time()
    assert body_kind(None, body) == "json"
    assert time.process_time() - start < 0.5


CASES = {
    "one": (b"data: a\n\n", [(None, b"a")]),
    "named": (b"event: add\ndata: a\n\n", [("add", b"a")]),
    "no space behind the colon": (b"data:a\n\n", [(None, b"a")]),
    "only one space is taken away": (b"data:  a\n\n", [(None, b" a")]),
    "data of several lines": (b"data: a\ndata\ndata: b\n\n", [(None, b"a\n\nb")]),
    "CRLF": (b"event: e\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [("e", b"a"), (None, b"b")]),
    "CR": (b"data: a\r\rdata: b\r\r", [(None, b"a"), (None, b"b")]),
    "mixed line ends": (b"data: a\r\n\ndata: b\r\r\ndata: c\n\r\n", [(None, b"a"), (None, b"b"), (None, b"c")]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [(None, b"a")]),
    "comments": (b": OPENROUTER PROCESSING\n\n:\ndata: a\n: b\n\n", [(None, b"a")]),
    "other fields": (b"id: 7\nretry: 100\nnonsense\ndata: a\n\n", [(None, b"a")]),
    "an event without data is none": (b"event: ping\n\ndata: a\n\n", [(None, b"a")]),
    "many empty lines": (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [(None, b"a"), (None, b"b")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("body", "expected"), CASES.values(), ids=CASES)
def test_events(body: bytes, expected: list[tuple[str | None, bytes]]) -> None:
    found = list(server_sent_events(body))
    assert [(event.name, event.data) for event in found] == expected
    assert all(event.complete for event in found)


def test_the_end_is_behind_the_empty_line() -> None:
    assert [event.end for event in server_sent_events(b": hi\n\ndata: a\n\ndata: b\n\n")] == [15, 24]
    assert [event.end for event in server_sent_events(b"data: a\r\n\r\ndata: b\r\n\r\n")] == [11, 22]


def test_a_last_event_without_its_end_is_marked() -> None:
    found = list(server_sent_events(b"data: a\n\ndata: b\n"))
    assert [(event.data, event.complete, event.end) for event in found] == [(b"a", True, 9), (b"b", False, 17)]


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
VALUE = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=9).map(str.encode)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream and the data of its events."""
    body, expected = b"", []
    for values in draw(st.lists(st.lists(VALUE, min_size=1, max_size=3), max_size=6)):
        for value in values:
            body += b": noise" + draw(LINE_ENDS) if draw(st.booleans()) else b""
            body += b"data: " + value + draw(LINE_ENDS)
        body += b"event: x\n" + draw(LINE_ENDS)
        expected.append(b"\n".join(values))
    return body, expected


@given(streams())
def test_whatever_is_written_is_read(stream: tuple[bytes, list[bytes]]) -> None:
    body, expected = stream
    assert [event.data for event in server_sent_events(body)] == expected


@given(streams(), st.data())
def test_a_part_of_a_stream_gives_a_part_of_its_events(stream: tuple[bytes, list[bytes]], data: st.DataObject) -> None:
    body, expected = stream
    part = [event for event in server_sent_events(body[: data.draw(st.integers(0, len(body)))]) if event.complete]
    assert [event.data for event in part] == expected[: len(part)]


@given(st.binary(max_size=200))
def test_no_bytes_raise_and_ends_grow(body: bytes) -> None:
    ends = [event.end for event in server_sent_events(body)]
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(body) for end in ends)


def test_an_event_of_a_quarter_of_a_million_lines_is_put_together_in_one_go() -> None:
    line = b"x" * 40
    (event,) = server_sent_events((b"data: " + line + b"\n") * 250_000 + b"\n")
    assert event.data == b"\n".join([line] * 250_000)


# JSON lines


def test_lines_with_their_ends() -> None:
    found = [tuple(line) for line in json_lines(b'{"a":1}\n\n{"b":2}\r\n{"c"')]
    assert found == [(b'{"a":1}', 8, True), (b'{"b":2}', 18, True), (b'{"c"', 22, False)]


@given(st.lists(st.text("ab{} ", min_size=1).filter(str.strip)), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_whatever_is_written_in_lines_is_read(values: list[str], line_end: str) -> None:
    body = "".join(value + line_end for value in values).encode()
    assert [line.data.decode() for line in json_lines(body)] == [value.strip() for value in values]
