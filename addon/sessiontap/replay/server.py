"""The server of a replay: a small HTTP/1.1 and WebSocket server on loopback that stands for all servers of a recording.

A proxy sends it each request (proxy/replay.py) with a header that says where the request was going (replay_link.py).
The server asks the `Replayer` and plays the reply: the recorded pieces at the recorded times, cut off where it was cut.
It runs on a thread of its own, in the process that wants the replay, so another recording is one call of `load` away:

    with ReplayServer() as server:
        server.load(replayer)
        ...                       # programs call through a proxy with `SESSIONTAP_REPLAY=str(server.address)`
        print(server.served())

Whatever goes wrong here ends in an error for the client. The server opens no connection but those to the proxy for
WebSockets that go on live (live_socket.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import math
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import h11

from sessiontap.exchange import Headers, Request
from sessiontap.llm.content_encoding import decode
from sessiontap.replay import web_socket
from sessiontap.replay.api import url_of
from sessiontap.replay.miss import MISS_STATUS, TO_DO, LiveSocketFrames, ServedRequest, miss_body
from sessiontap.replay.pacing import paced
from sessiontap.replay.playing import H11Connection, play
from sessiontap.replay.question import Answer, LiveRequest, Miss, RecordedReply, Replayer
from sessiontap.replay_link import HEADER, HOST, ReplayAddress, ReplayHeader

logger = logging.getLogger("sessiontap")

CLOSING_SECONDS = 5.0
"""Seconds for the thread to end."""
_NOT_LOADED = Miss("no recording is loaded")
_OTHER = Miss("it goes to no host of the recording, and is no call to an LLM API")


@dataclass(slots=True)
class PlayedRecording:
    """A recording that is being replayed, and what became of each request."""

    replayer: Replayer | None = None
    is_call: Callable[[Request], bool] = lambda request: True
    """Tells whether a request may be a call of the recording. Others are refused without asking the replayer."""
    goes_live: Callable[[Miss], bool] = lambda miss: False
    """Tells whether a request without an answer goes on to its own server."""
    tell: Callable[[ServedRequest], None] = lambda served: None
    """Called on the server's thread with each request that was served."""
    to_do: str = TO_DO
    """The advice to the user behind the text of a miss."""
    served: list[ServedRequest] = field(default_factory=list)
    answers: dict[int, Answer] = field(default_factory=dict)
    """Those that the proxy has asked for, until it fetches them."""

    def answer(self, live: LiveRequest) -> Answer | Miss:
        """Return the answer to a request."""
        if self.replayer is None:
            return _NOT_LOADED
        if not self.is_call(live.request):
            return _OTHER
        try:
            return self.replayer.answer(live)
        except Exception as error:
            logger.exception("sessiontap: a fault in the replay")
            return Miss(f"a fault of the replay itself: {type(error).__name__}: {error}")

    def expected(self, live: LiveRequest, begun: str | None) -> RecordedReply | None:
        """Return the reply of the turn that the frames of a WebSocket so far lead to."""
        return self.replayer.expected(live, begun) if self.replayer is not None else None

    def note(
        self,
        live: LiveRequest,
        outcome: Answer | Miss,
        *,
        went_live: bool = False,
        live_frames: LiveSocketFrames | None = None,
    ) -> None:
        """Keep what became of a request. An upgrade that opens a WebSocket is none: the turns of that are."""
        if live.socket is None and _opens_socket(live, outcome):
            return
        asked = live.request
        one = ServedRequest(
            asked.method, url_of(asked), outcome, went_live, live.caller, outcome is _OTHER, live_frames
        )
        self.served.append(one)
        self.tell(one)


