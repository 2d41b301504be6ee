"""One connection to Redis, on which requests follow each other without waiting for answers.

redis-py's own client gives each request that waits a connection of its own, and closes it if the wait is given up. Here
an answer that comes late is still an answer: nothing that the store has done stays unknown as long as it lives. So
redis-py connects and authenticates; what follows is hiredis on its socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessiontap.stores.address import StoreAddress

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

CONNECT_SECONDS = 2.0
MISSING = "sharing sessions takes redis-py and hiredis. Install them with: pip install 'sessiontap[redis]'"
_FILES = {file.stem: file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("*.lua")}
_COMMON, _FINDING, _COUNTING = (_FILES.pop(name) for name in ("common", "finding", "counting"))
_MORE = {"begin": _FINDING + _COUNTING, "look": _FINDING, "count": _COUNTING}
SCRIPTS = {name: _COMMON + _MORE.get(name, "") + script for name, script in _FILES.items()}
_INCOMPLETE = object()


class StoreError(Exception):
    """The store does not answer, or refuses. A sentence for the user."""


def is_installed() -> bool:
    """Return True if redis-py and hiredis are there."""
    with suppress(ImportError):
        import hiredis  # noqa: F401
        import redis.asyncio  # noqa: F401

        return True
    return False


class _Answers(asyncio.Protocol):
    """Reads answers as they come, and gives them on in their order: no task has to wake up for them."""

    def __init__(self, take: Callable[[Any], None], lost: Callable[[str], None]) -> None:
        import hiredis

        self._reader = hiredis.Reader(replyError=StoreError, notEnoughData=_INCOMPLETE)
        self._take, self._lost = take, lost

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets(False)) is not _INCOMPLETE:
                self._take(answer)
        except Exception as error:  # what came is no answer
            self._lost(_sentence(error))

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(_sentence(error) if error is not None else "it closed the connection")


class StoreConnection:
    """For the loop alone."""

    def __init__(self, prefix: str) -> None:
        """Use `open`."""
        self._prefix = prefix
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._outbox: list[bytes] = []
        self._hashes: dict[str, str] = {}
        self.closed: str | None = None
        """Why it is."""
        self._is_retired = False
        self.nodes: list[StoreAddress] = []
        """Of the cluster, if it is one."""

    @classmethod
    async def open(cls, address: StoreAddress, nodes: Iterable[StoreAddress] = ()) -> StoreConnection:
        """Connect to the node of a cluster that has the keys, else to the server, and tell it the scripts. Raises
        StoreError.

        `nodes`: those that the cluster had. They are asked if the one of the address does not lead there any more.
        """
        why: StoreError | None = None
        for place in (address, *nodes):
            try:
                return await cls._open_by(place)
            except StoreError as error:
                why = why or error
        assert why is not None
        raise why

    @classmethod
    async def _open_by(cls, address: StoreAddress) -> StoreConnection:
        from redis.exceptions import RedisError

        opened = cls(address.prefix)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await opened._connect(address)
                if await opened._mode() == b"cluster":
                    opened._prefix = f"{{{address.prefix.rstrip(':')}}}:"
                    nodes = await opened._nodes(address)
                    if (node := await opened._node(address)) is not None:
                        opened.close()
                        opened = cls(opened._prefix)
                        await opened._connect(node)
                    opened.nodes = nodes
                for name, script in SCRIPTS.items():
                    opened._hashes[name] = (await opened._request("SCRIPT", "LOAD", script)).decode()
        except TimeoutError:
            opened.close("it does not answer")
            raise StoreError(f"it does not answer within {CONNECT_SECONDS:.0f} s") from None
        except (RedisError, OSError, StoreError) as error:
            opened.close(str(error))
            raise StoreError(_sentence(error)) from None
        return opened

    async def _connect(self, address: StoreAddress) -> None:
        """Connect and authenticate by redis-py; from then on the socket is ours."""
        from redis.asyncio import connection as redis

        common: dict[str, Any] = {
            "db": address.database,
            "username": address.user,
            "password": address.password,
            "socket_timeout": None,
            "socket_connect_timeout": CONNECT_SECONDS,
            "protocol": 2,
        }
        plain: AbstractConnection
        if address.path is not None:
            plain = redis.UnixDomainSocketConnection(path=address.path, **common)
        else:
            kind = redis.SSLConnection if address.tls else redis.Connection
            plain = kind(host=address.host, port=address.port, **common)
        await plain.connect()  # type: ignore[no-untyped-call]
        assert plain._writer is not None
        self._transport = transport = plain._writer.transport
        transport.set_protocol(_Answers(self._take, self.close))
        self._redis = plain  # it closes its socket when it is collected

    async def _mode(self) -> bytes:
        """Return what the server is: standalone or cluster. Raises StoreError if it keeps nothing itself."""
        hello: list[Any] = await self._request("HELLO")
        about = dict(zip(hello[::2], hello[1::2], strict=True))
        if about.get(b"mode") == b"sentinel":
            raise StoreError("it is a Sentinel, which keeps no data. Give the address of the primary that it watches")
        return bytes(about.get(b"mode", b"standalone"))

    async def _node(self, address: StoreAddress) -> StoreAddress | None:
        """Return the node of the cluster that has our keys; None if it is this one."""
        try:
            await self._request("HLEN", f"{self._prefix}store")
        except StoreError as error:
            match str(error).split():
                case ["MOVED", _, place]:
                    host, _, port = place.rpartition(":")
                    return replace(address, host=host or address.host, port=int(port), path=None)
            raise
        return None

    async def _nodes(self, address: StoreAddress) -> list[StoreAddress]:
        """Return all nodes of the cluster that this one knows, replicas as well."""
        ranges: list[Any] = await self._request("CLUSTER", "SLOTS")
        places = dict.fromkeys((bytes(node[0] or b"").decode(), node[1]) for one in ranges for node in one[2:])
        return [replace(address, host=host or address.host, port=port, path=None) for host, port in places]

    def run(self, script: str, *arguments: str | bytes | int) -> asyncio.Future[Any]:
        """Have a script run. The answer comes in the order of the requests; it may be given up."""
        return self._request("EVALSHA", self._hashes[script], 0, self._prefix, *arguments)

    def retire(self) -> None:
        """Ask nothing more here: it hung, and there is another connection. What was asked may still be answered; then
        close it."""
        self._is_retired, self.closed = True, self.closed or "it hung"

    def close(self, why: str = "it was closed") -> None:
        """Close it. What waits for an answer gets a StoreError."""
        self.closed = self.closed or why
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            _answer(self._waiting.popleft(), StoreError(self.closed))

    def _request(self, *arguments: str | bytes | int) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self.closed is not None:
            _answer(future, StoreError(self.closed))
            return future
        if not self._outbox:
            loop.call_soon(self._flush)
        self._waiting.append(future)
        self._outbox.append(_packed(arguments))
        return future

    def _flush(self) -> None:
        """Send what was requested since the loop's last turn at once."""
        data, self._outbox = b"".join(self._outbox), []
        if self.closed is None and self._transport is not None:
            self._transport.write(data)

    def _take(self, answer: Any) -> None:
        if self._waiting:
            _answer(self._waiting.popleft(), answer)
        if self._is_retired and not self._waiting:
            self.close()


def _answer(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, StoreError):
        future.set_exception(answer)
        future.exception()  # it may be that nobody waits any more
    else:
        future.set_result(answer)


def _packed(arguments: tuple[str | bytes | int, ...]) -> bytes:
    """Return a command as it is sent."""
    import hiredis

    pack: Callable[[Any], bytes] = hiredis.pack_command
    try:
        return pack(arguments)
    except UnicodeEncodeError:  # a lone surrogate, in a name that came as JSON
        return pack(tuple(one.encode("utf-8", "surrogatepass") if isinstance(one, str) else one for one in arguments))


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
