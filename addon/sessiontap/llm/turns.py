"""A WebSocket's frames taken apart into turns: one request and its reply each, as a call over HTTP would be.

Sources: developers.openai.com/api/docs/guides/websocket-mode, platform.openai.com/docs/api-reference/realtime.

A client's frame of one of the family's `starts` begins a turn, which then waits. The server's `response.created`
gives the oldest waiting turn its response id; what names this id is its reply, up to one of the family's `ends`. So
several may be under way at a time. Responses' own deltas name no id: there a socket has one reply under way, and they
are of the newest. In realtime a server that listens for itself begins replies that no frame asked for: what came since
the turn before is their request.

Frames of no turn go with the one they stand in. What comes between turns is held for the next one, bounded: the
client's (items, audio, settings) ask for what follows. Realtime's settings hold for all later turns, so the ones in
force stand first in each turn's request.

A turn is kept as JSON lines, one a frame; line ends within a frame become spaces. Binary frames and audio in base64 are
kept by their size alone. All that one socket holds is bounded, whatever its turns do.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from sessiontap.llm.call import Family
from sessiontap.llm.pick import dig, flag, parse, text

CAP = 100 * 1024 * 1024
"""Bytes that a socket's turns may hold at a time, all together."""
BETWEEN_CAP = 1024 * 1024
"""Bytes that are held between turns, for each direction."""
MOST_TURNS = 64
"""Turns under way; before the next one the oldest is given up."""
MOST_TIMES = 100_000
"""Frames whose arrival is kept, for each turn."""
SETTINGS_CAP = 256 * 1024
"""Bytes of realtime settings that are put before each turn."""

Begun = Literal["begun", "over"]


class Grammar(NamedTuple):
    """What begins and ends a family's turns."""

    starts: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    unasked: bool = False
    """The server may begin a reply that no frame asked for."""
    settings: str | None = None
    """The client's frame whose `session` holds from then on."""


RESPONSES = Grammar(
    starts=frozenset({"response.create", "response.append"}),
    ends=frozenset(f"response.{how}" for how in ("completed", "incomplete", "failed", "cancelled", "done")),
)
REALTIME = Grammar(
    starts=frozenset({"response.create"}),
    ends=frozenset({"response.done"}),
    unasked=True,
    settings="session.update",
)
GRAMMARS: dict[Family, Grammar] = {"openai-responses": RESPONSES, "realtime": REALTIME}
OPAQUE = Grammar()
"""A socket that is not taken apart: nothing begins a turn."""

_ITEM = "conversation.item.create"
_BUSY = "conversation_already_has_active_response"


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
    """(time, bytes kept) of each frame."""

    def add(self, line: bytes, size: int, at: int, room: int) -> int:
        """Keep as much of the line as there is room for; how much it was. Nothing follows a line that was cut."""
        self.size += size
        self.frames += 1
        kept = 0 if self.cut else min(len(line), max(room, 0))
        self.cut = self.cut or kept < len(line)
        self.data += line[:kept]
        if len(self.arrivals) < MOST_TIMES:
            self.arrivals.append((at, kept))
        return kept


@dataclass(slots=True, eq=False)
class Turn:
    """A request and its reply, as far as it came. Times are those of the frames."""

    began: int
    asked: bool = True
    """A frame of the client's asked for it."""
    warm_up: bool = False
    """`generate: false`: it prepares a turn, and generates nothing."""
    apart: bool = False
    """Realtime's `conversation: none`: it neither sees nor joins the socket's conversation."""
    event_id: str | None = None
    response_id: str | None = None
    request: Lines = field(default_factory=Lines)
    reply: Lines = field(default_factory=Lines)
    first: int | None = None
    """When the first frame of the reply itself came."""
    last: int = 0
    """When its last frame passed."""
    ended: bool = False
    """Its reply came to an end, or an error did."""
    failed: bool = False
    """An error came; a frame that ends it may follow."""

    @property
    def held(self) -> int:
        """Bytes."""
        return len(self.request.data) + len(self.reply.data)


class Frame(NamedTuple):
    """One whole message of a WebSocket. `at`: any clock's time."""

    at: int
    from_client: bool
    data: bytes
    is_text: bool = True


