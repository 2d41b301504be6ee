"""A question to a proxy of this machine, and its answer in JSON (see `proxy/own_address.py`).

The exchange is made on the socket itself: http.client would load modules of mail and TLS first, which takes longer
than the proxy's answer.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

_AT_ONCE = 65536


class Asking:
    """A question that has been sent. Raises OSError if the proxy cannot be reached `within` seconds."""

    def __init__(self, host: str, port: int, question: str, within: float) -> None:
        self._socket = socket.create_connection((host, port), timeout=within)
        authority = question.removeprefix("http://").partition("/")[0]
        request = f"GET {question} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
        try:
            self._socket.sendall(request.encode("ascii"))
        except OSError:
            self._socket.close()
            raise

    def answer(self, within: float) -> Any:
        """Return the value that the proxy gives `within` seconds; None if it gives none. It may be called once."""
        end = time.monotonic() + within
        received = b""
        try:
            with self._socket:
                while True:
                    self._socket.settimeout(max(end - time.monotonic(), 0.001))
                    more = self._socket.recv(_AT_ONCE)
                    if not more:
                        break
                    received += more
        except OSError:
            return None
        head, _, body = received.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        try:
            return json.loads(body) if status == [b"200"] else None
        except ValueError:
            return None
