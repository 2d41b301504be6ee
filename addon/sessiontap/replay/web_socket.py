"""A WebSocket of a replay: each turn of the client's is answered with the frames that its recorded one got.

A turn begins where the log would have begun one (llm/socket_turns.py), so a live turn is compared with recorded ones in
the same shape. Of a family whose turns are not known nothing can be replayed.

A frame of the server's comes behind the frame of the client's that it came behind in the recording. So a client that
waits for `session.updated` before it goes on gets that before it asks for anything, from the recorded turn that its
frames so far lead to (`Replayer.expected`). If another turn answers in the end, its own frames before it asked are left
out.

A turn that nothing answers closes the socket, or has it go on live from there (live_socket.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    TextMessage,
)
from wsproto.events import Request as Upgrade
from wsproto.utilities import RemoteProtocolError

from sessiontap.exchange import Request
from sessiontap.llm.hosts import provider_of
from sessiontap.llm.routes import endpoint_of
from sessiontap.llm.socket_frames import SocketFrame
from sessiontap.llm.socket_turns import SocketTurn, SocketTurns
from sessiontap.replay.live_socket import CannotGoLive, LiveSocket, PassedFrame, given_ids, named_ids, retell
from sessiontap.replay.miss import LiveSocketFrames, miss_error
from sessiontap.replay.pacing import paced
from sessiontap.replay.playing import H11Connection, headers_of, wait
from sessiontap.replay.question import Answer, LiveRequest, Miss, RecordedReply
from sessiontap.replay_link import ReplayHeader

logger = logging.getLogger("sessiontap")

_AT_ONCE = 1 << 16
_LONGEST_REASON = 123
"""Bytes of a close frame's reason (RFC 6455, 5.5)."""
_SERVER_ERROR = 1011
_PATIENCE = 5.0
"""Seconds that a frame amid a reply waits for the client's frame that it came behind; today's client may send none."""


_CLOSING = (ConnectionState.LOCAL_CLOSING, ConnectionState.CLOSED)
_NO_TURN_LEFT = Miss("No turn of the recording is left to which these frames lead.")

Work = Callable[[], Coroutine[Any, Any, None]]


class SocketRecording(Protocol):
    """The questions of a socket to its recording."""

    @property
    def to_do(self) -> str: ...
    def answer(self, live: LiveRequest) -> Answer | Miss: ...
    def expected(self, live: LiveRequest, begun: str | None) -> RecordedReply | None: ...
    def goes_live(self, miss: Miss) -> bool: ...
    def note(
        self,
        live: LiveRequest,
        outcome: Answer | Miss,
        *,
        went_live: bool = False,
        live_frames: LiveSocketFrames | None = None,
    ) -> None: ...


class _Frame(NamedTuple):
    """A recorded frame of the server's."""

    line: bytes
    after: int
    """The lines of the turn's request, and the client's frames behind them, that it came behind."""
    delay: int
    """Nanoseconds since the frame before."""


def _frames(reply: RecordedReply) -> list[_Frame]:
    """Return the frames of a turn's reply."""
    known = chain.from_iterable(repeat(after, frames) for after, frames in reply.order)
    places = chain(known, repeat(reply.asked_lines))
    found: list[_Frame] = []
    rest, delay = b"", 0
    for piece in reply.pieces:
        delay += piece.delay
        *lines, rest = (rest + piece.data).split(b"\n")
        for line in lines:
            found.append(_Frame(line, next(places), delay))
            delay = 0
    if rest and reply.ending == "whole":
        found.append(_Frame(rest, next(places), delay))
    return found


@dataclass(slots=True)
class _Begun:
    """A recorded turn of which frames are sent before the client's own turn begins."""

    call: str
    sent: int
    """So many of its frames."""


def _family(request: Request) -> str:
    provider = provider_of(request.host, request.port)
    return endpoint_of(request.method, request.host, request.path, provider).family


async def serve(
    link: H11Connection,
    live: LiveRequest,
    accepted: RecordedReply,
    answers: SocketRecording,
    speed: float,
    asked: ReplayHeader,
) -> None:
    """Accept the upgrade as it was `accepted`, and answer turns until either side closes. `asked`: the proxy's words
    about the upgrade."""
    socket = _Socket(link, live, accepted, answers, speed, asked)
    try:
        await socket.run()
    finally:
        socket.stop()


