"""A WebSocket's frames taken apart into turns: one request and its reply each, as a call over HTTP would be.

Sources: developers.openai.com/api/docs/guides/websocket-mode, platform.openai.com/docs/api-reference/realtime.

A client's frame of one of the family's `starts` begins a turn, which then waits. The server's frame of `begins` gives
the oldest waiting turn its response id; what names this id is its reply, up to one of the `ends`. So several may be
under way at a time. Responses' own deltas name no id: there a socket has one reply under way, and they
are of the newest. In realtime a server that listens for itself begins replies that no frame asked for: what came since
the turn before is their request.

Frames of no turn go with the one they stand in. What comes between turns is held for the next one, bounded: the
client's (items, audio, settings) ask for what follows. Realtime's settings hold for all later turns, so those that were
made before stand first in each turn's request. Once a frame that may have made settings could not be read, or there are
too many of them, they are not known any more, and each later turn says so.

`SocketGrammar` says what frames mean, `socket_frames` what is kept of one: a turn is JSON lines, one a frame. All that
one socket holds is bounded, whatever its turns do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sessiontap.llm.families import socket_of
from sessiontap.llm.family import SocketGrammar
from sessiontap.llm.pick import parse, text
from sessiontap.llm.socket_frames import FrameSummary, Lines, SocketFrame, line_of, merged, settings_line, summary_of

CAP = 100 * 1024 * 1024
"""Bytes that a socket's turns may hold at a time, all together."""
FRAME_OVERHEAD = 128
"""Bytes of memory that a frame takes beside its line: when it came."""
BETWEEN_CAP = 1024 * 1024
"""Bytes that are held between turns, for each direction."""
MOST_TURNS = 64
"""Turns under way; before the next one the oldest is given up."""
SETTINGS_CAP = 256 * 1024
"""Bytes of realtime settings that are put before each turn."""

TurnChange = Literal["begun", "over"]

_OPAQUE = SocketGrammar()
"""A socket that is not taken apart: nothing begins a turn."""


@dataclass(slots=True, eq=False)
class SocketTurn:
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
    passed: int = 0
    """The client's frames on the socket before the first line of the request; a line that stands for settings is
    none."""
    asked_by: int = 0
    """The client's frames on the socket up to the one that asks."""

    @property
    def order(self) -> list[tuple[int, int]]:
        """The order of the frames of both sides, in runs of the reply's: before so many of them came so many lines of
        the request, and frames of the client's that followed it. Empty if all of the reply came behind the frame that
        asks, and no frame of the client's amid it."""
        runs = [(after - self.passed, frames) for after, frames in self.reply.order]
        return [] if [after for after, _ in runs] == [self.asked_by - self.passed] else runs

    @property
    def held(self) -> int:
        """The bytes that it holds in memory."""
        return len(self.request.data) + len(self.reply.data)


