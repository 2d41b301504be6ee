"""A stand-in for the proxy: it reads the destination line of each connection and relays the rest as it is."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from typing import Self

from sessiontap import destination_line


class Relay:
    """Listens on loopback while its `with` block lasts."""

    def __init__(self, places: Mapping[str, int] | None = None) -> None:
        """`places`: host -> the port of 127.0.0.1 that stands for it. Other destinations stand for themselves."""
        self.destinations: list[str] = []
        """Where each connection was going, `HOST:PORT`; a connection without a line is an empty one."""
        self._places = places or {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            received = b""
            found = None
            while found is None:
                more = client.recv(4096)
                received += more
                try:
                    found = destination_line.read(received) if more else ("", b"")
                except ValueError:
                    found = ("", b"")
            destination, rest = found
            self.destinations.append(destination)
            if not destination:
                client.close()
                return
            host, _, port = destination.rpartition(":")
            place = ("127.0.0.1", self._places[host]) if host in self._places else (host.strip("[]"), int(port))
            try:
                server = socket.create_connection(place)
            except OSError:
                client.close()
                return
            self._open.append(server)
            server.sendall(rest)
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()
            server.close()
            client.close()


def _copy(source: socket.socket, to: socket.socket) -> None:
    """Pass on what comes, its end, and its breaking off."""
    with contextlib.suppress(OSError):
        try:
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except ConnectionResetError:
            to.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets it
            to.shutdown(socket.SHUT_RD)  # the other direction ends, too
