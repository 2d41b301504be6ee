"""One request and its answer as a handler sees them, whatever the HTTP version underneath."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from tests.support.coding import Coding, encode, encoder
from tests.support.websocket import WebSocket

from sessiontap.exchange import Headers

Fields = Iterable[tuple[str, str]]


class ClientGone(ConnectionError):
    """The client hung up or cancelled the stream; nothing more can be sent to it."""


class Request:
    """A request as it arrives; also what the server's log keeps of it."""

    def __init__(
        self,
        *,
        method: str,
        target: str,
        host: str,
        headers: Headers,
        http_version: str,
        scheme: str,
        connection: int,
    ) -> None:
        self.method = method
        self.target = target
        """Path and query."""
        self.host = host
        """`Host` or `:authority`, as sent."""
        self.headers = headers
        """Without HTTP/2's pseudo-headers."""
        self.http_version = http_version
        """`HTTP/1.1` or `HTTP/2`."""
        self.scheme = scheme
        self.connection = connection
        """The number of the server's connection, from 1: equal numbers shared one."""
        self.trailers = Headers()
        self.whole = False
        """The body arrived to its end."""
        self._seen = bytearray()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    def __repr__(self) -> str:
        return f"<{self.method} {self.scheme}://{self.host}{self.target} {self.http_version} #{self.connection}>"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def seen(self) -> bytes:
        """The body, as far as it has arrived."""
        return bytes(self._seen)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body piece by piece, as it arrives.

        :raises ClientGone: the client hung up before its end.
        """
        while (piece := await self._pieces.get()) is not None:
            yield piece
        if not self.whole:
            raise ClientGone("the request was never finished")

    async def body(self) -> bytes:
        """The whole body, once it is there.

        :raises ClientGone: the client hung up before its end.
        """
        async for _ in self.pieces():
            pass
        return self.seen

    def feed(self, piece: bytes) -> None:
        """For the protocol drivers: a piece of the body arrived."""
        self._seen += piece
        self._pieces.put_nowait(piece)

    def finish(self, trailers: Fields = (), *, whole: bool = True) -> None:
        """For the protocol drivers: the body ended, or never will."""
        if self.whole:
            return
        self.trailers = Headers(trailers)
        self.whole = whole
        self._pieces.put_nowait(None)


class Respond(ABC):
    """How a handler answers: `whole`; or `start`, `send` ..., `end`; or `reset`, `close`; or it waits for `gone`."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        """The client hung up or cancelled the stream."""
        self.started = False
        self.over = False
        """Nothing more is to be sent: ended, reset or closed."""
        self._encoder = encoder(None)

    async def whole(
        self, status: int, body: bytes = b"", headers: Fields = (), *, coding: Coding | None = None
    ) -> None:
        """A complete answer with its content-length.

        :raises ClientGone: see `send`.
        """
        data = encode(body, coding) if coding else body
        extra = [("content-encoding", coding)] if coding else []
        await self.start(status, [*headers, *extra, ("content-length", str(len(data)))])
        if data:
            await self.send(data)
        await self.end()

    async def start(self, status: int = 200, headers: Fields = (), *, coding: Coding | None = None) -> None:
        """The head of a stream; HTTP/1.1 sends it chunked where `headers` give no content-length.

        :raises ClientGone: see `send`.
        """
        self._check_open()
        extra = [("content-encoding", coding)] if coding else []
        self._encoder = encoder(coding)
        self.started = True
        await self._send_head(status, [*headers, *extra])

    async def send(self, data: bytes) -> None:
        """One piece of the body, encoded, flushed and on its way when this returns.

        :raises ClientGone: the client hung up or cancelled the stream.
        """
        self._check_open()
        await self._send_data(self._encoder.piece(data))

    async def end(self, trailers: Fields = ()) -> None:
        """The proper end of a stream.

        :raises ClientGone: see `send`.
        """
        self._check_open()
        if rest := self._encoder.end():
            await self._send_data(rest)
        self.over = True
        await self._send_end(list(trailers))

    async def websocket(self, headers: Fields = (), *, deflate: bool = True) -> WebSocket:
        """Accept the request's upgrade: HTTP/1.1 alone. Then the answer is over when the socket is closed.

        :raises ClientGone: see `send`.
        """
        self._check_open()
        self.started = True
        return await self._upgrade(headers, deflate)

    async def _upgrade(self, headers: Fields, deflate: bool) -> WebSocket:
        raise NotImplementedError("WebSockets are for HTTP/1.1 here")

    async def reset(self) -> None:
        """Break off: TCP RST over HTTP/1.1, RST_STREAM over HTTP/2."""
        self.over = True
        await self._reset()

    async def close(self) -> None:
        """Close the whole connection in an orderly way, whatever is still missing on it."""
        self.over = True
        await self._close()

    def _check_open(self) -> None:
        if self.gone.is_set():
            raise ClientGone("the client has hung up")
        if self.over:
            raise RuntimeError("this answer is over already")

    @abstractmethod
    async def _send_head(self, status: int, headers: list[tuple[str, str]]) -> None: ...

    @abstractmethod
    async def _send_data(self, data: bytes) -> None: ...

    @abstractmethod
    async def _send_end(self, trailers: list[tuple[str, str]]) -> None: ...

    @abstractmethod
    async def _reset(self) -> None: ...

    @abstractmethod
    async def _close(self) -> None: ...


Handler = Callable[[Request, Respond], Awaitable[None]]
Begin = Callable[[Request, Respond], "asyncio.Task[None]"]
"""How a driver hands a request over: logs it and runs the handler."""
