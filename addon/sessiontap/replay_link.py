"""The link between a proxy and the server of a replay: the server's address, and the header of each request to it.

The proxy (proxy/replay.py) sends every request to that server (replay/server.py), which is on this machine. One header
says where the request was going. It carries the secret of the server, so that nobody else is answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

VARIABLE = "SESSIONTAP_REPLAY"
"""The environment variable that makes a proxy one of a replay: a `ReplayAddress`."""
HEADER = "sessiontap-replay"
"""The name of the header, in requests a `ReplayHeader`, in replies `UNANSWERED` or the trailers (`trailers_header`)."""
UNANSWERED = "unanswered"
"""In a reply: the recorded call got none, so the client's connection is closed."""
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ReplayAddress:
    """The address of a replay's server."""

    port: int
    token: str
    live: bool = False
    """A request that no recorded call answers may go on to its own server."""

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> ReplayAddress:
        """Read one. Raises ValueError."""
        return _read(cls, text)


@dataclass(frozen=True, slots=True)
class ReplayHeader:
    """Where a request was going, and who sent it."""

    token: str
    scheme: str
    host: str
    port: int
    caller: str | None = None
    """The id of its process."""
    asks: bool = False
    """Nothing is replayed yet: the reply is `{"answer": N}`, or `{"answer": null}` if the request is to go on."""
    answer: int | None = None
    """The number of an answer that was asked for before."""
    client: str | None = None
    """The proxy's id of the client's connection."""
    live_port: int | None = None
    """Of a WebSocket: the proxy's port at which its server may be had live."""
    live_from: int | None = None
    """To that port: the number, from 1, of the client's frame from which on the WebSocket is live."""
    retold: int = 0
    """To that port: the frames that tell the server what was said before."""

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> ReplayHeader:
        """Read one. Raises ValueError."""
        return _read(cls, text)


def trailers_header(trailers: Iterable[tuple[str, str]]) -> str:
    """Return the header of a reply with trailers: mitmproxy takes none from a server of HTTP/1."""
    return json.dumps([*trailers])


def read_trailers(header: str) -> list[tuple[str, str]]:
    """Read one. Raises ValueError."""
    return [(str(name), str(value)) for name, value in json.loads(header)]


def _read[T](kind: type[T], text: str) -> T:
    values = json.loads(text)
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(str(error)) from None