class ReplayServer:
    """The server and its thread. `load` and `served` may be called from any thread."""

    def __init__(self, *, speed: float = math.inf, live: bool = False) -> None:
        """`speed`: times the recorded speed; infinity sends everything at once. `live`: see `ReplayAddress`."""
        self.speed = speed
        self._socket = socket.create_server((HOST, 0), backlog=512)
        self.address = ReplayAddress(self._socket.getsockname()[1], secrets.token_urlsafe(), live)
        self.recording = PlayedRecording()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sessiontap-replay", daemon=True)
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._numbers = iter(range(1, 1 << 62))

    def load(
        self,
        replayer: Replayer,
        *,
        is_call: Callable[[Request], bool] = lambda request: True,
        goes_live: Callable[[Miss], bool] = lambda miss: False,
        tell: Callable[[ServedRequest], None] = lambda served: None,
        to_do: str = TO_DO,
    ) -> None:
        """Answer requests from here on by `replayer`. What is being played goes on; a WebSocket keeps its recording.

        `is_call`, `goes_live`, `tell`, `to_do`: see `PlayedRecording`.
        """
        self.recording = PlayedRecording(replayer, is_call, goes_live, tell, to_do)

    def unload(self) -> None:
        """Answer nothing from here on."""
        self.recording = PlayedRecording()

    def served(self) -> list[ServedRequest]:
        """Return what became of the requests since `load`, in their order."""
        return list(self.recording.served)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin to answer. Until then connections wait."""
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Cut what is being played, and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(CLOSING_SECONDS)
        elif not self._loop.is_closed():
            self._loop.close()  # it was never started
        self._socket.close()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        connections: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_Connection(self, reader, writer).run())
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_server(accept, sock=self._socket)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def next_number(self) -> int:
        """Return a number that no other answer has."""
        return next(self._numbers)


class _Connection:
    """A connection of the proxy's, with one request after the other."""

    def __init__(self, server: ReplayServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._link = H11Connection(h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20), reader, writer)

    async def run(self) -> None:
        """Serve until either side closes."""
        try:
            while await self._exchange():
                pass
        except (OSError, h11.ProtocolError, EOFError) as error:
            logger.debug(f"sessiontap: a connection to the replay's server ended: {error}")
        except Exception:
            logger.exception("sessiontap: a fault in the replay's server")
        finally:
            self._link.close()

    async def _exchange(self) -> bool:
        """Serve one request. False: the connection is over."""
        link = self._link
        head = await link.next_event()
        if not isinstance(head, h11.Request):
            return False
        link.method, body = head.method, bytearray()
        while isinstance(event := await link.next_event(), h11.Data):
            body += event.data
        asked = self._asked(head)
        if asked is None:
            await link.reply(403, b"This server answers only its own proxy.\n", "text/plain")
            return link.next_cycle()
        live = _live_request(head, asked, bytes(body))
        recording = self._server.recording
        if asked.asks:
            await self._ask(live, recording)
            return link.next_cycle()
        outcome: Answer | Miss | None = recording.answers.pop(asked.answer or 0, None)
        if outcome is None:
            outcome = recording.answer(live)
            recording.note(live, outcome)
        if isinstance(outcome, Answer) and _opens_socket(live, outcome):
            await web_socket.serve(link, live, outcome.reply, recording, self._server.speed, asked)
            return False
        await self._give(live, outcome, recording)
        return link.next_cycle()

    def _asked(self, head: h11.Request) -> ReplayHeader | None:
        """Return the proxy's header; None if it is not our proxy's."""
        name = HEADER.encode()
        try:
            asked = ReplayHeader.of(next(value.decode("latin-1") for key, value in head.headers if key == name))
        except (StopIteration, ValueError):
            return None
        return asked if hmac.compare_digest(asked.token.encode(), self._server.address.token.encode()) else None

    async def _ask(self, live: LiveRequest, recording: PlayedRecording) -> None:
        """Tell the proxy whether there is an answer, and keep it until it is fetched."""
        outcome, number = recording.answer(live), None
        went_live = isinstance(outcome, Miss) and recording.goes_live(outcome)
        recording.note(live, outcome, went_live=went_live)
        if isinstance(outcome, Answer):
            number = self._server.next_number()
            recording.answers[number] = outcome
        if isinstance(outcome, Miss) and not went_live:
            await self._give(live, outcome, recording)
        else:
            await self._link.reply(200, json.dumps({"answer": number}).encode(), "application/json")

    async def _give(self, live: LiveRequest, outcome: Answer | Miss, recording: PlayedRecording) -> None:
        if isinstance(outcome, Answer) and (outcome.reply.status >= 200 or outcome.reply.ending == "unanswered"):
            await play(self._link, paced(outcome.reply, self._server.speed))
            return
        if isinstance(outcome, Answer):
            outcome = Miss(f"the recorded reply has the status {outcome.reply.status}", outcome.reply.call)
        body = miss_body(live.request, outcome, recording.to_do)
        await self._link.reply(MISS_STATUS, body, "application/json", [("x-should-retry", "false")])


def _opens_socket(live: LiveRequest, outcome: Answer | Miss) -> bool:
    """Return True for the upgrade to a WebSocket that the recorded server accepted."""
    is_upgrade = (live.request.headers.get("upgrade") or "").lower() == "websocket"
    return is_upgrade and isinstance(outcome, Answer) and outcome.reply.status == 101


def _live_request(head: h11.Request, asked: ReplayHeader, body: bytes) -> LiveRequest:
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items()]
    headers = Headers([(name, value) for name, value in fields if name.lower() != HEADER])
    decoded = decode(body, headers.get("content-encoding"))
    request = Request(
        head.method.decode("ascii"),
        asked.host,
        head.target.decode("latin-1"),
        headers,
        (body if decoded.beyond else decoded.data) if body else None,
        asked.scheme,
        asked.port,
    )
    return LiveRequest(request, asked.caller)
