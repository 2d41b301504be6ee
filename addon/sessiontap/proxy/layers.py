"""mitmproxy's protocol layers where ours differ. `interception.py` puts them into place, in the hook `next_layer`.

    Raw        bytes both ways, counted: what does not concern us
    Undecided  waits for more bytes before the next layer is chosen, and connects the server if the client is silent
    ServerTls, ClientTls  mitmproxy's TLS, with less work for what only passes
    TlsToOpen  a client's TLS in front of a server that was connected before
    Http       mitmproxy's HTTP layer, which differs in six things:
               - A tunnel to a host that does not concern us is connected at once, as any proxy does: its server may
                 speak first, and a server that is not there is told of in the answer to CONNECT. Otherwise the
                 connection waits for the request, which may be rerouted.
               - A head and its body go together: one packet and one record of TLS, not two (`joined`).
               - What goes through an open tunnel is handed to the layer in it at once, not as the body of a request.
               - In a tunnel each side may close its direction alone (a half-close).
               - A request that was sent completely reaches its server, though its client has gone meanwhile. The reply
                 is waited for, for `LINGER` seconds, but not if it is a stream that has begun. mitmproxy drops such a
                 request if it is not on its way yet.
               - A call whose gateway fails goes to its own host (gateway_stream.py).

Layers are derived from, none of mitmproxy's is changed. With an underscore, only `_handle_event`, `_handle_command`,
`_ask` and `_paused_event_queue` are used, which are there for layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.flow import Error
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers import ClientTLSLayer, ServerTLSLayer, TCPLayer
from mitmproxy.proxy.layers.http import (  # type: ignore[attr-defined]
    ErrorCode,
    Http1Server,
    Http2Server,
    HTTPMode,
    ReceiveHttp,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    ResponseProtocolError,
    is_h3_alpn,
)
from mitmproxy.proxy.tunnel import TunnelLayer, TunnelState

from sessiontap.proxy.gateway_stream import GatewayAttempt, GatewayHttp, GatewayStream
from sessiontap.proxy.passed import Passage

LINGER = 1.5
"""Seconds that the reply to a request is waited for after its client has gone."""

MOST_JOINED = 1 << 16
"""Bytes that are joined: more would be copied for less."""


class HttpSettings(NamedTuple):
    """The questions of the HTTP layers to the addon."""

    may_concern: Callable[[str, int], bool]
    """Tells whether a host and port may concern us."""
    limits_bodies: Callable[[], bool]
    """Tells whether an option of mitmproxy's limits bodies, or makes large ones stream."""
    attempt_of: Callable[[http.HTTPFlow], GatewayAttempt | None]
    """See `GatewayHttp.attempt_of`."""


class Raw(TCPLayer):
    """Bytes both ways, and each direction closed by itself."""

    def __init__(self, context: Context, passage: Passage) -> None:
        super().__init__(context, ignore=True)
        self._passage = passage

    def relay_messages(self, event: events.Event) -> CommandGenerator[None]:
        if not isinstance(event, events.DataReceived):
            yield from super().relay_messages(event)
        elif event.connection == self.context.client:
            self._passage.sent += len(event.data)
            yield commands.SendData(self.context.server, event.data)
        else:
            self._passage.received += len(event.data)
            yield commands.SendData(self.context.client, event.data)


class Undecided(layer.NextLayer):
    """Asks `next_layer` again when there is more than it was made with. A client that closes is the last word."""

    def __init__(self, context: Context, known: int, *, opens: bool = False) -> None:
        """`known`: bytes that were looked at already; they are handed to it again. `opens`: connect the server, which
        may speak first."""
        super().__init__(context)
        self._known = known
        self._opens = opens
        self.is_final = False
        """No more bytes will come."""

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        self.events.append(event)
        if isinstance(event, events.Start) and self._opens and self.context.server.timestamp_start is None:
            if (yield commands.OpenConnection(self.context.server)):
                yield commands.CloseConnection(self.context.client)
        elif isinstance(event, events.DataReceived):
            if len(self.data_client()) + len(self.data_server()) > self._known:  # type: ignore[no-untyped-call]
                yield from self._ask()  # type: ignore[no-untyped-call]
        elif isinstance(event, events.ConnectionClosed) and event.connection == self.context.client:
            self.is_final = True
            yield from self._ask()  # type: ignore[no-untyped-call]


