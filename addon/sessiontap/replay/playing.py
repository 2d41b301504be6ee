"""One connection of the replay's server, and a recorded reply played on it: its pieces, its times, its end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus

import h11

from sessiontap.replay.question import HOP_BY_HOP, RecordedReply
from sessiontap.replay_link import HEADER, UNANSWERED, trailers_header

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_AT_ONCE = 1 << 16


class H11Connection:
    """A connection on which HTTP/1.1 is spoken by h11."""

    def __init__(self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.http = http
        self.reader = reader
        self.writer = writer
        self.method = b""
        """The method of the request that is being answered."""

    async def next_event(self) -> h11.Event | None:
        """Return the client's next event; None if it wants another protocol. Raises h11.ProtocolError and OSError."""
        while True:
            event = self.http.next_event()
            if isinstance(event, h11.Event):
                return event
            if event is not h11.NEED_DATA:
                return None
            self.http.receive_data(await self.reader.read(_AT_ONCE))

    def next_cycle(self) -> bool:
        """Make ready for the next request. False: there will be none."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        return True

    async def send(self, *events: h11.Event) -> None:
        """Send events, in one write."""
        self.writer.write(b"".join(self.http.send(event) or b"" for event in events))
        await self.writer.drain()

    async def reply(self, status: int, body: bytes, content_type: str, more: Sequence[tuple[str, str]] = ()) -> None:
        """Send a reply of our own."""
        head = [("content-type", content_type), ("content-length", str(len(body))), *more]
        await self.send(
            h11.Response(status_code=status, headers=head, reason=reason(status)),
            *([h11.Data(body)] if self.method != b"HEAD" else []),
            h11.EndOfMessage(),
        )

    def close(self) -> None:
        """Close the connection, after what was written."""
        self.writer.close()


def reason(status: int) -> bytes:
    """Return the phrase behind a status."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


async def play(link: H11Connection, reply: RecordedReply) -> None:
    """Send a reply at its times. The connection is closed where it broke off."""
    await wait(reply.first_byte)
    if reply.ending == "unanswered":
        await link.reply(502, b"", "text/plain", [(HEADER, UNANSWERED)])
        return
    has_body = link.method != b"HEAD" and reply.status not in (204, 304)
    headers = _framed(reply) if has_body else headers_of(reply)
    if reply.trailers and reply.ending == "whole":
        headers.append((HEADER, trailers_header(reply.trailers)))
    held: list[h11.Event] = [h11.Response(status_code=reply.status, headers=headers, reason=reason(reply.status))]
    for piece in reply.pieces if has_body else ():
        if piece.delay:
            await link.send(*held)
            held.clear()
            await wait(piece.delay)
        held.append(h11.Data(piece.data))
    if reply.ending == "cut" and has_body:
        await link.send(*held)
        link.close()
        return
    await link.send(*held, h11.EndOfMessage())


async def wait(nanoseconds: int) -> None:
    """Wait as long as a reply does."""
    if nanoseconds > 0:
        await asyncio.sleep(nanoseconds / 1e9)


def headers_of(reply: RecordedReply) -> list[tuple[str, str]]:
    """Return the recorded headers that a replay sends, in a form that HTTP/1.1 takes."""
    return [
        (name, _FORBIDDEN.sub(" ", value).strip())
        for name, value in reply.headers
        if name.lower() not in HOP_BY_HOP and name.lower() != HEADER and _NAME.fullmatch(name)
    ]


def _framed(reply: RecordedReply) -> list[tuple[str, str]]:
    """Return the same with the header that says how long the body is."""
    is_stream = (reply.headers.get("content-type") or "").startswith("text/event-stream")
    if len(reply.pieces) <= 1 and reply.ending == "whole" and not is_stream:
        return [*headers_of(reply), ("content-length", str(sum(len(piece.data) for piece in reply.pieces)))]
    return [*headers_of(reply), ("transfer-encoding", "chunked")]
