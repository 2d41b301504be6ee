"""The kind of a body, and the events of one that is a stream.

The kind is told by the content type, else by the first bytes. Server-sent events are as the WHATWG HTML standard has
them (9.2.6), over a whole or cut body. One way is ours: an event that the body ends in the middle of is given too,
marked incomplete, for servers that leave out the last empty line. The reader decides if it is to be trusted. JSON lines
are one JSON value a line; empty lines may stand between them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sessiontap.exchange import Response
from sessiontap.llm.call import Reply, ToolCall
from sessiontap.llm.pick import dig, flag, parse, written

# The kind of a body --------------------------------------------------------------------------------------------------

BodyKind = Literal["json", "sse", "ndjson", "eventstream", "text", "binary", "empty"]

STREAMS: frozenset[BodyKind] = frozenset({"sse", "ndjson", "eventstream"})

CONTENT_TYPES: dict[str, BodyKind] = {
    "application/json": "json",
    "text/json": "json",
    "text/event-stream": "sse",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/stream+json": "ndjson",  # Cohere v1
    "application/vnd.amazon.eventstream": "eventstream",
}

_SSE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?::|(?:data|event|id|retry)(?::|\r|\n))")
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")


def reply_kind(response: Response) -> BodyKind:
    """The kind of a response's body. What follows a 101 is a turn of a WebSocket: its frames as JSON lines."""
    if response.status == 101 and response.body:
        return "ndjson"
    return body_kind(response.headers.get("content-type"), response.body)


def body_kind(content_type: str | None, body: bytes) -> BodyKind:
    """The kind of `body`. A type that says JSON over a body that is SSE, or the other way round, is not believed."""
    if not body:
        return "empty"
    media = (content_type or "").partition(";")[0].strip().lower()
    stated = CONTENT_TYPES.get(media) or ("json" if media.endswith("+json") else None)
    if stated is None:
        return _look(body) if media in ("", "application/octet-stream") or media.startswith("text/") else "binary"
    if stated in ("json", "sse"):
        seen = _look(body)
        return seen if seen in ("json", "sse") else stated
    return stated


def may_be_json(content_type: str | None) -> bool:
    """Return whether a body of this type may be a JSON value, as far as the type tells."""
    media = (content_type or "").partition(";")[0].strip().lower()
    return media in ("", "application/json", "text/json", "text/plain") or media.endswith("+json")


def _more_than_one(body: bytes) -> bool:
    """The first line is a whole object and another one follows."""
    body_start = len(body) - len(body.lstrip()) if body[:1].isspace() else 0
    end = body.find(b"\n", body_start)
    return end > 0 and body[body_start:end].rstrip().endswith(b"}") and body[end : end + 64].lstrip().startswith(b"{")


def _look(body: bytes) -> BodyKind:
    if _SSE.match(body):
        return "sse"
    if _JSON.match(body):
        return "ndjson" if _more_than_one(body) else "json"
    if len(body) >= 12 and zlib.crc32(body[:8]) == int.from_bytes(body[8:12]):  # an event-stream frame's prelude
        return "eventstream"
    return "binary" if b"\x00" in body[:512] else "text"


# The events of a stream ----------------------------------------------------------------------------------------------

_SAID = 3
"""Damaged events that are told one by one; a count for the rest."""


class StreamEvent(NamedTuple):
    value: dict[str, Any]
    name: str | None
    """The SSE event's name."""
    end: int
    """Offset in the body just behind it."""


def streams(response: Response) -> bool:
    """The body is SSE or JSON lines."""
    return reply_kind(response) in ("sse", "ndjson")


def reply_by_form(
    response: Response, whole: Callable[[Any], Reply], streamed: Callable[[Response], Reply] | None = None
) -> Reply:
    """Return a reply, read by its form: a stream by `streamed`, if there are any, and one JSON value by `whole`.

    An empty body states nothing. One that is no JSON is a problem, unless the rest of it did not come.
    """
    if not response.body:
        return Reply()
    if streamed is not None and streams(response):
        return streamed(response)
    body, problem = parse(response.body)
    if problem:
        return Reply(problems=(f"the response is {problem}",) if response.complete else ())
    return whole(body)


def asked_for(body: Any) -> bool | None:
    """Return whether a request asks for a stream, if the default is none; None if its body is not known."""
    return flag(body, "stream") if dig(body, "stream") is not None or not isinstance(body, dict) else False


