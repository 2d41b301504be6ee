"""A WebSocket of a replay that goes on live: a connection to its own server, which is told what was said before.

That depends on what its family keeps with a connection:

    OpenAI Responses   nothing that a request does not hold or name: nothing is told
    OpenAI Realtime    settings and a conversation. The client's settings and items are sent again, and each reply that
                       it got from the recording is told as items, with their ids. No reply is asked for twice. If the
                       client sent audio, it does not go on: its server may answer what it hears

The connection goes through the proxy (`ReplayHeader.live_port`), which records it as any other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    TextMessage,
)
from wsproto.events import Request as Upgrade
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from sessiontap.exchange import Request
from sessiontap.llm.family import SocketGrammar
from sessiontap.llm.pick import parse, text
from sessiontap.replay_link import HEADER, HOST, ReplayHeader

_AT_ONCE = 1 << 16
_OPENED_WITHIN = 30.0
_RETOLD_WITHIN = 30.0
"""Seconds for its server to take what was said before."""
_OWN_HEADERS = frozenset(("connection", "host", "upgrade", HEADER))
_ADDED = ("conversation.item.added", "conversation.item.created")
"""Realtime's frames that tell of a new item; the second is of its beta."""
_ACKNOWLEDGED = (*_ADDED, "session.updated", "conversation.item.deleted", "conversation.item.truncated")
_TAKEN_OUT = ("conversation.item.delete", "conversation.item.truncate")
_ITEM_KEYS = ("id", "type", "role", "call_id", "name", "arguments")
_REFERENCES = ("previous_response_id", "response_id", "item_id", "previous_item_id")


class CannotGoLive(Exception):
    """A WebSocket cannot go on live. The sentence says why."""


class PassedFrame(NamedTuple):
    """A frame that passed between the client and the replay."""

    from_client: bool
    data: bytes
    is_text: bool = True


class Retold(NamedTuple):
    """The frames for a server that does not know what was said before."""

    before: Sequence[bytes]
    """The client got the server's replies to these from the recording."""
    unanswered: Sequence[bytes]
    """To these it got none yet."""
    updates: int
    """How many of `before` change settings: each is answered by `session.updated`."""


def retell(passed: Sequence[PassedFrame], grammar: SocketGrammar) -> Retold:
    """Return what tells a server of these frames. Raises CannotGoLive."""
    if grammar.settings is None:
        return Retold((), (), 0)
    values = [(frame.from_client, _value(frame)) for frame in passed]
    outputs = [item for from_client, value in values if not from_client for item in _output(value)]
    ours = {text(value, "item", "id") for from_client, value in values if from_client}
    theirs = {id for item in outputs if (id := text(item, "id")) is not None}
    acknowledged = [
        value for from_client, value in values
        if not from_client and text(value, "type") in _ACKNOWLEDGED and text(value, "item", "id") not in theirs
    ]  # fmt: skip
    added = (text(one, "item", "id") for one in acknowledged if text(one, "type") in _ADDED)
    given = iter([id for id in added if id not in ours])
    before: list[bytes] = []
    unanswered: list[bytes] = []
    left, updates = len(acknowledged), 0
    for from_client, value in values:
        if not from_client:
            before += [_written({"type": grammar.items, "item": _client_item(item)}) for item in _output(value)]
            continue
        kind = text(value, "type") or ""
        if not value or kind.startswith("input_audio_buffer."):
            raise CannotGoLive("the client has sent audio, and its server may answer what it hears")
        if kind not in (grammar.settings, grammar.items, *_TAKEN_OUT):
            continue  # a reply that it asked for is told, and all else leaves nothing
        if left <= 0:
            unanswered.append(_written(value))
            continue
        left -= 1
        updates += kind == grammar.settings
        if kind == grammar.items and isinstance(item := value.get("item"), dict) and "id" not in item:
            id = next(given, None)
            value = value if id is None else {**value, "item": {**item, "id": id}}
        before.append(_written(value))
    # The last answer to what was told: an update of nothing. The recorded greeting says of which kind the session is.
    types = [text(value, "session", "type") for from_client, value in values if not from_client]
    session = {"type": known} if (known := next(filter(None, types), None)) else {}
    return Retold([*before, _written({"type": grammar.settings, "session": session})], unanswered, updates + 1)


def _value(frame: PassedFrame) -> dict[str, Any]:
    """Return a frame's object; an empty one if it is none."""
    value = parse(frame.data)[0] if frame.is_text else None
    return value if isinstance(value, dict) else {}


def _output(value: dict[str, Any]) -> list[Any]:
    """Return the items of a reply that has ended, if they are a part of the socket's conversation."""
    response = value.get("response")
    if text(value, "type") != "response.done" or not isinstance(response, dict):
        return []
    is_apart = response.get("conversation_id", "") is None
    output = response.get("output")
    return [] if is_apart or not isinstance(output, list) else output


def _client_item(item: Any) -> dict[str, Any]:
    """Return an item of a reply as a client may make it. Raises CannotGoLive."""
    kind = text(item, "type")
    kept = {key: item[key] for key in _ITEM_KEYS if key in item} if isinstance(item, dict) else {}
    if kind == "message" and isinstance(content := item.get("content"), list):
        parts = [{"type": text(part, "type"), "text": text(part, "text")} for part in content]
        if all(None not in part.values() for part in parts):
            return {**kept, "content": parts}
    elif kind == "function_call":
        return kept
    raise CannotGoLive(f"a reply of the recording has {kind or 'something'} that its server cannot be told")


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


