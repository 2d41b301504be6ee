"""A connection that a program meant for its server and that `capture/` redirected to this proxy.

It begins with a line that names the server (`destination_line.py`) and that nobody answers. For mitmproxy the line
becomes a CONNECT request: what follows is the same tunnel as any other client's, with the same hooks, options and
rights. The reply to CONNECT stays here, because the program did not ask. If it is not 200, the connection is closed.
"""

from __future__ import annotations

from collections.abc import Callable

from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import modes

from sessiontap import destination_line

_HEAD_END = b"\r\n\r\n"


def begins(next_layer: layer.NextLayer) -> bool:
    """Return True if a client's connection to an HTTP proxy begins with a destination line."""
    outermost = next_layer.context.layers[0]
    return (
        isinstance(outermost, modes.HttpProxy | modes.HttpUpstreamProxy)
        and len(next_layer.context.layers) == 1
        and next_layer.data_client().startswith(destination_line.BEGIN)
    )


class RedirectedLayer(layer.Layer):
    """Stands between the client and mitmproxy's HTTP layer until the tunnel is open."""

    def __init__(self, known: context.Context, http: Callable[[context.Context], layer.Layer]) -> None:
        """`http` makes the layer for a request to the proxy itself."""
        super().__init__(known)
        self._http = http(known)
        self._received = b""
        """Bytes that the client has sent and the tunnel has not got."""
        self._asked = False
        self._reply = b""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not isinstance(event, events.DataReceived) or event.connection is not self.context.client:
            yield from self._open(event)
            return
        self._received += event.data
        if self._asked:
            return
        try:
            line = destination_line.read(self._received)
        except ValueError:
            yield commands.CloseConnection(self.context.client)
            return
        if line is not None:
            self._asked = True
            destination, self._received = line
            head = f"CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n\r\n".encode("ascii")
            yield from self._open(events.DataReceived(self.context.client, head))

    def _open(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Pass an event on, and keep back what is said to the client before the tunnel is open."""
        for command in self._http.handle_event(event):
            if isinstance(command, commands.SendData) and command.connection is self.context.client:
                self._reply += command.data
            else:
                yield command
        if _HEAD_END not in self._reply:
            return
        if self._reply.split(b" ", 2)[1] != b"200":
            self._reply = b""
            yield commands.CloseConnection(self.context.client)
            return
        self._handle_event = self._http.handle_event  # type: ignore[method-assign]
        if self._received:
            yield from self._http.handle_event(events.DataReceived(self.context.client, self._received))
