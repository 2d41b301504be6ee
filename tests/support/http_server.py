"""A small HTTP server that does exactly what a handler says: HTTP/1.1 and HTTP/2 by ALPN over TLS, or plain HTTP/1.1.

It runs on a thread and an event loop of its own, so that a test's ordinary code can talk to it:

    async def handle(request, respond):
        await respond.start(200, [("content-type", "text/event-stream")], coding="gzip")
        await respond.send(b"data: one\\n\\n")      # on its way when this returns
        ...                                        # wait for whatever the test says
        await respond.end()

    with Server(handle, tls=authority.server_context(["api.example"])) as server:
        ...  # https://127.0.0.1:{server.port}
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.dialogue import ClientGone, Handler, Request, Respond
from tests.support.gate import PATIENCE
from tests.support.h1_connection import H1Connection
from tests.support.h2_connection import H2Connection

BACKLOG = 512


class Server:
    """Listens on loopback, or on `host`, while its `with` block lasts; `tls` None means plain HTTP."""

    def __init__(
        self, handler: Handler, *, tls: ssl.SSLContext | None = None, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self._host = host
        self.port = port
        """The port; a free one is taken for 0 when the server starts."""
        self.requests: list[Request] = []
        """Every request whose head arrived, in that order."""
        self.connections = 0
        """How many connections were ever made (after the TLS handshake)."""
        self.faults: list[BaseException] = []
        """What handlers raised, `ClientGone` apart. Such a request is reset."""
        self._handler = handler
        self._tls = tls
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run_thread, name="demo-http-server", daemon=True)

    def __enter__(self) -> Self:
        """Start listening.

        :raises OSError: the port cannot be had.
        """
        self._thread.start()
        if not self._started.wait(PATIENCE):
            raise TimeoutError("the local HTTP server did not start")
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    def wait_for(self, holds: Callable[[list[Request]], bool], timeout: float = PATIENCE) -> list[Request]:
        """The requests so far, once `holds` is true of them; asked again at each arrival and each end of a handler.

        :raises TimeoutError: it never became true within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: holds(self.requests), timeout):
                raise TimeoutError(f"waited {timeout} s; the server has seen {self.requests}")
            return list(self.requests)

    def _run_thread(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # handed to the thread that waits for the start
            self._failure = error
        finally:
            self._started.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listener = await asyncio.start_server(
            self._serve, self._host, self.port, ssl=self._tls, backlog=BACKLOG
        )
        self.port = listener.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        tls = writer.get_extra_info("ssl_object")
        is_h2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        connection = (H2Connection if is_h2 else H1Connection)(
            reader,
            writer,
            scheme="http" if self._tls is None else "https",
            number=self.connections,
            begin=self._begin,
        )
        try:
            await connection.run()
        except (OSError, asyncio.CancelledError):
            pass  # the client went, or the server is stopping: either way this connection is over
        finally:
            self._tasks.discard(task)
            writer.close()

    def _begin(self, request: Request, respond: Respond) -> asyncio.Task[None]:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        task = asyncio.create_task(self._answer(request, respond))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, request: Request, respond: Respond) -> None:
        try:
            await self._handler(request, respond)
            if not respond.over and not respond.gone.is_set():
                raise RuntimeError(f"the handler returned without ending its answer to {request}")
        except ClientGone:
            respond.gone.set()
        except Exception as error:
            self.faults.append(error)
            try:
                await respond.reset()
            except OSError:
                respond.gone.set()
        finally:
            with self._changed:
                self._changed.notify_all()
