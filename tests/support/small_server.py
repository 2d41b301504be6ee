"""A server of a few lines, by the standard library, for tests whose subject is another program."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler


class SmallHandler(BaseHTTPRequestHandler):
    """Answers in one piece and prints nothing."""

    def body(self) -> bytes:
        """Return the request's body."""
        return self.rfile.read(int(self.headers["content-length"]))

    def answer(self, body: bytes, status: int = 200) -> None:
        """Answer with JSON, or with any other bytes."""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving[S: socketserver.BaseServer](server: S) -> Iterator[S]:
    """Serve on a thread until the block ends."""
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