def pieces(response: Response, problems: list[str]) -> Iterator[StreamEvent]:
    """The JSON objects of a stream, in order; `[DONE]` is left out, what cannot be read goes into `problems`.

    A last event without its end is taken if it is whole JSON all the same, else it counts only against a body that
    claims to be complete.
    """
    damaged = 0
    for data, name, end, complete in _raw(response):
        value, problem = parse(data)
        if isinstance(value, dict):
            yield StreamEvent(value, name, end)
        elif problem is None or data.strip() in (b"[DONE]", b""):
            continue
        elif complete:
            damaged += 1
            if damaged <= _SAID:
                problems.append(f"the event that ends at byte {end} is {problem}")
        elif response.complete:
            problems.append("the stream ends in the middle of an event")
    if damaged > _SAID:
        problems.append(f"{damaged - _SAID} more events are no JSON")


def _raw(response: Response) -> Iterator[tuple[bytes, str | None, int, bool]]:
    if reply_kind(response) == "ndjson":
        for line in json_lines(response.body):
            yield line.data, None, line.end, line.complete
    else:
        for event in server_sent_events(response.body):
            yield event.data, event.name, event.end, event.complete


# Server-sent events ------------------------------------------------------------------------------------------------

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_EVENT_END = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")


class ServerSentEvent(NamedTuple):
    data: bytes
    name: str | None
    """The `event` field; None if there is none."""
    end: int
    """Offset in the body just behind the event."""
    complete: bool


def server_sent_events(body: bytes) -> Iterator[ServerSentEvent]:
    """The events of `body` that carry data, in order."""
    start = len(_BOM) if body.startswith(_BOM) else 0
    for block, end, complete in _blocks(body, start):
        event = _event(block, end, complete)
        if event is not None:
            yield event


def _blocks(body: bytes, start: int) -> Iterator[tuple[list[bytes], int, bool]]:
    """Lines between empty lines, with the offset behind the empty line."""
    carriage_returns = body.count(b"\r")
    if not carriage_returns:
        yield from _uniform(body, start, b"\n")
    elif carriage_returns == body.count(b"\n") == body.count(b"\r\n"):
        yield from _uniform(body, start, b"\r\n")
    else:
        for match in _EVENT_END.finditer(body, start):
            yield _LINE_END.split(body[start : match.start()]), match.end(), True
            start = match.end()
        if start < len(body):
            yield _LINE_END.split(body[start:]), len(body), False


def _uniform(body: bytes, start: int, line_end: bytes) -> Iterator[tuple[list[bytes], int, bool]]:
    """Yield the blocks of a body with one kind of line end throughout: several times as fast."""
    event_end = line_end * 2
    while (found := body.find(event_end, start)) >= 0:
        end = found + len(event_end)
        yield body[start:found].split(line_end), end, True
        start = end
    if start < len(body):
        yield body[start:].split(line_end), len(body), False


def _event(lines: list[bytes], end: int, complete: bool) -> ServerSentEvent | None:
    parts: list[bytes] = []
    name: str | None = None
    for line in lines:
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            parts.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace") or None
    return ServerSentEvent(b"\n".join(parts), name, end, complete) if parts else None


# JSON lines --------------------------------------------------------------------------------------------------------


class JsonLine(NamedTuple):
    data: bytes
    end: int
    """Offset in the body just behind the line and its end."""
    complete: bool
    """False for a last line without its line end."""


def json_lines(body: bytes) -> Iterator[JsonLine]:
    """The lines of `body` that are not empty, in order."""
    start = 0
    while (found := body.find(b"\n", start)) >= 0:
        data = body[start:found].strip()
        start = found + 1
        if data:
            yield JsonLine(data, start, True)
    if data := body[start:].strip():
        yield JsonLine(data, len(body), False)


# Tool calls that come in pieces ------------------------------------------------------------------------------------


def arguments_of(value: Any) -> str | None:
    """Return arguments as JSON text: a string is it already, anything else is written as JSON."""
    if value is None:
        return None
    return value if isinstance(value, str) else written(value)


@dataclass(slots=True)
class Growing:
    """A tool call of which the arguments are still coming."""

    name: str
    id: str | None = None
    parts: list[str] = field(default_factory=list)

    def done(self) -> ToolCall:
        return ToolCall(self.name, self.id, "".join(self.parts) or None)
