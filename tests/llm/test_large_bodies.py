"""Bodies with more values than are read: what is known of them all the same, and that finding it costs little."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from sessiontap.exchange import Headers, Request, Response
from sessiontap.llm import large_bodies
from sessiontap.llm.call import Asked, Call, Endpoint
from sessiontap.llm.large_bodies import DENSEST, SMALL, Room, is_too_long, measured, read_bounded, readable, reduced

MANY = 600_000


def request(body: bytes, content_type: str = "application/json", method: str = "POST") -> Request:
    return Request(method, "api.openai.com", "/v1/x", Headers([("content-type", content_type)]), body)


def call(body: Any = None) -> Call:
    return Call(endpoint=Endpoint("openai", "openai-chat", "chat", "/v1/chat/completions"), asked=Asked(), json=body)


LARGE = {
    "objects": b'{"model":"m","messages":[%s],"tools":[{"name":"t"}]}' % b",".join([b"{}"] * MANY),
    "lists": b'{"x":[%s],"tools":[{"name":"t"}],"model":"m"}' % b",".join([b"[]"] * MANY),
    "keys": b'{"model":"m",%s,"tools":[{"name":"t"}]}' % b",".join(b'"k%d":1' % n for n in range(MANY)),
    "numbers": b'{"model":"m","input":[%s],"tools":[{"name":"t"}]}' % b",".join([b"1"] * 4 * MANY),
}
NOT_LARGE = {
    "an image": json.dumps({"messages": [{"image": "A" * 20_000_000}]}).encode(),
    "a file of code": json.dumps({"messages": [{"content": "f({'a': [1, 2]});\n" * 50_000}]}).encode(),
    "small": b'{"model":"m"}',
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_of_a_large_request_the_small_fields_are_read(body: bytes) -> None:
    part = readable(request(body))
    assert part is not None
    assert part.body is not None
    assert json.loads(part.body) == {"model": "m", "tools": [{"name": "t"}]}


@pytest.mark.parametrize("body", NOT_LARGE.values(), ids=NOT_LARGE)
def test_a_request_of_few_values_is_read_in_full_however_long_it_is(body: bytes) -> None:
    assert readable(request(body)) is None


@pytest.mark.parametrize(
    ("body", "content_type", "method"),
    [
        pytest.param(LARGE["lists"], "application/octet-stream; x", "GET", id="frames of a WebSocket"),
    ],
)
def test_of_what_is_no_json_value_nothing_is_read(body: bytes, content_type: str, method: str) -> None:
    part = readable(request(body, content_type, method))
    assert part is not None
    assert part.body is None


@pytest.mark.parametrize(
    "body",
    [b"[" * MANY, b"[1,2", b'{"model":', b'{"a":' * MANY, b"\xff\xfe"],
    ids=["deep", "cut", "torn", "keys", "no text"],
)
def test_what_cannot_be_skipped_through_gives_nothing(body: bytes) -> None:
    assert reduced(body) == b"{}"


def test_a_conversation_of_more_messages_than_are_followed() -> None:
    assert is_too_long(call({"messages": [{}] * (large_bodies.MOST_MESSAGES + 1)}))
    assert not is_too_long(call({"messages": [{}] * large_bodies.MOST_MESSAGES}))
    assert not is_too_long(call("text"))


def room(reach: Callable[[int], Any]) -> Room:
    """No memory at once; `reach` is asked for what a body takes."""
    return Room(lambda size: False, lambda size: bool(reach(size)))


def asking(asked: list[int]) -> Room:
    return room(lambda size: not asked.append(size))


NO_ROOM = room(lambda size: False)


def reply(body: bytes, content_type: str, room: Room | None = None) -> Any:
    return read_bounded(call(), request(b""), Response(200, Headers([("content-type", content_type)]), body), room)


LONG = b"x" * large_bodies.MOST_VALUES
USAGE = b'"model":"m","usage":{"prompt_tokens":7,"completion_tokens":5}'
ONE_TEXT = b'{"choices":[{"index":0,"message":{"content":"%s"}}],' + USAGE + b"}"
READING = {
    "ASCII": (ONE_TEXT % LONG, 1),
    "one character that is not": (ONE_TEXT % (LONG + "\U0001f600".encode()), 4),
    "one that is escaped": (ONE_TEXT % (LONG + rb"\ud83d\ude00"), 4),
}


@pytest.mark.parametrize(("body", "width"), READING.values(), ids=READING)
def test_the_memory_that_reading_takes_is_asked_for(body: bytes, width: int) -> None:
    asked: list[int] = []
    assert reply(body, "application/json", asking(asked)).usage.output == 5
    (size,) = asked
    assert 3 * width * len(body) < size < 3 * width * len(body) + (6 << 20)


@pytest.mark.parametrize(("body", "_times"), READING.values(), ids=READING)
def test_of_a_reply_for_which_there_is_no_memory_the_usage_is_read_and_no_text(body: bytes, _times: int) -> None:
    read = reply(body, "application/json", NO_ROOM)
    assert (read.usage.input, read.usage.output, read.text) == (7, 5, None)
    assert read.problems[0] == "the response is too large to be read in full"


def test_a_stream_for_which_there_is_no_memory_is_not_read_and_its_usage_is_unknown() -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n' * 20_000
    read = reply(body, "text/event-stream", NO_ROOM)
    assert (read.usage, read.text, read.stream) == (None, None, True)
    assert "too large to be read in the memory that there is" in read.problems[0]


def test_the_objects_of_a_streams_largest_event_count_in_the_memory_that_reading_takes() -> None:
    event = b"data: [%s]\n\n" % b",".join([b'"ab"'] * 200_000)
    asked: list[int] = []
    for body in (event, event * 2):
        reply(body, "text/event-stream", asking(asked))
    once, twice = asked
    assert once > 12 * len(event)
    assert twice - once < 3 * len(event), "one event at a time"


COUNTED = {
    "what texts hold": (b'{"a":"{[,:","b":[1,2]}', 2 + 1 + 1 + 2 // 4),
    "quotes and backslashes in texts": (rb'{"a":"\"{\\","b":"\\\"["}', 2 + 1),
    "a text in several chunks": (b'{"a":"%s"}' % (b"[{," * 100_000), 1 + 1),
    "an escape at a chunk's end": (b'{"a":"%s\\"["}' % (b"x" * ((1 << 16) - 7)), 1 + 1),
}


@pytest.mark.parametrize(("body", "values"), COUNTED.values(), ids=COUNTED)
def test_values_are_told_from_what_texts_hold(body: bytes, values: int) -> None:
    json.loads(body)
    assert measured(body).values == values


def test_a_small_body_is_only_asked_whether_there_is_memory_for_the_worst() -> None:
    asked: list[int] = []
    small = request(b"x" * SMALL)
    assert readable(small, Room(lambda size: not asked.append(size), lambda size: False)) is None
    assert asked == [DENSEST * SMALL]


def test_a_small_reply_asks_for_no_memory() -> None:
    assert reply(b"{%s}" % USAGE, "application/json", NO_ROOM).usage.input == 7


def test_of_a_large_reply_the_usage_is_read() -> None:
    numbers = ",".join(["0.5"] * 4 * MANY)
    body = f'{{"data":[{{"embedding":[{numbers}]}}],"model":"e","usage":{{"prompt_tokens":7,"total_tokens":7}}}}'
    read = reply(body.encode(), "application/json")
    assert (read.response_model, read.usage.input) == ("e", 7)
    assert read.problems == ("the response is too large to be read in full",)


def frames(number: int) -> bytes:
    prelude = struct.pack(">II", 16, 0)
    prelude += struct.pack(">I", zlib.crc32(prelude))
    return (prelude + struct.pack(">I", zlib.crc32(prelude))) * number


TOO_MANY = {
    "events": (b"data: {}\n\n" * MANY, "text/event-stream", "too many to be read"),
    "lines": (b"{}\n" * MANY, "application/x-ndjson", "too many to be read"),
    "frames": (frames(MANY), "application/vnd.amazon.eventstream", "too many to be read"),
    "one event": (b"data: [%s]\n\n" % b",".join([b"[]"] * MANY), "text/event-stream", "too large to be read"),
}


@pytest.mark.parametrize(("body", "content_type", "said"), TOO_MANY.values(), ids=TOO_MANY)
def test_a_stream_of_more_than_anybody_says_is_not_read(body: bytes, content_type: str, said: str) -> None:
    read = reply(body, content_type)
    (problem,) = read.problems
    assert said in problem
    assert (read.usage, read.text, read.stream) == (None, None, True)


def test_a_long_stream_is_read() -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n' * 50_000
    assert reply(body, "text/event-stream").text == "a" * 50_000


def test_tool_calls_and_problems_are_as_many_as_anybody_reads() -> None:
    said = b'{"id":"c","function":{"name":"f","arguments":"{}"}}'
    body = b'{"choices":[{"index":0,"message":{"tool_calls":[%s]}}]}' % b",".join([said] * 5000)
    read = reply(body, "application/json")
    assert len(read.tool_calls) == large_bodies.MOST_TOOLS
    assert read.problems == ("of 5000 tool calls the first 1000 are kept",)


# -- gRPC --------------------------------------------------------------------------------------------------------------

_MESSAGE = gzip.compress(bytes(100_000))
COMPRESSED = b"\1" + len(_MESSAGE).to_bytes(4) + _MESSAGE
GRPC = Headers([("content-type", "application/grpc"), ("grpc-encoding", "gzip")])


def test_a_compressed_message_counts_as_what_it_becomes() -> None:
    asked: list[int] = []
    sent = Request("POST", "api.x.ai", "/xai_api.Chat/GetCompletion", GRPC, COMPRESSED)
    assert readable(sent, asking(asked)) is None
    assert asked[-1] >= DENSEST * 100_000


@pytest.mark.parametrize("least", [0, 17 << 20], ids=["to decompress it", "for what it becomes"])
def test_a_compressed_message_without_memory_is_not_read(least: int) -> None:
    dense = gzip.compress(bytes(7 << 20))
    body = b"\1" + len(dense).to_bytes(4) + dense
    fits = room(lambda size: size <= least)
    part = readable(Request("POST", "api.x.ai", "/xai_api.Chat/GetCompletion", GRPC, body), fits)
    assert part is not None
    assert part.body is None
    found = read_bounded(call(), request(b""), Response(200, GRPC, body), fits)
    assert "too large to be read in the memory that there is" in found.problems[0]
