"""The recorded calls that a replay answers from, in the order of the recording, with the keys that find them.

A request's body is read once, when a recording is opened, and not kept; a reply's is read when it is asked for. A reply
is given only as it was recorded. So a call is **refused** as an answer if its body is not in the log: withheld by a
rule (`capture: metadata`), cut, not decodable, not seen, damaged, or with audio that is kept by its size alone. A reply
in which only credentials were replaced is given, with a mark that says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sessiontap.analysis.recorded_call import asked_request, fields
from sessiontap.exchange import Headers
from sessiontap.llm.families import socket_of
from sessiontap.llm.pick import parse, text
from sessiontap.replay.api import Api, address_of, api_of, url_of
from sessiontap.replay.canonical import CanonicalRequest
from sessiontap.replay.canonicalizer import Canonicalizer
from sessiontap.replay.pacing import pieces_of
from sessiontap.replay.question import HOP_BY_HOP, Ending, Piece, RecordedReply
from sessiontap.trace import BodyError, RecordedCall
from sessiontap.trace.errands import is_errand
from sessiontap.trace.values import unpack_chunks

Record = Mapping[str, Any]

_REDACTED = re.compile(rb"\[redacted:[\w.*-]{1,80}:[0-9a-f]{10}\]")
_BY_SIZE = re.compile(rb'\{"type":"binary","bytes":\d+\}|"\[\d+ characters of base64\]"')
_GREETING = "session.created"
"""The type of the frame that a realtime server sends before it is asked for anything."""
_NO_REPLY: dict[str, str | None] = {
    "upstream_unreachable": None,
    "upstream_gone": None,
    "client_gone": "its client left before the reply began: a client that stays gets none",
    "proxy_stopped": "the proxy ended before the reply began: a client that stays gets none",
}
"""Outcomes of calls without a reply, and the mark that an answer by them has."""
_BROKEN: dict[str, str | None] = {
    "upstream_gone": None,
    "client_gone": "its client left before the reply's end: a client that stays gets that part, and then a break",
    "proxy_stopped": "the proxy ended before the reply did: a client that stays gets that part, and then a break",
}
"""The same of calls with a part of a reply."""


@dataclass(frozen=True, slots=True)
class Unplayable:
    """A recorded call cannot be an answer; the sentence says why."""

    reason: str


@dataclass(slots=True, eq=False)
class Exchange:
    """A recorded call, as a replay knows it."""

    call: RecordedCall
    number: int
    """Its place in the order of the recording, from 0."""
    method: str
    url: str
    api: Api
    address: str
    sha256: bytes | None
    """Of the request's body; None if that is not known, so that nothing equals it."""
    canonical: CanonicalRequest | None
    """None if the request's body is not known."""
    unread: str | None = None
    """Why the request's body is not known."""
    asked_lines: int = 0
    """Of a turn: the lines of its request up to the frame that asks, also if that never came."""
    asks: bool = True
    """False of a WebSocket on which the client asked for nothing."""
    is_beyond: bool = False
    """It began after the last call that is to be replayed."""
    answers: int = field(default=0, init=False)
    """How often it was given."""

    @property
    def id(self) -> str:
        return self.call.id

    @property
    def conversation(self) -> str | None:
        found = self.call.record.get("conversation")
        return found if isinstance(found, str) else None

    @property
    def parent(self) -> str | None:
        found = self.call.record.get("parent")
        return found if isinstance(found, str) else None

    @property
    def kind(self) -> str | None:
        """Its part in its conversation (`sessions.links`)."""
        return (self.call.record.get("link") or {}).get("kind")

    @property
    def process(self) -> str | None:
        """The id of the process that made it, as it was then."""
        return self.call.record.get("caller")

    @property
    def is_turn(self) -> bool:
        """It is a turn of a WebSocket."""
        return self.api.method == "WS"

    @property
    def speaks_first(self) -> bool:
        """It is a turn, and its server spoke before the client did."""
        order = (self.call.record.get("response") or {}).get("order") or [1]
        return bool(order[0] == 0)

    @property
    def is_errand(self) -> bool:
        return is_errand(self.call.record)

    @property
    def may_repeat(self) -> bool:
        """Asking for it again changes nothing: an errand, a token count, a request that only reads."""
        counts = (self.call.record.get("llm") or {}).get("operation") == "count_tokens"
        return counts or self.is_errand or self.api.method in ("GET", "HEAD", "OPTIONS")

    @property
    def response_id(self) -> str | None:
        return (self.call.record.get("llm") or {}).get("response_id")

    @property
    def tool_call_ids(self) -> list[str]:
        """The ids of the tool calls in its reply."""
        return [id for id in (self.call.record.get("llm") or {}).get("tool_call_ids") or () if id]

    def request_body(self) -> bytes | None:
        """Return the body of its request, of a turn up to the frame that asks. Raises BodyError."""
        body = self.call.request_body()
        return b"".join((body or b"").splitlines(keepends=True)[: self.asked_lines]) if self.is_turn else body

    def reply(self) -> tuple[RecordedReply, tuple[str, ...]] | Unplayable:
        """Return its reply, and what must be said of it; or why it cannot be given."""
        record = self.call.record
        outcome, flags = record.get("outcome") or "", record.get("flags") or ()
        response = record.get("response")
        first_byte = record.get("time_to_first_byte")
        if "response_unseen" in flags:
            return Unplayable(f"the reply of call {self.id} was not seen, by a fault of the proxy")
        if not response or not response.get("status"):
            if outcome not in _NO_REPLY:
                return Unplayable(f"call {self.id} has no reply in the log")
            mark = _NO_REPLY[outcome]
            reply = RecordedReply(self.id, 0, Headers(), (), "unanswered", record.get("duration") or 0)
            return reply, (mark,) if mark else ()
        if (missing := _missing(self.id, response.get("body"), flags)) is not None:
            return Unplayable(missing)
        try:
            body = self.call.response_body() or b""
        except BodyError as error:
            return Unplayable(f"the reply of call {self.id} cannot be read: {error}")
        if self.is_turn and _BY_SIZE.search(body):
            return Unplayable(
                f"the reply of call {self.id} has audio or binary frames, of which the log keeps the size"
            )
        headers = Headers(pair for pair in fields(response) if pair[0].lower() not in HOP_BY_HOP)
        marks = [mark] if (mark := _BROKEN.get(outcome)) else []
        if number := len(_REDACTED.findall(body)):
            marks.append(
                f"{number} credential{'s' if number > 1 else ''} in the recorded reply "
                f"{'are' if number > 1 else 'is'} replaced by [redacted:...]"
            )
        chunks = unpack_chunks(response.get("chunks") or ())
        duration = record.get("duration") or 0
        if first_byte is None:
            first_byte = min((at for at, _ in chunks), default=duration)
        if self.is_turn:
            first_byte = 0
        times = chunks or ([(max(duration, first_byte), len(body))] if body else [])
        reply = RecordedReply(
            call=self.id,
            status=response["status"],
            headers=headers,
            pieces=pieces_of(body, times, headers, first_byte, is_socket=self.is_turn),
            ending=_ending(outcome, is_turn=self.is_turn),
            first_byte=first_byte,
            trailers=Headers((name, value) for name, value in response.get("trailers") or ()),
            asked_lines=self.asked_lines,
            order=_order(response, body, self.asked_lines) if self.is_turn else (),
        )
        return reply, tuple(marks)

    def upgrade(self) -> RecordedReply:
        """Return the reply to the upgrade that opened its WebSocket, and the frame by which the server greeted.

        That stands in the reply of the first turn, as all does that comes before a turn.
        """
        response = self.call.record.get("response") or {}
        headers = Headers(pair for pair in fields(response) if pair[0].lower() not in HOP_BY_HOP)
        try:
            body = self.call.response_body() or b""
        except BodyError:
            body = b""
        greeting = (Piece(0, body.partition(b"\n")[0] + b"\n"),) if _greets(body) else ()
        return RecordedReply(self.id, 101, headers, greeting)