class ServerTls(ServerTLSLayer):
    """TLS with a server. Commands for other connections pass without a generator for each."""

    def event_to_child(self, event: events.Event) -> CommandGenerator[None]:
        if self.wait_for_clienthello or self.tunnel_state is TunnelState.ESTABLISHING:
            return super().event_to_child(event)
        return _passing(self, event)


class ClientTls(ClientTLSLayer):
    """TLS with a client, likewise."""

    def event_to_child(self, event: events.Event) -> CommandGenerator[None]:
        if self.tunnel_state is TunnelState.ESTABLISHING:
            return super().event_to_child(event)
        return _passing(self, event)


def _passing(tunnel: TunnelLayer, event: events.Event) -> CommandGenerator[None]:
    """As mitmproxy's `event_to_child`."""
    for command in tunnel.child_layer.handle_event(event):
        if isinstance(command, commands.ConnectionCommand) and command.connection == tunnel.conn:
            yield from tunnel._handle_command(command)
        else:
            yield command


class TlsToOpen(ClientTls):
    """Begins with the server's TLS: mitmproxy takes a server that is connected for one whose TLS stands, too."""

    def start_tls(self) -> CommandGenerator[None]:
        if not self.context.server.tls_established:
            yield from self.start_server_tls()
        yield from super().start_tls()


class _Http1Server(Http1Server):
    """The client's side of HTTP/1. A client that closes behind a whole request may still be answered."""

    def wait(self, event: events.Event) -> CommandGenerator[None]:
        assert self.request is not None
        if isinstance(event, events.ConnectionClosed) and self.request.method != "CONNECT":
            yield ReceiveHttp(_left(self.stream_id))
        else:
            yield from super().wait(event)


class _Http2Server(Http2Server):
    """The client's side of HTTP/2: the same if its connection ends. mitmproxy calls a connection wholly closed, not
    half, if it first met the client's reset when it was about to write."""

    def close_connection(self, msg: str) -> CommandGenerator[None]:
        streams = [stream_id for stream_id in self.streams if not self.is_closed(stream_id)]  # answered ones stay there
        if self.conn.state & ConnectionState.CAN_READ or not streams:
            yield from super().close_connection(msg)
            return
        self.streams.clear()
        self._handle_event = self.done  # type: ignore[method-assign]
        for stream_id in streams:
            yield ReceiveHttp(_left(stream_id))


def _left(stream_id: int) -> RequestProtocolError:
    return RequestProtocolError(stream_id, "Client disconnected.", ErrorCode.CLIENT_DISCONNECTED)


def joined(commands_: Iterable[commands.Command]) -> CommandGenerator[None]:
    """Join what goes to one connection in a row, such as a head and its body: each is a system call, a packet, and in
    TLS a record. A line for the log may come behind it.
    """
    held: commands.SendData | None = None
    lines: list[commands.Command] = []
    for command in commands_:
        if type(command) is commands.SendData:
            if held is None:
                held = command
                continue
            if held.connection is command.connection and len(held.data) + len(command.data) <= MOST_JOINED:
                held.data += command.data
                continue
            yield held
            held = command
        elif held is None:
            yield command
        elif type(command) is commands.Log:
            lines.append(command)
        else:
            yield held
            held = None
            yield from lines
            lines.clear()
            yield command
    if held is not None:
        yield held
        yield from lines