class _Socket:
    def __init__(
        self,
        link: H11Connection,
        live: LiveRequest,
        accepted: RecordedReply,
        answers: SocketRecording,
        speed: float,
        asked: ReplayHeader,
    ) -> None:
        self._link = link
        self._live = live
        self._accepted = accepted
        self._answers = answers
        self._speed = speed
        self._id = str(uuid4())
        self._ws = WSConnection(ConnectionType.SERVER)
        self._turns = SocketTurns(_family(live.request))
        self._playing: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()
        self._partial = bytearray()
        self._begun = _Begun(accepted.call, len(accepted.pieces))
        self._received = 0
        """The client's frames so far."""
        self._came = asyncio.Event()
        """One more has come."""
        self._asked = asked
        self._protocols: Sequence[str] = ()
        """Those that the client offered."""
        self._passed: list[PassedFrame] = []
        """All frames, if it may go on live."""
        self._live_frames: asyncio.Queue[PassedFrame] | None = None
        """The client's frames from the one on that goes on live; None: it has not come."""

    def stop(self) -> None:
        """Play nothing more."""
        for task in self._playing:
            task.cancel()

    async def run(self) -> None:
        request = self._live.request
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
        self._ws.initiate_upgrade_connection(headers, request.target)
        for event in self._ws.events():
            if isinstance(event, Upgrade):
                chosen = self._accepted.headers.get("sec-websocket-protocol")
                headers = [
                    (name.encode("latin-1"), value.encode("latin-1"))
                    for name, value in headers_of(self._accepted)
                    if not name.lower().startswith("sec-websocket-")
                ]
                self._protocols = event.subprotocols
                offered = chosen if chosen in event.subprotocols else None
                await self._send(AcceptConnection(subprotocol=offered, extra_headers=headers))
        for piece in self._accepted.pieces:
            await self._say(piece.data.rstrip(b"\n"))
        if rest := self._link.http.trailing_data[0]:
            self._ws.receive_data(rest)
        is_open = await self._events()
        while is_open:
            data = await self._link.reader.read(_AT_ONCE)
            try:
                self._ws.receive_data(data or None)
                is_open = await self._events() and bool(data)
            except RemoteProtocolError:
                return

    async def _events(self) -> bool:
        """Take in what has come. False: the socket is closed."""
        for event in self._ws.events():
            if isinstance(event, Message):
                self._partial += event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
                if event.message_finished:
                    data, self._partial = bytes(self._partial), bytearray()
                    self._take(SocketFrame(time.monotonic_ns(), True, data, not isinstance(event, BytesMessage)))
            elif isinstance(event, Ping):
                await self._send(event.response())
            elif isinstance(event, CloseConnection):
                if self._ws.state is ConnectionState.REMOTE_CLOSING:
                    await self._send(event.response())
                return False
        return True

    def _take(self, frame: SocketFrame) -> None:
        self._received += 1
        self._came.set()
        passed = PassedFrame(True, frame.data, frame.is_text)
        if self._live_frames is not None:
            self._live_frames.put_nowait(passed)
            return
        self._keep(passed)
        begun = [turn for what, turn in self._turns.frame(frame) if what == "begun" and turn.asked]
        for turn in begun:
            self._begin(turn)
        if not begun:
            self._go_before()

    def _go_before(self) -> None:
        """Send what the server sends before the client asks for a reply."""
        lines = self._turns.next_request
        if not lines:
            return
        live = self._asking(lines)
        reply = self._answers.expected(live, self._begun.call or None)
        if reply is None:
            if self._turns.grammar.settings is not None:  # each frame is answered, and the client may wait for it
                self._goes_live(live, _NO_TURN_LEFT)
            return
        frames, passed = _frames(paced(reply, self._speed)), lines.count(b"\n")
        if reply.call != self._begun.call:
            answered = passed - 1 if self._begun.sent else -1
            self._begun = _Begun(reply.call, sum(frame.after <= answered for frame in frames))
        due = [frame for frame in frames if frame.after <= passed and frame.after < reply.asked_lines]
        if new := due[self._begun.sent :]:
            self._begun.sent = len(due)
            self._start(partial(self._play, new))

    def _begin(self, turn: SocketTurn) -> None:
        live = self._asking(bytes(turn.request.data))
        outcome = self._answers.answer(live)
        begun, self._begun = self._begun, _Begun("", 0)
        if isinstance(outcome, Miss) and self._goes_live(live, outcome):
            return
        self._answers.note(live, outcome)
        if isinstance(outcome, Miss):
            self._start(partial(self._refuse, live.request, outcome))
            return
        reply = paced(outcome.reply, self._speed)
        frames, sent = _frames(reply), begun.sent
        if sent and begun.call != reply.call:
            sent = sum(frame.after < reply.asked_lines for frame in frames)
        before, is_cut = self._received - reply.asked_lines, reply.ending != "whole"
        self._start(partial(self._play, frames[sent:], before, is_cut=is_cut))

    def _asking(self, lines: bytes) -> LiveRequest:
        return replace(self._live, request=replace(self._live.request, body=lines), socket=self._id)

    def _start(self, work: Work) -> None:
        """Have it done behind what was begun before."""

        async def in_order() -> None:
            async with self._order:
                await work()

        self._start_beside(in_order)

    def _start_beside(self, work: Work) -> None:
        """Have it done beside that."""
        task = asyncio.get_running_loop().create_task(self._closing(work))
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    async def _closing(self, work: Work) -> None:
        """Do it. If a connection breaks, or something of ours, the client's is closed: it would wait forever."""
        try:
            await work()
        except OSError:
            self._link.close()
        except Exception:
            logger.exception("sessiontap: a fault in the replay")
            self._link.close()

    async def _play(self, frames: Sequence[_Frame], before: int | None = None, *, is_cut: bool = False) -> None:
        """Send frames. `before`: the client's frames before the first line of the turn's request, so that each waits
        for those that it came behind; None: it waits for none."""
        for frame in frames:
            await wait(frame.delay)
            if before is not None and not await self._wait_for_client(before + frame.after):
                before = None  # it says less today
            await self._say(frame.line)
        if is_cut:
            self._link.close()

    async def _wait_for_client(self, received: int) -> bool:
        """Wait until so many frames of the client's have come. Return False if they do not come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while self._received < received:
                    self._came.clear()
                    await self._came.wait()
        return self._received >= received

    def _goes_live(self, live: LiveRequest, miss: Miss) -> bool:
        """Go on live from the client's newest frame on, if that is wished."""
        if not self._may_go_live or not self._answers.goes_live(miss):
            return False
        self._live_frames = asyncio.Queue()
        self._live_frames.put_nowait(self._passed.pop())
        self._start(partial(self._go_live, live, miss, self._received))
        return True

    async def _go_live(self, live: LiveRequest, miss: Miss, first: int) -> None:
        """Go on live from the client's frame of this number, until its server closes."""
        server: LiveSocket | None = None
        try:
            retold = retell(self._passed, self._turns.grammar)
            asked = replace(self._asked, live_from=first, retold=len(retold.before))
            server = await LiveSocket.open(live.request, asked, self._protocols)
            await server.retell(retold)
            frames = LiveSocketFrames(first, len(retold.before))
            self._answers.note(live, miss, went_live=True, live_frames=frames)
            for line in retold.unanswered:
                await server.send(PassedFrame(True, line))
            self._start_beside(partial(self._pass_on, server, given_ids(self._passed, retold), frames))
            await self._give_live(server)
        except CannotGoLive as why:
            miss = replace(miss, reason=f"{miss.reason.rstrip('.')}, and it cannot go on live: {why}")
            self._answers.note(live, miss)
            await self._refuse(live.request, miss)
        finally:
            if server is not None:
                server.close()

    async def _pass_on(self, server: LiveSocket, given: set[str], frames: LiveSocketFrames) -> None:
        """Send the client's frames on. Note the ids that they name and that the recording gave."""
        assert self._live_frames is not None
        while True:
            frame = await self._live_frames.get()
            named = named_ids(frame.data) & given if frame.is_text else set()
            frames.unknown_ids += sorted(named.difference(frames.unknown_ids))
            await server.send(frame)

    async def _give_live(self, server: LiveSocket) -> None:
        """Give the client the frames of its server, and its close."""
        async for event in server.events:
            if self._ws.state is not ConnectionState.OPEN:
                return
            await self._send(event)
        if self._ws.state is ConnectionState.OPEN:
            self._link.close()

    @property
    def _may_go_live(self) -> bool:
        return self._asked.live_port is not None

    def _keep(self, frame: PassedFrame) -> None:
        if self._may_go_live:
            self._passed.append(frame)

    async def _say(self, line: bytes) -> None:
        self._keep(PassedFrame(False, line))
        await self._send(TextMessage(line.decode("utf-8", "replace")))
        for _ in self._turns.frame(SocketFrame(time.monotonic_ns(), False, line)):
            pass

    async def _refuse(self, request: Request, miss: Miss) -> None:
        """Send the miss as the service's own kind of error, and close."""
        reason = f"replay: {miss.reason}".encode()[:_LONGEST_REASON].decode("utf-8", "ignore")
        await self._send(TextMessage(json.dumps(miss_error(request, miss, self._answers.to_do), ensure_ascii=False)))
        await self._send(CloseConnection(code=_SERVER_ERROR, reason=reason))

    async def _send(self, event: Event) -> None:
        """Send an event; nothing if the socket is being closed."""
        state = self._ws.state
        if state in _CLOSING or (state is ConnectionState.REMOTE_CLOSING and not isinstance(event, CloseConnection)):
            return
        self._link.writer.write(self._ws.send(event))
        await self._link.writer.drain()
