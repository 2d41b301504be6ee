"""HTTP/2 for the demo's server: one connection, h2 for the grammar, a task for each stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from tests.support.dialogue import Begin, ClientGone, Request, Respond

from sessiontap.exchange import Headers

READ = 65536


class H2Respond(Respond):
    def __init__(self, http: h2.connection.H2Connection, writer: asyncio.StreamWriter, stream: int) -> None:
        super().__init__()
        self._http = http
        self._writer = writer
        self._stream = stream
        self.window = asyncio.Event()
        """Set where the client's flow-control windows may have grown."""

    async def _flush(self) -> None:
        try:
            self._writer.write(self._http.data_to_send())
            await self._writer.drain()
        except OSError as error:
            self.gone.set()
            raise ClientGone(str(error)) from error

    async def _send_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        fields = [(":status", str(status)), *((name.lower(), value) for name, value in headers)]
        self._guarded(partial(self._http.send_headers, self._stream, fields))
        await self._flush()

    async def _send_data(self, data: bytes) -> None:
        while data:
            if self.gone.is_set():
                raise ClientGone("the client has cancelled the stream")
            room = min(self._http.local_flow_control_window(self._stream), self._http.max_outbound_frame_size)
            if room <= 0:
                self.window.clear()
                await self.window.wait()
                continue
            piece, data = data[:room], data[room:]
            self._guarded(partial(self._http.send_data, self._stream, piece))
            await self._flush()

    async def _send_end(self, trailers: list[tuple[str, str]]) -> None:
        if trailers:
            fields = [(name.lower(), value) for name, value in trailers]
            self._guarded(partial(self._http.send_headers, self._stream, fields, end_stream=True))
        else:
            self._guarded(partial(self._http.end_stream, self._stream))
        await self._flush()

    async def _reset(self) -> None:
        self._guarded(partial(self._http.reset_stream, self._stream, h2.errors.ErrorCodes.INTERNAL_ERROR))
        await self._flush()

    async def _close(self) -> None:
        self._writer.close()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (h2.exceptions.StreamClosedError, h2.exceptions.NoSuchStreamError) as error:
            self.gone.set()
            raise ClientGone("the client has cancelled the stream") from error


@dataclass(slots=True)
class _Stream:
    request: Request
    respond: H2Respond
    answering: asyncio.Task[None]


class H2Connection:
    """Serves the streams of one connection until either side closes it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, scheme: str, number: int, begin: Begin
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._scheme = scheme
        self._number = number
        self._begin = begin
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self._streams: dict[int, _Stream] = {}

    async def run(self) -> None:
        """Serve until the connection ends."""
        self._http.initiate_connection()
        self._writer.write(self._http.data_to_send())
        try:
            while data := await self._reader.read(READ):
                for event in self._http.receive_data(data):
                    self._handle(event)
                self._writer.write(self._http.data_to_send())
                await self._writer.drain()
        except (OSError, h2.exceptions.ProtocolError):
            self._writer.write(self._http.data_to_send())  # the GOAWAY that says why
        finally:
            for stream in self._streams.values():
                self._hung_up(stream)
        await asyncio.gather(*(stream.answering for stream in self._streams.values()))

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._open(event)
            case h2.events.DataReceived():
                # The window is given back at once: this server takes all that comes.
                if event.flow_controlled_length:
                    self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.request.feed(event.data)
            case h2.events.TrailersReceived():
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.request.finish(_text(event.headers))
            case h2.events.StreamEnded():
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.request.finish()
            case h2.events.StreamReset():
                if (stream := self._streams.get(event.stream_id)) is not None:
                    self._hung_up(stream)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream in self._streams.values():
                    stream.respond.window.set()

    def _open(self, event: h2.events.RequestReceived) -> None:
        fields = _text(event.headers)
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        request = Request(
            method=pseudo[":method"],
            target=pseudo.get(":path", ""),
            host=pseudo.get(":authority", ""),
            headers=Headers(field for field in fields if not field[0].startswith(":")),
            http_version="HTTP/2",
            scheme=self._scheme,
            connection=self._number,
        )
        respond = H2Respond(self._http, self._writer, event.stream_id)
        answering = self._begin(request, respond)
        self._streams[event.stream_id] = _Stream(request, respond, answering)
        answering.add_done_callback(lambda _: self._streams.pop(event.stream_id, None))

    def _hung_up(self, stream: _Stream) -> None:
        stream.request.finish(whole=False)
        stream.respond.gone.set()
        stream.respond.window.set()  # wakes a sender that waits for room


def _text(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
