"""The protocol of a connection, by the first bytes that its client sends. A pure function, asked again as more come.

Only HTTP/1 in plain text and TLS are of any use to the proxy. All else passes as raw bytes, so a doubt must end soon:
a client of another protocol may wait for an answer to what it has sent.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["http", "http2", "tls", "other", "unclear"]
"""`http2` is HTTP/2 with prior knowledge, as gRPC speaks it without TLS; `unclear`: more bytes are needed."""

PREFACE = b"PRI * HTTP/2.0\r\n"
"""The first line of HTTP/2 (RFC 9113, 3.4)."""
LONGEST_LINE = 1 << 16
"""Bytes of a first line; a longer one is no request's."""
METHODS = (
    "GET HEAD POST PUT DELETE OPTIONS PATCH TRACE CONNECT PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH REPORT "
    "PURGE QUERY"
)
"""Methods by which a request is known before its first line has come whole."""

_REQUEST_LINE = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32} \S+ HTTP/1\.[01]\r?\n")
_SETTINGS = re.compile(rb"\x00[\x00-\xff]{2}\x04\x00\x00\x00\x00\x00", re.DOTALL)
"""The head of a server's first frame in HTTP/2 (RFC 9113, 4.1 and 6.5)."""
_BEGINNINGS = (PREFACE, *(f"{method} ".encode() for method in METHODS.split()))


def kind_of(client: bytes, server: bytes = b"") -> Kind:
    """Return the protocol of what the client has sent so far. `server`: what its server has sent before.

    A server of HTTP/1 or TLS never speaks first; one of HTTP/2 may, with its settings.
    """
    if server:
        return "http2" if client.startswith(PREFACE) or _SETTINGS.match(server) else "other"
    if not client:
        return "unclear"
    if client[0] == 0x16:  # a TLS record with a handshake; its version follows
        return _tls(client)
    if client.startswith(PREFACE):
        return "http2"
    if b"\n" in client:
        return "http" if _REQUEST_LINE.match(client) else "other"
    begins = any(client.startswith(one) or one.startswith(client) for one in _BEGINNINGS)
    return "unclear" if begins and len(client) <= LONGEST_LINE else "other"


def _tls(client: bytes) -> Kind:
    if len(client) < 3:
        return "unclear" if client[1:2] in (b"", b"\x03") else "other"
    return "tls" if client[1] == 3 and client[2] <= 4 else "other"