def _greets(body: bytes) -> bool:
    """Return True if the first frame of a turn's reply is the server's greeting."""
    return text(parse(body.partition(b"\n")[0])[0], "type") == _GREETING


def _order(response: Record, body: bytes, asked_lines: int) -> tuple[tuple[int, int], ...]:
    """Return the order of a turn's frames (`RecordedReply.order`); of an older log the greeting alone is known."""
    order = response.get("order")
    if order:
        return tuple(zip(order[::2], order[1::2], strict=False))
    return ((0, 1), (asked_lines, body.count(b"\n"))) if _greets(body) else ()


def _ending(outcome: str, *, is_turn: bool) -> Ending:
    if outcome in _BROKEN or (outcome == "websocket_closed" and is_turn):
        return "cut"
    return "whole"


def _missing(call: str, body: Record | None, flags: Iterable[str]) -> str | None:
    """Return why a reply's body is not in the log as it was; None if it is, or was empty."""
    if not body:
        return f"the reply of call {call} was kept in part" if "response_cut" in flags else None
    if body.get("undecodable") or body.get("withheld"):
        return f"the reply of call {call} could not be decoded when it was recorded"
    if body.get("enc") is None:
        return f"the reply of call {call} was not recorded: a rule says `capture: metadata`, or may say it"
    if "response_cut" in flags or body.get("total"):
        return f"the reply of call {call} was kept in part: {body.get('size')} of {body.get('total') or 'more'} bytes"
    return None


