"""The frames of a WebSocket: where one belongs, the line that is kept of it, and what the lines of a turn ask for.

A line end within a frame becomes a space. Binary frames and audio in base64 are kept by their size alone.
Sources: developers.openai.com/api/docs/guides/websocket-mode, platform.openai.com/docs/api-reference/realtime.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from sessiontap.llm.family import SocketGrammar
from sessiontap.llm.pick import dig, flag, parse, text, written

MOST_TIMES = 100_000
"""Frames whose arrival is kept, for each direction of a turn."""
_MOST_ORDERED = 10_000
"""Runs of a server's frames whose place among the client's is kept."""


class SocketFrame(NamedTuple):
    """One whole message of a WebSocket. `at`: any clock's time."""

    at: int
    from_client: bool
    data: bytes
    is_text: bool = True


@dataclass(slots=True)
class Lines:
    """Frames of one direction."""

    data: bytearray = field(default_factory=bytearray, repr=False)
    """JSON lines."""
    size: int = 0
    """Bytes of the frames as they passed."""
    frames: int = 0
    cut: bool = False
    """The cap was reached."""
    by_size: bool = False
    """Binary or audio is left out."""
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    """(time, bytes kept) of each frame, as far as they are kept."""
    order: list[tuple[int, int]] = field(default_factory=list)
    """The order of a server's frames in runs: (the client's frames before a run, the frames of the run)."""

    def note_order(self, passed: int) -> None:
        """Take in that a frame came after so many of the client's."""
        if self.order and (self.order[-1][0] == passed or len(self.order) == _MOST_ORDERED):
            self.order[-1] = (self.order[-1][0], self.order[-1][1] + 1)
        else:
            self.order.append((passed, 1))

    def add(self, line: bytes, size: int, at: int, room: int) -> int:
        """Keep as much of the line as there is room for, and return the bytes. Nothing follows a line that was cut."""
        self.size += size
        self.frames += 1
        kept = 0 if self.cut else min(len(line), max(room, 0))
        self.cut = self.cut or kept < len(line)
        self.data += line[:kept]
        if len(self.arrivals) < MOST_TIMES and (kept or not self.cut):
            self.arrivals.append((at, kept))
        return kept


class _Response(msgspec.Struct, gc=False):
    id: str | None = None
    conversation: Any = None


class FrameSummary(msgspec.Struct, gc=False):
    """The fields of a frame that tell its turn; all others are passed over."""

    type: str | None = None
    response_id: str | None = None
    event_id: str | None = None
    generate: bool | None = None
    response: _Response | None = None
    error: msgspec.Raw = msgspec.Raw()
    session: msgspec.Raw = msgspec.Raw()

    @property
    def id(self) -> str | None:
        """The id of the response that it is about."""
        return self.response_id or (self.response.id if self.response else None)


def summary_of(frame: SocketFrame) -> FrameSummary | None:
    """Return the summary of a frame; an empty one if it is binary or no object, None if it could not be read."""
    if not frame.is_text:
        return FrameSummary()
    try:
        return _DECODE(frame.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    value, problem = parse(frame.data)  # no object, or a key of another type: what is right of it
    if not isinstance(value, dict):
        return FrameSummary() if problem is None else None
    return FrameSummary(
        type=text(value, "type"),
        response_id=text(value, "response_id"),
        event_id=text(value, "event_id"),
        generate=flag(value, "generate"),
        response=_Response(text(value, "response", "id"), dig(value, "response", "conversation")),
        error=_raw(value, "error"),
        session=_raw(value, "session"),
    )


def _raw(value: dict[str, Any], key: str) -> msgspec.Raw:
    return msgspec.Raw((written(value[key]) or "").encode() if key in value else b"")


_DECODE = msgspec.json.Decoder(FrameSummary).decode
_ENDS = bytes.maketrans(b"\r\n", b"  ")
_BASE64 = rb'\s*:\s*)"([A-Za-z0-9+/=_\\-]{64,})"'
_AUDIO = re.compile(rb'("audio"' + _BASE64)
_AUDIO_DELTA = re.compile(rb'("delta"' + _BASE64)
_AUDIO_DELTAS = ("response.audio.delta", "response.output_audio.delta")


def line_of(frame: SocketFrame, seen: FrameSummary) -> tuple[bytes, bool]:
    """Return the frame as a line, and whether something of it is kept by its size alone."""
    data = frame.data
    if not frame.is_text:
        return b'{"type":"binary","bytes":%d}\n' % len(data), True
    cuts = 0
    if b'"audio"' in data:
        data, cuts = _AUDIO.subn(_measured, data)
    if seen.type in _AUDIO_DELTAS:
        data, more = _AUDIO_DELTA.subn(_measured, data)
        cuts += more
    return data.translate(_ENDS) + b"\n", cuts > 0


def _measured(found: re.Match[bytes]) -> bytes:
    return found[1] + b'"[%d characters of base64]"' % len(found[2])


# Requests of turns ---------------------------------------------------------------------------------------------------


def settings_line(settings: dict[str, Any] | None, grammar: SocketGrammar) -> bytes:
    """Return settings as the client's frame that makes them; None stands for settings that are not known."""
    return (written({"type": grammar.settings, "session": settings}) or "{").encode() + b"\n"


def merged(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return settings with those that `new` gives in place of their own; the others stay."""
    settings = dict(before)
    for key, value in new.items():
        known = settings.get(key)
        settings[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return settings


class TurnRequest(NamedTuple):
    """The request of a turn, as one value."""

    value: dict[str, Any] | None
    """A turn's request as one JSON object: the frame that asks, or None if none does.

    If the family's sockets have settings, it is that frame with these as `session` and with the items that were added
    before it as `input`; then a request may do without an asking frame.
    """
    problem: str | None
    """The reason why the value may lack something, in words."""


def turn_request(lines: bytes, grammar: SocketGrammar) -> TurnRequest:
    """Return the request in a turn's lines."""
    found: dict[str, Any] | None = None
    session: dict[str, Any] = {}
    items: list[Any] = []
    problem: str | None = None
    for line in lines.splitlines():
        value, fault = parse(line)
        if fault is not None:
            problem = problem or f"a frame of the request is {fault}"
        if not isinstance(value, dict):
            continue
        kind = text(value, "type")
        if kind in grammar.starts:
            found = value
        elif kind is not None and kind == grammar.settings:
            if isinstance(given := value.get("session"), dict):
                session = merged(session, given)
            else:
                problem = problem or "the settings of the socket could not be read"
        elif kind is not None and kind == grammar.items:
            items.append(value.get("item"))
    if grammar.settings is None:
        return TurnRequest(found, problem)
    instead = dig(found, "response", "input")
    value = {**(found or {}), "session": session, "input": instead if isinstance(instead, list) else items}
    return TurnRequest(value, problem)