class Http(GatewayHttp):
    """mitmproxy's HTTP layer with our streams."""

    def __init__(self, context: Context, mode: HTTPMode, settings: HttpSettings) -> None:
        super().__init__(context, mode)
        self.settings = settings
        self._tunnel: layer.Layer | None = None
        """The layer in the tunnel that the only request on this connection has opened."""

    def attempt_of(self, flow: http.HTTPFlow) -> GatewayAttempt | None:
        """See `GatewayHttp.attempt_of`."""
        return self.settings.attempt_of(flow)

    def tunnels(self, inner: layer.Layer) -> None:
        """All that comes from here on is for the layer in an open tunnel, but for the end of the client's data."""
        if self.debug is None:
            self._tunnel = inner

    def handle_event(self, event: events.Event) -> CommandGenerator[None]:
        tunnel = self._tunnel
        if tunnel is None or (
            isinstance(event, events.ConnectionClosed) and event.connection == self.context.client
        ):
            return super().handle_event(event)
        if isinstance(event, events.CommandCompleted):
            self.command_sources.pop(event.command, None)  # of before
        return tunnel.handle_event(event)

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        client = self.context.client
        if isinstance(event, events.Start) and not is_h3_alpn(client.alpn):
            side = _Http2Server if client.alpn == b"h2" else _Http1Server
            self.connections.setdefault(client, side(self.context.fork()))
        self._handle_event = self._handle_joined  # type: ignore[method-assign]
        yield from super()._handle_event(event)

    def _handle_joined(self, event: events.Event) -> CommandGenerator[None]:
        return joined(super()._handle_event(event))

    def is_awaited(self, now: float) -> bool:
        """True if a request whose client has gone is on its way, or its reply is waited for. `now` is `monotonic`."""
        return any(isinstance(stream, _Stream) and stream.is_awaited(now) for stream in self.streams.values())

    def make_stream(self, stream_id: int) -> CommandGenerator[None]:
        stream = self.streams[stream_id] = _Stream(_forked(self.context), stream_id, self)
        yield from self.event_to_child(stream, events.Start())


def _forked(context: Context) -> Context:
    """As `Context.fork`, which first makes a server with an id of its own, and throws it away."""
    fork = Context.__new__(Context)
    fork.client, fork.options, fork.server = context.client, context.options, context.server
    fork.layers = context.layers.copy()
    return fork


def _no() -> CommandGenerator[bool]:
    yield from ()
    return False


def _nothing(event: events.Event) -> CommandGenerator[None]:
    yield from ()


