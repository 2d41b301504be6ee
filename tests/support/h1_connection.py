"""HTTP/1.1 for the demo's server: one connection, h11 for the grammar."""

from __future__ import annotations

import asyncio
import socket
import struct

import h11
from tests.support.dialogue import Begin, ClientGone, Fields, Request, Respond
from tests.support.websocket import WebSocket

from sessiontap.exchange import Headers

READ = 65536


class H1Respond(Respond):
    def __init__(self, http: h11.Connection, writer: asyncio.StreamWriter, request: h11.Request) -> None:
        super().__init__()
        self._http = http
        self._writer = writer
        self._request = request
        self.socket: WebSocket | None = None
        """What the client's bytes are for once the connection is no HTTP any more."""

    async def _write(self, event: h11.Event) -> None:
        await self._write_bytes(self._http.send(event) or b"")

    async def _write_bytes(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            self.gone.set()
            raise ClientGone(str(error)) from error

    async def _send_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        await self._write(h11.Response(status_code=status, headers=headers))

    async def _send_data(self, data: bytes) -> None:
        await self._write(h11.Data(data=data))

    async def _send_end(self, trailers: list[tuple[str, str]]) -> None:
        await self._write(h11.EndOfMessage(headers=trailers))

    async def _upgrade(self, headers: Fields, deflate: bool) -> WebSocket:
        target = self._request.target.decode("latin-1")
        self.socket = WebSocket(self._write_bytes, self._request.headers, target)
        await self.socket.accept(headers, deflate=deflate)
        self.over = True
        return self.socket

    async def _reset(self) -> None:
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends RST
        self._writer.transport.abort()

    async def _close(self) -> None:
        self._writer.close()


class H1Connection:
    """Serves one connection's requests one after the other until either side closes it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, scheme: str, number: int, begin: Begin
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._scheme = scheme
        self._number = number
        self._begin = begin
        self._http = h11.Connection(h11.SERVER)
        self._reading: asyncio.Task[bytes] | None = None

    async def run(self) -> None:
        """Serve until the connection ends; a client's fault ends it too, with 400 where that can still be said."""
        try:
            while await self._serve_one():
                pass
        finally:
            if self._reading is not None:
                self._reading.cancel()

    async def _serve_one(self) -> bool:
        """One request and its answer; False where the connection is at its end."""
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return False
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items()]
        headers = Headers(fields)
        target = head.target.decode("latin-1")
        request = Request(
            method=head.method.decode("ascii"),
            target=target,
            host=headers.get("host") or "",
            headers=headers,
            http_version=f"HTTP/{head.http_version.decode('ascii')}",
            scheme=self._scheme,
            connection=self._number,
        )
        respond = H1Respond(self._http, self._writer, head)
        answering = self._begin(request, respond)
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):  # hung up amid its body
                request.finish(whole=False)
                respond.gone.set()
                await answering
                return False
            request.feed(bytes(event.data))
        request.finish((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        await self._watch(answering, respond)
        if respond.socket is not None or respond.gone.is_set():
            return False
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _watch(self, answering: asyncio.Task[None], respond: H1Respond) -> None:
        """Wait for the answer to be given, and notice a client that does not wait for it."""
        while not answering.done():
            reading = self._read()
            await asyncio.wait({answering, reading}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                self._reading = None
                data = reading.result()
                if respond.socket is not None:
                    await respond.socket.feed(data)
                if not data:
                    respond.gone.set()
                    await answering
                    break
                if respond.socket is not None:
                    continue
                self._http.receive_data(data)  # a pipelined request waits for its turn
        await answering

    async def _next_event(self) -> h11.Event | None:
        """The client's next event, None at the end of the connection."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                if self._http.our_state is h11.IDLE:
                    bad = h11.Response(status_code=400, headers=[("content-length", "0"), ("connection", "close")])
                    self._writer.write(self._http.send(bad) or b"")
                return None
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    self._writer.write(self._http.send(go_on) or b"")
                data = await self._read()
                self._reading = None
                self._http.receive_data(data)
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return None
            else:
                assert isinstance(event, h11.Event)
                return event

    def _read(self) -> asyncio.Task[bytes]:
        """The one read under way; b"" stands for every kind of end."""

        async def read() -> bytes:
            try:
                return await self._reader.read(READ)
            except OSError:
                return b""

        if self._reading is None:
            self._reading = asyncio.create_task(read())
        return self._reading
