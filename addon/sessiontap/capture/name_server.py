"""A name server of our own for a program that is confined: it gives each name the same address, which nobody uses.

The program connects to that address, and the proxy hears the name from the program: in TLS (SNI) or in `Host`. So no
name is asked for outside of this machine, and none need exist.
"""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Self

PORT = 53
"""Of name servers."""
UNUSED_ADDRESS = "198.18.0.1"
"""For tests of networks (RFC 2544): it leads nowhere."""
_HOST = "127.0.0.1"
_ADDRESS_OF_IPV4, _INTERNET = 1, 1
_ANSWERED = 0x8180
"""The flags of an answer without an error."""
_LONGEST = 4096


def answer(query: bytes) -> bytes | None:
    """Return the answer to a query (RFC 1035): the address for IPv4, nothing for all else. None if it is no query."""
    try:
        end = 12
        while query[end]:
            end += query[end] + 1
        end += 5
        kind, network = struct.unpack_from("!HH", query, end - 4)
    except (IndexError, struct.error):
        return None
    found = b""
    if (kind, network) == (_ADDRESS_OF_IPV4, _INTERNET):
        found = struct.pack("!HHHIH", 0xC00C, kind, network, 1, 4) + socket.inet_aton(UNUSED_ADDRESS)
    return query[:2] + struct.pack("!HHHHH", _ANSWERED, 1, bool(found), 0, 0) + query[12:end] + found


class NameServer:
    """Answers on a thread, which begins with `start`, behind the fork of the program."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_HOST, 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._closed = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        if self._thread is not None:
            self._socket.sendto(b"", self.address)  # so that it looks up
            self._thread.join()
        self._socket.close()

    def start(self) -> None:
        """Answer from here on. Until then queries wait."""
        self._thread = threading.Thread(target=self._serve, name="name-server", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._closed:
            try:
                query, client = self._socket.recvfrom(_LONGEST)
                if (found := answer(query)) is not None:
                    self._socket.sendto(found, client)
            except OSError:  # a client that has gone
                continue