class _Stream(GatewayStream):
    """One request and its reply, or a tunnel."""

    def __init__(self, context: Context, stream_id: int, parent: Http) -> None:
        super().__init__(context, stream_id)
        self._parent = self._gateways = parent
        self.__dict__["mode"] = parent.mode  # mitmproxy searches for it
        self._left: RequestProtocolError | None = None
        """The client has gone, after its request had come whole."""
        self._left_at = 0.0
        """When that was seen; by then the request was sent."""

    def check_body_size(self, request: bool) -> CommandGenerator[bool]:
        """As mitmproxy's, which copies two options to find that none is set: four times a call."""
        return super().check_body_size(request) if self._parent.settings.limits_bodies() else _no()

    # -- tunnels -------------------------------------------------------------------------------------------------------

    def handle_connect_regular(self) -> CommandGenerator[None]:
        """As mitmproxy's, but for the moment at which the server is connected."""
        server = self.context.server
        assert server.address is not None
        host, port = server.address[:2]
        is_eager = self.context.options.connection_strategy == "eager"
        if is_eager or self.flow.response or self._parent.settings.may_concern(host, port):
            yield from super().handle_connect_regular()  # type: ignore[no-untyped-call]
            return
        error = yield commands.OpenConnection(server)
        if error:
            self.flow.response = http.Response.make(502, f"Cannot connect to {host}:{port}: {error}")
        self.child_layer = Undecided(self.context, 0)
        yield from self.handle_connect_finish()  # type: ignore[no-untyped-call]

    def passthrough(self, event: events.Event) -> CommandGenerator[None]:
        """As mitmproxy's, but for closed directions of a tunnel that HTTP/1 asked for."""
        assert self.flow.response is not None
        assert self.child_layer is not None
        client = self.context.client
        if self._left is not None and isinstance(event, events.Wakeup):
            yield from self._give_up()
            return
        if self.flow.response.status_code == 101 or self.flow.request.is_http2 or self.flow.request.is_http3:
            yield from super().passthrough(event)
            return
        if isinstance(event, RequestData):
            self._parent.tunnels(self.child_layer)
            event = events.DataReceived(client, event.data)
        elif isinstance(event, (RequestEndOfMessage, RequestProtocolError)):
            event = events.ConnectionClosed(client)
        yield from self.child_layer.handle_event(event)  # what it sends is for the connections as they are

    # -- clients that have gone ----------------------------------------------------------------------------------------

    def check_killed(self, emit_error_hook: bool) -> CommandGenerator[bool]:
        """As mitmproxy's; but that a client has gone counts later if its request came whole: when it has been sent."""
        if self._paused_event_queue and self._has_left_behind_a_whole_request():
            error = self.flow.error
            if error is None or error.msg != Error.KILLED_MESSAGE:
                return False
        return (yield from super().check_killed(emit_error_hook))

    def is_awaited(self, now: float) -> bool:
        """See `Http.is_awaited`."""
        if self._left is not None:
            return self.flow.live and now < self._left_at + LINGER
        return bool(self._paused_event_queue) and self._has_left_behind_a_whole_request()

    def _has_left_behind_a_whole_request(self) -> bool:
        is_whole = self.client_state == self.state_done
        for event in self._paused_event_queue:
            if isinstance(event, RequestEndOfMessage):
                is_whole = True
            elif isinstance(event, RequestProtocolError):
                return is_whole and event.code is ErrorCode.CLIENT_DISCONNECTED
        return False

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> CommandGenerator[None]:
        """As mitmproxy's, which gives up at once if the client has gone; here the reply is waited for."""
        if (
            self._left is None
            and isinstance(event, RequestProtocolError)
            and event.code is ErrorCode.CLIENT_DISCONNECTED
            and self.client_state == self.state_done
            and self.server_state not in (self.state_done, self.state_errored)
            and not (self.flow.response is not None and self.flow.response.stream)  # begun: it is cancelled, then
        ):
            self._left, self._left_at = event, monotonic()
            self._handle_event = self._handle_event_alone
            yield commands.RequestWakeup(LINGER)
            return
        yield from super().handle_protocol_error(event)
        if isinstance(event, RequestProtocolError) and event.code is ErrorCode.CLIENT_DISCONNECTED:
            yield from self._close_client()

    def _handle_event_alone(self, event: events.Event) -> CommandGenerator[None]:
        """Go on without the client."""
        if isinstance(event, events.Wakeup):
            yield from self._give_up()
        else:
            yield from super()._handle_event(event)

    def _give_up(self) -> CommandGenerator[None]:
        """No reply came in time: do what mitmproxy does at once."""
        if self._left is not None and self.flow.live:
            yield from super().handle_protocol_error(self._left)
        yield from self._close_client()

    def flow_done(self) -> CommandGenerator[None]:
        yield from super().flow_done()
        if self._left is not None:
            yield from self._close_client()
        if self.child_layer is None:
            self._let_go()

    def _let_go(self) -> None:
        """Cut the circles through a stream that is done, which would hold its flow until a full garbage collection."""
        self.context.layers.clear()
        # What it may still hear is that its client has gone, while the hook of its reply was under way.
        self._handle_event = self.client_state = self.server_state = _nothing

    def _close_client(self) -> CommandGenerator[None]:
        """Close what is left of the client's connection, if no other request of it is under way."""
        if all(stream is self for stream in self._parent.streams.values()):
            yield commands.CloseConnection(self.context.client)