class Turns:
    """The turns of one socket. Damaged frames, unknown types, answers to nothing: nothing raises."""

    def __init__(self, family: Family, cap: int = CAP) -> None:
        self.grammar = GRAMMARS.get(family, OPAQUE)
        self.waiting: deque[Turn] = deque()
        """Asked for, oldest first; no reply has begun."""
        self.open: dict[str, Turn] = {}
        """By response id, oldest first."""
        self.asked = Lines()
        """The client's frames since the last turn began."""
        self.told = Lines()
        """The server's frames between turns."""
        self.settings: dict[str, Any] = {}
        self._cap = cap
        self._held = 0

    def frame(self, frame: Frame) -> Iterator[tuple[Begun, Turn]]:
        """Take in a frame; the turns that begin or are over with it."""
        seen = _look(frame)
        line, by_size = _line(frame, seen)
        if frame.from_client:
            yield from self._from_client(frame, seen, line, by_size)
        else:
            yield from self._from_server(frame, seen, line, by_size)

    def close(self) -> list[Turn]:
        """The turns that are still under way, oldest first."""
        left = sorted((*self.waiting, *self.open.values()), key=lambda turn: turn.began)
        self.waiting.clear()
        self.open.clear()
        self._held = 0
        return left

    def _from_client(
        self, frame: Frame, seen: _Seen, line: bytes, by_size: bool
    ) -> Iterator[tuple[Begun, Turn]]:
        kind = seen.type
        if kind in self.grammar.starts:
            yield from self._give_up_failed()
            turn = self._begin(frame.at)
            turn.event_id, turn.warm_up = seen.event_id, seen.generate is False
            turn.apart = seen.response is not None and seen.response.conversation == "none"
            self._keep(turn, turn.request, frame, line, by_size)
            self.waiting.append(turn)
            yield from self._make_room()
            yield "begun", turn
            return
        if kind is not None and kind == self.grammar.settings:
            self._set(parse(seen.session)[0])
        turn_of = self._named(seen) or (self._newest() if kind == "response.cancel" else None)
        if turn_of is not None:
            self._keep(turn_of, turn_of.request, frame, line, by_size)
            return
        self._hold(self.asked, frame, line, by_size)

    def _from_server(
        self, frame: Frame, seen: _Seen, line: bytes, by_size: bool
    ) -> Iterator[tuple[Begun, Turn]]:
        kind, turn = seen.type or "", self._named(seen)
        answers = kind.startswith("response.")
        if turn is None and kind == "response.created" and seen.id:
            yield from self._give_up_failed()
            turn = self.waiting.popleft() if self.waiting else None
            if turn is None and self.grammar.unasked:
                turn = self._begin(frame.at)
                turn.asked = False
                yield "begun", turn
            if turn is not None:
                turn.response_id = seen.id
                self.open[seen.id] = turn
                yield from self._make_room()
        elif turn is None and kind == "error":
            turn = self._blamed(seen)
            answers = turn is not None
            if turn is not None:
                turn.failed = True
        elif turn is None and answers and seen.id is None:
            turn = next(reversed(self.open.values()), None) or (self.waiting[0] if self.waiting else None)
        if turn is None:
            stands_in = self._newest()
            if stands_in is None:
                self._hold(self.told, frame, line, by_size)
            else:
                self._keep(stands_in, stands_in.reply, frame, line, by_size)
            return
        self._keep(turn, turn.reply, frame, line, by_size)
        if answers and turn.first is None:
            turn.first = frame.at
        if kind in self.grammar.ends or (turn.failed and turn.response_id is None):
            turn.ended = True
            yield from self._over(turn)

    # -- which turn ----------------------------------------------------------------------------------------------------

    def _named(self, seen: _Seen) -> Turn | None:
        return self.open.get(seen.id) if seen.id else None

    def _newest(self) -> Turn | None:
        """The one that is being answered, else the one that waits."""
        return next(reversed(self.open.values()), None) or (self.waiting[0] if self.waiting else None)

    def _blamed(self, seen: _Seen) -> Turn | None:
        """The turn that an error ends or, where its reply has begun, makes fail.

        Realtime says which frame was at fault where that frame had an id of its own; most of its errors are about
        frames that ask for nothing, and its replies end in `response.done` whatever happens.
        """
        error, _ = parse(seen.error)
        at_fault = text(error, "event_id")
        if at_fault is not None:
            return next((turn for turn in self.waiting if turn.event_id == at_fault), None)
        if self.waiting and text(error, "code") == _BUSY:
            return self.waiting[-1]
        if self.open and not self.grammar.unasked:
            return next(iter(self.open.values()))
        return self.waiting[0] if self.waiting and not self.open else None

    # -- beginning and ending ------------------------------------------------------------------------------------------

    def _begin(self, at: int) -> Turn:
        turn = Turn(began=at, last=at)
        if self.settings and b'"session.update"' not in self.asked.data:
            line = _settings_line(self.settings)
            turn.request.data += line
            self._held += len(line)
        for lines, into in ((self.asked, turn.request), (self.told, turn.reply)):
            into.data += lines.data
            into.size += lines.size
            into.frames += lines.frames
            into.cut, into.by_size = lines.cut, lines.by_size
            into.arrivals = [(min(when, at), kept) for when, kept in lines.arrivals]
            self._held += len(lines.data)
        self.asked, self.told = Lines(), Lines()
        return turn

    def _over(self, turn: Turn) -> Iterator[tuple[Begun, Turn]]:
        self._held -= turn.held
        if turn.response_id is not None:
            self.open.pop(turn.response_id, None)
        elif turn in self.waiting:
            self.waiting.remove(turn)
        yield "over", turn

    def _give_up_failed(self) -> Iterator[tuple[Begun, Turn]]:
        """Turns that met an error, and whose reply did not come to its end before the next turn."""
        for turn in [turn for turn in self.open.values() if turn.failed]:
            turn.ended = True
            yield from self._over(turn)

    def _make_room(self) -> Iterator[tuple[Begun, Turn]]:
        if len(self.waiting) + len(self.open) > MOST_TURNS:
            yield from self._over(min((*self.waiting, *self.open.values()), key=lambda turn: turn.began))

    # -- keeping -------------------------------------------------------------------------------------------------------

    def _keep(self, turn: Turn, lines: Lines, frame: Frame, line: bytes, by_size: bool) -> None:
        self._held += lines.add(line, len(frame.data), frame.at, self._cap - self._held)
        lines.by_size = lines.by_size or by_size
        turn.last = frame.at

    def _hold(self, lines: Lines, frame: Frame, line: bytes, by_size: bool) -> None:
        lines.add(line, len(frame.data), frame.at, BETWEEN_CAP - len(lines.data))
        lines.by_size = lines.by_size or by_size

    def _set(self, session: Any) -> None:
        if isinstance(session, dict):
            merged = _merged(self.settings, session)
            self.settings = merged if len(_settings_line(merged)) <= SETTINGS_CAP else {}


