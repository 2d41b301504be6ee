"""One connection to Redis, on which requests follow each other without waiting for answers.

redis-py's own client gives each request that waits a connection of its own, and closes it if the wait is given up. Here
an answer that comes late is still an answer: nothing that the store has done stays unknown as long as it lives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessiontap.stores.address import StoreAddress

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

CONNECT_SECONDS = 2.0
MISSING = "sharing sessions takes redis-py. Install it with: pip install 'sessiontap[redis]'"
_FILES = {file.stem: file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("*.lua")}
_COMMON = _FILES.pop("common")
_SCRIPTS = {name: _COMMON + script for name, script in _FILES.items()}


class StoreError(Exception):
    """The store does not answer, or refuses. A sentence for the user."""


def is_installed() -> bool:
    """Return True if redis-py is there."""
    with suppress(ImportError):
        import redis.asyncio  # noqa: F401

        return True
    return False


class StoreConnection:
    """For the loop alone."""

    def __init__(self, connection: AbstractConnection) -> None:
        """Use `open`."""
        self._connection = connection
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._outbox: list[bytes] = []
        self._has_more = asyncio.Event()
        self._hashes: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.closed: str | None = None
        """Why it is."""

    @classmethod
    async def open(cls, address: StoreAddress) -> StoreConnection:
        """Connect, and tell the store the scripts. Raises StoreError."""
        from redis import exceptions
        from redis.asyncio import connection as redis

        kind = redis.SSLConnection if address.tls else redis.Connection
        plain = kind(
            host=address.host,
            port=address.port,
            db=address.database,
            username=address.user,
            password=address.password,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_SECONDS,
            protocol=2,
        )
        opened = cls(plain)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await plain.connect()  # type: ignore[no-untyped-call]
                opened._tasks = [asyncio.create_task(opened._read()), asyncio.create_task(opened._write())]
                for name, script in _SCRIPTS.items():
                    opened._hashes[name] = (await opened._request("SCRIPT", "LOAD", script)).decode()
        except TimeoutError:
            opened.close("it does not answer")
            raise StoreError(f"it does not answer within {CONNECT_SECONDS:.0f} s") from None
        except (exceptions.RedisError, OSError) as error:
            opened.close(str(error))
            raise StoreError(_sentence(error)) from None
        return opened

    def run(self, script: str, *arguments: str | bytes | int) -> asyncio.Future[Any]:
        """Have a script run. The answer comes in the order of the requests; it may be given up."""
        return self._request("EVALSHA", self._hashes[script], 0, *arguments)

    def close(self, why: str = "it was closed") -> None:
        """Close it. What waits for an answer gets a StoreError."""
        self.closed = self.closed or why
        for task in self._tasks:
            task.cancel()
        with suppress(Exception):
            writer = self._connection._writer
            if writer is not None:
                writer.transport.abort()
        while self._waiting:
            self._answer(self._waiting.popleft(), StoreError(self.closed))

    def _request(self, *arguments: str | bytes | int) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.closed is not None:
            self._answer(future, StoreError(self.closed))
            return future
        self._waiting.append(future)
        self._outbox.append(_packed(arguments))
        self._has_more.set()
        return future

    async def _write(self) -> None:
        """Send what was requested since the loop's last turn at once."""
        try:
            while True:
                await self._has_more.wait()
                self._has_more.clear()
                data, self._outbox = b"".join(self._outbox), []
                await self._connection.send_packed_command(data, check_health=False)
        except Exception as error:  # of redis-py, of the socket
            self.close(_sentence(error))

    async def _read(self) -> None:
        from redis.exceptions import ResponseError

        try:
            while True:
                try:
                    answer: Any = await self._connection.read_response(disable_decoding=True)
                except ResponseError as error:
                    answer = StoreError(_sentence(error))
                if self._waiting:
                    self._answer(self._waiting.popleft(), answer)
        except Exception as error:  # of redis-py, of the socket
            self.close(_sentence(error))

    @staticmethod
    def _answer(future: asyncio.Future[Any], answer: Any) -> None:
        if future.done():
            return
        if isinstance(answer, StoreError):
            future.set_exception(answer)
            future.exception()  # it may be that nobody waits any more
        else:
            future.set_result(answer)


def _packed(arguments: Sequence[str | bytes | int]) -> bytes:
    """Return a command as it is sent. redis-py's own function takes several times as long."""
    packed = [b"*%d\r\n" % len(arguments)]
    for one in arguments:
        data = one if isinstance(one, bytes) else str(one).encode("utf-8", "surrogatepass")
        packed.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(packed)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
