"""WebSockets for the demo's server: a handler accepts one, then reads and sends messages; wsproto for the grammar.

    socket = await respond.websocket()
    async for message in socket:            # str or bytes, until the client closes
        await socket.send("...")            # on its way when this returns
    await socket.close(1000)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    TextMessage,
)
from wsproto.extensions import Extension, PerMessageDeflate

Write = Callable[[bytes], Awaitable[None]]


class WebSocket:
    """The server's end."""

    def __init__(self, write: Write, fields: Iterable[tuple[bytes, bytes]], target: str) -> None:
        """`fields` and `target` are the upgrade's; `write` raises ClientGone."""
        self._write = write
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._protocol.initiate_upgrade_connection(list(fields), target)
        self._messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._parts: list[str | bytes] = []
        self.close_code: int | None = None
        """What the client closed with; 1006: without a word. None while it is open."""

    async def accept(self, headers: Iterable[tuple[str, str]] = (), *, deflate: bool = True) -> None:
        """Answer 101."""
        for _ in self._protocol.events():  # the request that it was made with
            pass
        extra = [(name.encode(), value.encode()) for name, value in headers]
        extensions: list[Extension] = [PerMessageDeflate()] if deflate else []
        await self._write(self._protocol.send(AcceptConnection(extra_headers=extra, extensions=extensions)))

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The client's messages, until it is gone."""
        while (message := await self._messages.get()) is not None:
            yield message

    async def send(self, message: str | bytes) -> None:
        """One message.

        :raises ClientGone: the client hung up.
        """
        event: Event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
        await self._write(self._protocol.send(event))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, and wait for the client's.

        :raises ClientGone: the client hung up.
        """
        if self._protocol.state is ConnectionState.OPEN:
            await self._write(self._protocol.send(CloseConnection(code=code, reason=reason)))
        while await self._messages.get() is not None:
            pass

    async def feed(self, data: bytes) -> None:
        """For the protocol driver: bytes of the client's; none at the end of the connection."""
        if self._protocol.state is ConnectionState.CLOSED:
            self._messages.put_nowait(None)
            return
        self._protocol.receive_data(data or None)
        for event in self._protocol.events():
            if isinstance(event, TextMessage | BytesMessage):
                self._parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    self._messages.put_nowait(_joined(self._parts))
                    self._parts = []
            elif isinstance(event, Ping):
                await self._write(self._protocol.send(event.response()))
            elif isinstance(event, CloseConnection):
                self.close_code = event.code
                if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                    await self._write(self._protocol.send(event.response()))
                self._messages.put_nowait(None)


def _joined(parts: list[str | bytes]) -> str | bytes:
    first, *rest = parts
    for part in rest:
        first += part  # type: ignore[operator]  # a message's parts are of one kind
    return first