# -- one frame ---------------------------------------------------------------------------------------------------------


class _Response(msgspec.Struct, gc=False):
    id: str | None = None
    conversation: Any = None


class _Seen(msgspec.Struct, gc=False):
    """What of a frame tells where it belongs; the rest is passed over."""

    type: str | None = None
    response_id: str | None = None
    event_id: str | None = None
    generate: bool | None = None
    response: _Response | None = None
    error: msgspec.Raw = msgspec.Raw()
    session: msgspec.Raw = msgspec.Raw()

    @property
    def id(self) -> str | None:
        """Of the response that it is about."""
        return self.response_id or (self.response.id if self.response else None)


def _look(frame: Frame) -> _Seen:
    if not frame.is_text:
        return _Seen()
    try:
        return _DECODE(frame.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    value, _ = parse(frame.data)  # no object, or a key of another type: what is right of it
    if not isinstance(value, dict):
        return _Seen()
    return _Seen(
        type=text(value, "type"),
        response_id=text(value, "response_id"),
        event_id=text(value, "event_id"),
        generate=flag(value, "generate"),
        response=_Response(text(value, "response", "id"), dig(value, "response", "conversation")),
    )


_DECODE = msgspec.json.Decoder(_Seen).decode
_ENDS = bytes.maketrans(b"\r\n", b"  ")
_BASE64 = rb'\s*:\s*)"([A-Za-z0-9+/=_\\-]{64,})"'
_AUDIO = re.compile(rb'("audio"' + _BASE64)
_AUDIO_DELTA = re.compile(rb'("delta"' + _BASE64)
_AUDIO_DELTAS = ("response.audio.delta", "response.output_audio.delta")


def _line(frame: Frame, seen: _Seen) -> tuple[bytes, bool]:
    """The frame as a line, and whether something is kept of it by its size alone."""
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


def _settings_line(settings: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": "session.update", "session": settings}) + b"\n"


def _merged(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Settings with those that `new` gives in place of their own; the others stay."""
    merged = dict(before)
    for key, value in new.items():
        known = merged.get(key)
        merged[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def asking(lines: bytes, grammar: Grammar) -> dict[str, Any] | None:
    """What a turn's request asks for as one JSON object: the frame that asks; None where none does.

    Where a socket has settings, it is that frame with these as `session` and with the items that were added before it
    as `input`; there a request may do without an asking frame.
    """
    found: dict[str, Any] | None = None
    session: dict[str, Any] = {}
    items: list[Any] = []
    for line in lines.splitlines():
        value, _ = parse(line)
        if not isinstance(value, dict):
            continue
        kind = text(value, "type")
        if kind in grammar.starts:
            found = value
        elif kind == grammar.settings and isinstance(given := value.get("session"), dict):
            session = _merged(session, given)
        elif kind == _ITEM:
            items.append(value.get("item"))
    if grammar.settings is None:
        return found
    instead = dig(found, "response", "input")
    return {**(found or {}), "session": session, "input": instead if isinstance(instead, list) else items}