class SocketTurns:
    """The turns of one socket. Damaged frames, unknown types, answers to nothing: nothing raises."""

    def __init__(self, family: str, cap: int = CAP) -> None:
        self.grammar = socket_of(family) or _OPAQUE
        self.waiting: deque[SocketTurn] = deque()
        """Asked for, oldest first; no reply has begun."""
        self.open: dict[str, SocketTurn] = {}
        """By response id, oldest first."""
        self.client_lines = Lines()
        """The client's frames since the last turn began."""
        self.server_lines = Lines()
        """The server's frames between turns."""
        self._settings: dict[str, Any] | None = {}
        """Those in force; None if they are not known."""
        self._earlier_settings: dict[str, Any] | None = {}
        """Those in force when the last turn began."""
        self.cap = cap
        """May be lowered at any time: no more is kept then."""
        self._held = 0
        self._times = 0
        """Arrivals that are kept of the turns under way."""
        self._passed = 0
        """The client's frames so far."""
        self._passed_before = 0
        """Those up to the one that began the last turn."""

    @property
    def held(self) -> int:
        """Bytes of memory that the frames take which are held."""
        between = (self.client_lines, self.server_lines)
        times = self._times + sum(len(lines.arrivals) for lines in between)
        return self._held + sum(len(lines.data) for lines in between) + times * FRAME_OVERHEAD

    @property
    def order_between(self) -> list[tuple[int, int]]:
        """The order of the frames since the last turn began, as `SocketTurn.order` tells it."""
        return [(after - self._passed_before, frames) for after, frames in self.server_lines.order]

    @property
    def next_request(self) -> bytes:
        """The lines of the next turn's request, as far as they came."""
        return self._settings_before() + bytes(self.client_lines.data)

    def frame(self, frame: SocketFrame) -> Iterator[tuple[TurnChange, SocketTurn]]:
        """Take in a frame, and yield the turns that begin or are over with it."""
        summary = summary_of(frame)
        seen = summary or FrameSummary()
        line, by_size = line_of(frame, seen)
        if frame.from_client:
            self._passed += 1
            if summary is None and self.grammar.settings is not None:
                self._settings = None
            yield from self._from_client(frame, seen, line, by_size)
        else:
            yield from self._from_server(frame, seen, line, by_size)

    def close(self) -> list[SocketTurn]:
        """Return the turns that are still under way, oldest first."""
        left = sorted((*self.waiting, *self.open.values()), key=lambda turn: turn.began)
        self.waiting.clear()
        self.open.clear()
        self._held = self._times = 0
        return left

    def _from_client(
        self, frame: SocketFrame, seen: FrameSummary, line: bytes, by_size: bool
    ) -> Iterator[tuple[TurnChange, SocketTurn]]:
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
        turn_of = self._named(seen) or (self._newest() if kind is not None and kind == self.grammar.cancels else None)
        if turn_of is not None:
            self._keep(turn_of, turn_of.request, frame, line, by_size)
            return
        self._hold(self.client_lines, frame, line, by_size)

    def _from_server(
        self, frame: SocketFrame, seen: FrameSummary, line: bytes, by_size: bool
    ) -> Iterator[tuple[TurnChange, SocketTurn]]:
        kind, turn = seen.type or "", self._named(seen)
        answers = kind.startswith(self.grammar.answers)
        if turn is None and kind == self.grammar.begins and seen.id:
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
        elif turn is None and kind == self.grammar.fails:
            turn = self._blamed(seen)
            answers = turn is not None
            if turn is not None:
                turn.failed = True
        elif turn is None and answers and seen.id is None:
            turn = next(reversed(self.open.values()), None) or (self.waiting[0] if self.waiting else None)
        if turn is None:
            stands_in = self._newest()
            if stands_in is None:
                self._hold(self.server_lines, frame, line, by_size)
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

    def _named(self, seen: FrameSummary) -> SocketTurn | None:
        return self.open.get(seen.id) if seen.id else None

    def _newest(self) -> SocketTurn | None:
        """The one that is being answered, else the one that waits."""
        return next(reversed(self.open.values()), None) or (self.waiting[0] if self.waiting else None)

    def _blamed(self, seen: FrameSummary) -> SocketTurn | None:
        """Return the turn that an error ends or, if its reply has begun, makes fail.

        Realtime says which frame was at fault if that frame had an id of its own; most of its errors are about frames
        that ask for nothing, and its replies end in `response.done` whatever happens.
        """
        error, _ = parse(seen.error)
        at_fault = text(error, "event_id")
        if at_fault is not None:
            return next((turn for turn in self.waiting if turn.event_id == at_fault), None)
        if self.waiting and self.grammar.busy is not None and text(error, "code") == self.grammar.busy:
            return self.waiting[-1]
        if self.open and not self.grammar.unasked:
            return next(iter(self.open.values()))
        return self.waiting[0] if self.waiting and not self.open else None

    # -- beginning and ending ------------------------------------------------------------------------------------------

    def _begin(self, at: int) -> SocketTurn:
        turn = SocketTurn(began=at, last=at, passed=self._passed_before, asked_by=self._passed)
        self._passed_before = self._passed
        if line := self._settings_before():
            turn.request.data += line
            turn.passed -= 1
            self._held += len(line)
        self._earlier_settings = self._settings
        for lines, into in ((self.client_lines, turn.request), (self.server_lines, turn.reply)):
            into.data += lines.data
            into.size += lines.size
            into.frames += lines.frames
            into.cut, into.by_size = lines.cut, lines.by_size
            into.arrivals = [(min(when, at), kept) for when, kept in lines.arrivals]
            into.order = lines.order
            self._held += len(lines.data)
            self._times += len(lines.arrivals)
        self.client_lines, self.server_lines = Lines(), Lines()
        return turn

    def _settings_before(self) -> bytes:
        """The line for the settings that were made before the frames since the last turn began; empty if there are
        none."""
        return b"" if self._earlier_settings == {} else settings_line(self._earlier_settings, self.grammar)

    def _over(self, turn: SocketTurn) -> Iterator[tuple[TurnChange, SocketTurn]]:
        self._held -= turn.held
        self._times -= len(turn.request.arrivals) + len(turn.reply.arrivals)
        if turn.response_id is not None:
            self.open.pop(turn.response_id, None)
        elif turn in self.waiting:
            self.waiting.remove(turn)
        yield "over", turn

    def _give_up_failed(self) -> Iterator[tuple[TurnChange, SocketTurn]]:
        """End the turns that met an error, and whose reply did not come to its end before the next turn."""
        for turn in [turn for turn in self.open.values() if turn.failed]:
            turn.ended = True
            yield from self._over(turn)

    def _make_room(self) -> Iterator[tuple[TurnChange, SocketTurn]]:
        if len(self.waiting) + len(self.open) > MOST_TURNS:
            yield from self._over(min((*self.waiting, *self.open.values()), key=lambda turn: turn.began))

    # -- keeping -------------------------------------------------------------------------------------------------------

    def _keep(self, turn: SocketTurn, lines: Lines, frame: SocketFrame, line: bytes, by_size: bool) -> None:
        before = len(lines.arrivals)
        if not frame.from_client:
            lines.note_order(self._passed)
        self._held += lines.add(line, len(frame.data), frame.at, self.cap - self._held)
        self._times += len(lines.arrivals) - before
        lines.by_size = lines.by_size or by_size
        turn.last = frame.at

    def _hold(self, lines: Lines, frame: SocketFrame, line: bytes, by_size: bool) -> None:
        if not frame.from_client:
            lines.note_order(self._passed)
        lines.add(line, len(frame.data), frame.at, min(BETWEEN_CAP, self.cap) - len(lines.data))
        lines.by_size = lines.by_size or by_size

    def _set(self, session: Any) -> None:
        settings = merged(self._settings, session) if self._settings is not None and isinstance(session, dict) else None
        is_small = settings is not None and len(settings_line(settings, self.grammar)) <= SETTINGS_CAP
        self._settings = settings if is_small else None