def read_recording(calls: Iterable[RecordedCall], forms: Canonicalizer) -> list[Exchange]:
    """Return the calls of a recording in their order: by their start, then by id."""
    ordered = sorted(calls, key=lambda call: (call.record.get("time") or 0, call.id))
    return [_exchange(call, number, forms) for number, call in enumerate(ordered)]


def _exchange(call: RecordedCall, number: int, forms: Canonicalizer) -> Exchange:
    record = call.record
    flags = record.get("flags") or ()
    is_turn = "websocket" in flags
    stored = (record.get("request") or {}).get("body")
    unread = _unread(stored, flags)
    try:
        asked = asked_request(call)
    except BodyError as error:
        unread = unread or f"its request cannot be read: {error}"
        asked = asked_request(RecordedCall(record, call.caller, lambda side, body: None))
    body, asked_lines = _up_to_asking(asked.body or b"", record) if is_turn else (asked.body, 0)
    form = None if unread else forms.read(body)
    exchange = Exchange(
        call=call,
        number=number,
        method=asked.method,
        url=url_of(asked),
        api=api_of(asked, is_turn=is_turn),
        address=address_of(asked, is_turn=is_turn),
        sha256=None if unread else _sha256(stored) if body == asked.body else hashlib.sha256(body or b"").digest(),
        canonical=form,
        unread=unread,
        asked_lines=asked_lines,
        asks=not is_turn or (body or b"").count(b"\n") >= asked_lines,
    )
    if form is not None and exchange.response_id:
        forms.note_reply(exchange.response_id, form)
    return exchange


def _up_to_asking(body: bytes, record: Record) -> tuple[bytes, int]:
    """Return the lines of a turn's request up to the frame that asks, and how many they are: what follows is about the
    reply. If no frame asks, one is counted that is still to come."""
    grammar = socket_of((record.get("llm") or {}).get("family") or "")
    lines = body.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if grammar is not None and text(parse(line)[0], "type") in grammar.starts:
            return b"".join(lines[:number]), number
    return body, len(lines) + 1


EMPTY = b""
"""Stands for the sha256 of no body."""


def _sha256(stored: Record | None) -> bytes:
    """Of a body as it is stored: nobody need hash it again."""
    found = stored.get("sha256") if stored else None
    return bytes(found) if found and stored and stored.get("size") else EMPTY


def _unread(stored: Record | None, flags: Iterable[str]) -> str | None:
    if "request_unseen" in flags:
        return "its request was not seen, by a fault of the proxy"
    if "request_cut" in flags or (stored and stored.get("total")):
        return "its request was kept in part"
    if stored and (stored.get("undecodable") or stored.get("withheld")):
        return "its request could not be decoded"
    if stored and stored.get("enc") is None and stored.get("size"):
        return "its request was not recorded: a rule says `capture: metadata`, or may say it"
    return None
