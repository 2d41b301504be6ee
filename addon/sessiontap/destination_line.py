"""The line by which a connection that was redirected to the proxy says where it was going.

A program that ignores the proxy's variables opens a connection to its server. `capture/` has it opened to the proxy
instead, and puts this line before all that the program sends:

    SESSIONTAP-TO api.openai.com:443\\r\\n

It means what CONNECT means (RFC 9110, 9.3.6), except that nobody answers it: the program has not asked, and would take
an answer for its server's. `proxy/redirected.py` reads it.
"""

from __future__ import annotations

BEGIN = b"SESSIONTAP-TO "
_END = b"\r\n"
_LONGEST = 300
"""Bytes. A host name has 253 at most."""


def write(host: str, port: int) -> bytes:
    """Return the line for a host name in ASCII or an IP address."""
    named = f"[{host}]" if ":" in host else host
    return BEGIN + f"{named}:{port}".encode("ascii") + _END


def read(data: bytes) -> tuple[str, bytes] | None:
    """Return the destination as CONNECT names it, `HOST:PORT`, and what follows the line. None: it is not complete yet.

    Raises ValueError if it is no such line.
    """
    end = data.find(_END, 0, _LONGEST)
    if not data.startswith(BEGIN) or (end < 0 and len(data) >= _LONGEST):
        raise ValueError("no line with a destination")
    if end < 0:
        return None
    destination = data[len(BEGIN) : end].decode("ascii")
    host, _, port = destination.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or not host.isprintable() or " " in host:
        raise ValueError("no destination in the line")
    return destination, data[end + len(_END) :]
