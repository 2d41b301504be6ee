"""The demo's HTTPS server on loopback: HTTP/1.1, a thread per connection, `providers` behind it."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from sessiontap.demo.providers import Asked, reply_headers, reply_to
from sessiontap.demo.wire import Events, Ids
from sessiontap.exchange import Headers

STOP_LIMIT = 10.0  # seconds


class Server(ThreadingHTTPServer):
    """Listens while its `with` block lasts; `received` holds every request, oldest first."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext) -> None:
        """Raises OSError if no port of 127.0.0.1 can be listened on."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Asked] = []
        self.faults: list[str] = []
        """Requests that could not be answered, in words."""
        self.ids = Ids()
        self._tls = tls
        self._thread = threading.Thread(target=self.serve_forever, name="demo-server", daemon=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join(STOP_LIMIT)
        self.server_close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Make the TLS handshake on the connection's own thread, so that none waits for another's."""
        with self._tls.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair, and is not printed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # each event of a stream leaves at once
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """The demo prints its own lines."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = Headers(self.headers.items())
        asked = Asked(self.command, self.path.partition("?")[0], headers.get("host") or "", headers, body)
        self.server.received.append(asked)
        try:
            reply = reply_to(asked, self.server.ids)
        except Exception as error:
            self.server.faults.append(f"{asked.method} {asked.path}: {error!r}")
            self.send_error(500)
            return
        extra = reply_headers(asked, self.server.ids)
        if isinstance(reply, Events):
            framing = [("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")]
            self._head(200, [*framing, *extra])
            for event in reply.events:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.write(b"0\r\n\r\n")
            return
        data = json.dumps(reply.body).encode()
        framing = [("content-type", "application/json"), ("content-length", str(len(data)))]
        self._head(reply.status, [*framing, *extra, *reply.headers])
        self.wfile.write(data)

    def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
