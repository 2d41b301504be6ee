"""A WebSocket client for tests that are no coroutines: the asyncio client of `websockets`, on a loop of its own.

That package's threaded client reads and writes one TLS socket from two threads at a time, and CPython's ssl then loses
a handshake now and then, with any proxy and without.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.gate import PATIENCE
from websockets.asyncio.client import ClientConnection, connect


class SocketApp:
    """One connection while its `with` block lasts."""

    def __init__(self, url: str, *, proxy: str, ca: Path, **options: Any) -> None:
        """`options` are those of `websockets.connect`. Raises what that raises."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="socket-app", daemon=True)
        self._thread.start()
        trust = ssl.create_default_context(cafile=ca)
        try:
            self._connection = self._run(_connect(url, proxy=proxy, ssl=trust, open_timeout=PATIENCE, **options))
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._stop()

    @property
    def reply_headers(self) -> Any:
        """Of the upgrade."""
        assert self._connection.response is not None
        return self._connection.response.headers

    def send(self, message: str | bytes) -> None:
        self._run(self._connection.send(message))

    def receive(self) -> str | bytes:
        """The next message. Raises ConnectionClosed."""
        return self._run(asyncio.wait_for(self._connection.recv(), PATIENCE))

    def close(self) -> None:
        """Say goodbye."""
        self._run(self._connection.close())

    def hang_up(self) -> None:
        """Go without a word."""
        self._loop.call_soon_threadsafe(self._connection.transport.abort)

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * PATIENCE)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


async def _connect(url: str, **options: Any) -> ClientConnection:
    return await connect(url, **options)
