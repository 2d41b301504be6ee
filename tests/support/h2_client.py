"""An HTTP/2 client of one stream, which can send a part of its request, read, and send the rest."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
from tests.support.gate import PATIENCE

Fields = Sequence[tuple[str, str]]


class H2Client:
    """A connection through an HTTP proxy, for a `with` block."""

    def __init__(self, proxy_url: str, ca: Path, host: str) -> None:
        proxy = urlsplit(proxy_url)
        raw = socket.create_connection((proxy.hostname or "", proxy.port or 0), PATIENCE)
        raw.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        said = b""
        while b"\r\n\r\n" not in said:
            said += raw.recv(4096)
        assert b" 200 " in said.partition(b"\r\n")[0], said
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        self._socket = context.wrap_socket(raw, server_hostname=host)
        assert self._socket.selected_alpn_protocol() == "h2"
        self._host = host
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._http.initiate_connection()
        self._flush()
        self.headers: dict[str, str] = {}
        self.data = b""
        self.trailers: dict[str, str] = {}
        self.is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def begin(self, path: str, fields: Fields) -> None:
        """Send a POST's headers."""
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", self._host), (":path", path)]
        self._http.send_headers(1, [*pseudo, *fields])
        self._flush()

    def send(self, data: bytes) -> None:
        self._http.send_data(1, data)
        self._flush()

    def end(self, trailers: Fields = ()) -> None:
        """End the request."""
        if trailers:
            self._http.send_headers(1, trailers, end_stream=True)
        else:
            self._http.end_stream(1)
        self._flush()

    def read_until(self, size: int | None) -> bytes:
        """The reply's body, once there are `size` bytes of it; None: once it is over.

        :raises TimeoutError: that never came.
        """
        while not self.is_over and (size is None or len(self.data) < size):
            received = self._socket.recv(65536)
            assert received, "the connection was closed"
            for event in self._http.receive_data(received):
                self._take(event)
            self._flush()
        return self.data

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.headers = _texts(event.headers)
            case h2.events.DataReceived():
                self.data += event.data
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self.trailers = _texts(event.headers)
            case h2.events.StreamEnded() | h2.events.StreamReset():
                self.is_over = True

    def _flush(self) -> None:
        self._socket.sendall(self._http.data_to_send())


def _texts(fields: Iterable[tuple[str | bytes, str | bytes]]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in fields}


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