# Ids -----------------------------------------------------------------------------------------------------------------


def given_ids(passed: Sequence[PassedFrame], retold: Retold) -> set[str]:
    """Return the ids that the client got from the recording, without those that its server was told."""
    theirs = (_value(frame) for frame in passed if not frame.from_client)
    parsed = (parse(line)[0] for line in retold.before)
    return _ids(theirs) - _ids(parsed)


def _ids(values: Iterable[Any]) -> set[str]:
    pairs = (pair for value in values for one in _objects(value) for pair in one.items())
    return {value for key, value in pairs if isinstance(value, str) and (key == "id" or key.endswith("_id"))}


def named_ids(data: bytes) -> set[str]:
    """Return the ids by which a client's frame refers to what its server said before."""
    found: set[str] = set()
    answered: set[str] = set()
    called: set[str] = set()
    for one in _objects(parse(data)[0]):
        kind = text(one, "type") or ""
        keys = (*_REFERENCES, "id") if kind == "item_reference" else _REFERENCES
        found |= {id for key in keys if (id := text(one, key)) is not None}
        if (call := text(one, "call_id")) is not None:
            (answered if kind.endswith("_output") else called).add(call)
    return found | (answered - called)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


# The connection ------------------------------------------------------------------------------------------------------


class LiveSocket:
    """The connection to the server, through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use `open`."""
        self._reader = reader
        self._writer = writer
        self._ws = WSConnection(ConnectionType.CLIENT)
        self.events = self._read()
        """The server's messages, each whole, and its close. Raises OSError."""

    @classmethod
    async def open(cls, request: Request, asked: ReplayHeader, protocols: Sequence[str]) -> LiveSocket:
        """Connect by the client's own upgrade. Raises CannotGoLive."""
        assert asked.live_port is not None
        try:
            async with asyncio.timeout(_OPENED_WITHIN):
                opened = cls(*await asyncio.open_connection(HOST, asked.live_port))
                try:
                    await opened._upgrade(request, asked, protocols)
                except BaseException:
                    opened.close()
                    raise
        except TimeoutError:
            raise CannotGoLive(f"its server does not answer within {_OPENED_WITHIN:.0f} s") from None
        except OSError as error:
            raise CannotGoLive(f"its server is not reached: {error}") from None
        return opened

    async def _upgrade(self, request: Request, asked: ReplayHeader, protocols: Sequence[str]) -> None:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in request.headers
            if name.lower() not in _OWN_HEADERS and not name.lower().startswith("sec-websocket-")
        ]
        headers.append((HEADER.encode(), str(asked).encode()))
        host = request.headers.get("host") or request.host
        target = f"http://{host}{request.target}"
        await self._send(Upgrade(host, target, extra_headers=headers, subprotocols=list(protocols)))
        async for event in self.events:
            match event:
                case AcceptConnection():
                    return
                case RejectConnection(status_code=status):
                    raise CannotGoLive(f"its server answers the upgrade with the status {status}")
        raise CannotGoLive("its server closed the connection")

    async def retell(self, retold: Retold) -> None:
        """Tell the server what was said before, and leave out its replies. Raises CannotGoLive."""
        if not retold.updates:
            return
        left = retold.updates
        try:
            async with asyncio.timeout(_RETOLD_WITHIN):
                for line in retold.before:
                    await self.send(PassedFrame(True, line))
                async for event in self.events:
                    value = _value(PassedFrame(False, event.data.encode())) if isinstance(event, TextMessage) else {}
                    kind = text(value, "type")
                    if kind == "error":
                        why = text(value, "error", "message") or "an error"
                        raise CannotGoLive(f"its server refuses what was said before: {why}")
                    left -= kind == "session.updated"
                    if not left:
                        return
        except TimeoutError:
            raise CannotGoLive("its server does not take what was said before") from None
        except OSError as error:
            raise CannotGoLive(f"its server breaks the connection off: {error}") from None
        raise CannotGoLive("its server closed the connection")

    async def send(self, frame: PassedFrame) -> None:
        """Send a frame of the client's. Raises OSError."""
        if frame.is_text:
            await self._send(TextMessage(frame.data.decode("utf-8", "replace")))
        else:
            await self._send(BytesMessage(frame.data))

    async def _read(self) -> AsyncIterator[Event]:
        so_far, data = "", b""
        while True:
            for event in self._ws.events():
                match event:
                    case Ping():
                        await self._send(event.response())
                    case TextMessage():
                        so_far += event.data
                        if event.message_finished:
                            yield TextMessage(so_far)
                            so_far = ""
                    case BytesMessage():
                        data += event.data
                        if event.message_finished:
                            yield BytesMessage(data)
                            data = b""
                    case _:
                        yield event
            if self._ws.state is ConnectionState.CLOSED:
                return
            received = await self._reader.read(_AT_ONCE)
            try:
                self._ws.receive_data(received or None)
            except RemoteProtocolError as error:
                raise ConnectionError(str(error)) from None

    def close(self, code: int = 1000) -> None:
        """Say goodbye, and close."""
        if self._ws.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            self._writer.write(self._ws.send(CloseConnection(code)))
        self._writer.close()

    async def _send(self, event: Event) -> None:
        try:
            data = self._ws.send(event)
        except LocalProtocolError:
            raise ConnectionError("it is closed") from None
        self._writer.write(data)
        await self._writer.drain()
