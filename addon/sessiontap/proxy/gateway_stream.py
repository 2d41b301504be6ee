"""HTTP through a gateway that may fail: the part of the layers that sends such a call to its own host.

An attempt (`failover.py`) says whether a call may go there, and changes its request. Here

- the connection to a gateway may take `connect_timeout` seconds, and is tried again by the next call: mitmproxy would
  give every later call of the client the first error;
- an error reply is held, for `HOLD` seconds and `BODY_START` bytes at most, until the attempt has said whose it is;
- a call whose gateway failed is sent once more, with what mitmproxy holds of it, over a connection to its own host. The
  stream to the gateway is cancelled, and whatever it still says of this call is dropped.

A stream whose call goes to no gateway is mitmproxy's. The deadlines of all streams of a client share its timers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, cast

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (  # type: ignore[attr-defined]
    ErrorCode,
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpEvent,
    HttpLayer,
    HTTPMode,
    HttpStream,
    ReceiveHttp,
    RegisterHttpConnection,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    SendHttp,
)

from sessiontap.gateways.failure import BODY_START

HOLD = 2.0
"""Seconds that an error reply is held, to see whose it is."""


class GatewayAttempt(Protocol):
    """A call's attempt at its gateway. If a method returns True, the flow's request is now for its own host."""

    @property
    def connect_timeout(self) -> float: ...
    @property
    def answer_timeout(self) -> float: ...
    @property
    def fails_open(self) -> bool: ...
    def unreachable(self, why: str) -> bool: ...
    def unanswered(self, why: str) -> bool: ...
    def holds(self, reply: http.Response) -> bool: ...
    def refused(self, reply: http.Response, body: bytes) -> bool: ...
    def note_reply(self, reply: http.Response) -> None: ...
    def broke(self, why: str) -> None: ...


class _TimeIsUp(ResponseProtocolError):
    """A stream's deadline has passed."""


@dataclass
class _GiveUpConnecting(RegisterHttpConnection):
    """A stream does not wait for its connection any longer."""

    asked: GetHttpConnection


class _Alarm:
    """Stands for a layer where mitmproxy gives a `Wakeup` to whoever asked for it."""

    def __init__(self, http_layer: GatewayHttp) -> None:
        self._http = http_layer

    def handle_event(self, event: events.Wakeup) -> CommandGenerator[None]:
        """Return the commands for deadlines that have passed."""
        return self._http.wake(event.command)


class _Muted:
    """A server's connection without what it says of streams that have been given up."""

    def __init__(self, inner: layer.Layer) -> None:
        self._inner = inner
        self.context = inner.context
        self.streams: set[int] = set()

    def handle_event(self, event: events.Event) -> Iterator[commands.Command]:
        """Return the connection's commands, without those of streams that have been given up."""
        for command in self._inner.handle_event(event):
            if not (isinstance(command, ReceiveHttp) and command.event.stream_id in self.streams):
                yield command


class GatewayHttp(HttpLayer):
    """mitmproxy's HTTP layer, with deadlines for its streams."""

    def __init__(self, context: Context, mode: HTTPMode) -> None:
        super().__init__(context, mode)
        self._deadlines: dict[int, float] = {}
        """By `monotonic`, of streams that wait for their gateway."""
        self._alarms: dict[commands.RequestWakeup, float] = {}
        self._alarm = cast(layer.Layer, _Alarm(self))

    def attempt_of(self, flow: http.HTTPFlow) -> GatewayAttempt | None:
        """Return the attempt of a call at its gateway; None if it goes to none, or may go nowhere else."""
        raise NotImplementedError

    def expects(self, stream_id: int, seconds: float) -> CommandGenerator[None]:
        """Set a stream's deadline."""
        until = self._deadlines[stream_id] = monotonic() + seconds
        yield from self._set_alarm(until)

    def settled(self, stream_id: int) -> None:
        """Take a stream's deadline away."""
        self._deadlines.pop(stream_id, None)

    def _set_alarm(self, until: float) -> CommandGenerator[None]:
        if not any(one <= until for one in self._alarms.values()):
            alarm = commands.RequestWakeup(max(until - monotonic(), 0.0) + 0.001)
            self._alarms[alarm] = until
            yield alarm
            self.command_sources[alarm] = self._alarm  # not the stream, which may be over by then

    def wake(self, alarm: commands.RequestWakeup) -> CommandGenerator[None]:
        """Tell the streams whose deadlines have passed."""
        self._alarms.pop(alarm, None)
        now = monotonic()
        for stream_id in [one for one, until in self._deadlines.items() if until <= now]:
            del self._deadlines[stream_id]
            stream = self.streams.get(stream_id)
            if stream is None:
                continue
            waits = self._connection_for(stream)
            if waits is not None:
                connection, asked = waits
                yield _GiveUpConnecting(connection, "no connection in time", asked)
            else:
                yield ReceiveHttp(_TimeIsUp(stream_id, "no answer in time", ErrorCode.GENERIC_SERVER_ERROR))
        if self._deadlines:
            yield from self._set_alarm(min(self._deadlines.values()))

    def _connection_for(self, stream: HttpStream) -> tuple[Connection, GetHttpConnection] | None:
        """Return the connection that a stream waits for, and its question for it."""
        for connection, waiting in self.waiting_for_establishment.items():
            for asked in waiting:
                if self.command_sources.get(asked) is stream:
                    return connection, asked
        return None

    def register_connection(self, command: RegisterHttpConnection) -> CommandGenerator[None]:
        waiting = self.waiting_for_establishment[command.connection]
        if isinstance(command, _GiveUpConnecting):
            waiting[:] = [asked for asked in waiting if asked is not command.asked]
            stream = self.command_sources.pop(command.asked)
            yield from self.event_to_child(stream, GetHttpConnectionCompleted(command.asked, (None, command.err or "")))
            if not waiting:
                yield from self._abandon(command.connection)
            return
        if command.err:
            streams = [self.command_sources.get(asked) for asked in waiting]
            if not streams or any(isinstance(one, GatewayStream) and one.is_at_gateway for one in streams):
                command.connection.error = None  # else no later call would try it again
        yield from super().register_connection(command)

    def _abandon(self, connection: Connection) -> CommandGenerator[None]:
        """Close a connection that nobody waits for any more, and the one below it to a proxy: else later calls would
        wait for them, too."""
        self.waiting_for_establishment.pop(connection, None)
        handler = self.connections[connection]
        for one in [key for key, layer_of_it in self.connections.items() if layer_of_it is handler]:
            yield commands.CloseConnection(one)

    def mute(self, connection: Connection, stream_id: int) -> None:
        """Drop what a connection says of a stream from here on."""
        handler = self.connections[connection]
        if isinstance(handler, _Muted):
            handler.streams.add(stream_id)
            return
        muted = _Muted(handler)
        muted.streams.add(stream_id)
        stands_in = cast(layer.Layer, muted)
        for key, one in list(self.connections.items()):
            if one is handler:
                self.connections[key] = stands_in
        for command, one in list(self.command_sources.items()):
            if one is handler:
                self.command_sources[command] = stands_in


class GatewayStream(HttpStream):
    """One request and its reply, which may go through a gateway."""

    _gateways: GatewayHttp
    """The layer that it is a stream of."""
    _attempt: GatewayAttempt | None = None
    """While the call is at its gateway and the client has got nothing of a reply."""
    _held: list[Any]
    """The events of a reply that is held."""

    @property
    def is_at_gateway(self) -> bool:
        """True if the call is at its gateway, and may go elsewhere."""
        return self._attempt is not None

    def make_server_connection(self) -> CommandGenerator[bool]:
        """As mitmproxy's; if that is a gateway's and fails, the one to the call's own host."""
        attempt = self._gateways.attempt_of(self.flow)
        return super().make_server_connection() if attempt is None else self._connect_gateway(attempt)

    def _connect_gateway(self, attempt: GatewayAttempt) -> CommandGenerator[bool]:
        self._attempt = attempt
        request, server = self.flow.request, self.flow.server_conn
        yield from self._gateways.expects(self.stream_id, attempt.connect_timeout)
        connection, error = yield GetHttpConnection(
            (request.host, request.port), request.scheme == "https", server.via, server.transport_protocol
        )
        self._gateways.settled(self.stream_id)
        if not error:
            self.context.server = self.flow.server_conn = connection
            if not request.stream:  # an upload may take its time
                yield from self._gateways.expects(self.stream_id, attempt.answer_timeout)
            return True
        self._attempt = None
        if attempt.unreachable(error):
            return bool((yield from super().make_server_connection()))
        failed = ResponseProtocolError(self.stream_id, error, ErrorCode.CONNECT_FAILED)
        yield from self.handle_protocol_error(failed)
        return False

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> CommandGenerator[None]:
        """As mitmproxy's; a gateway's error reply is held."""
        if self._attempt is None:
            return super().state_wait_for_response_headers(event)  # type: ignore[no-any-return]
        return self._gateway_answers(self._attempt, event)

    def _gateway_answers(self, attempt: GatewayAttempt, event: ResponseHeaders) -> CommandGenerator[None]:
        self._gateways.settled(self.stream_id)
        if attempt.holds(event.response):
            self._held = [event]
            self.server_state = self.state_hold_reply
            yield from self._gateways.expects(self.stream_id, HOLD)
        else:
            self._attempt = None
            yield from super().state_wait_for_response_headers(event)

    def state_hold_reply(self, event: HttpEvent) -> CommandGenerator[None]:
        """Hold a gateway's error reply until it is known whose it is."""
        self._held.append(event)
        if isinstance(event, ResponseEndOfMessage):
            yield from self._judge(is_whole=True)
        elif sum(len(one.data) for one in self._held if isinstance(one, ResponseData)) >= BODY_START:
            yield from self._judge(is_whole=False)

    def _judge(self, *, is_whole: bool, error: ResponseProtocolError | None = None) -> CommandGenerator[None]:
        """Give the client what was held, or send the call to its own host."""
        self._gateways.settled(self.stream_id)
        held, self._held, attempt, self._attempt = self._held, [], self._attempt, None
        assert attempt is not None
        head: ResponseHeaders = held[0]
        body = b"".join(one.data for one in held if isinstance(one, ResponseData))
        if attempt.refused(head.response, body):
            if not is_whole:
                yield from self._give_up_gateway(is_open=error is None)
            yield from self._send_again()
            return
        self.server_state = self.state_wait_for_response_headers
        for event in held:
            yield from self.server_state(event)
        if error is not None:
            yield from self.handle_protocol_error(error)

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> CommandGenerator[None]:
        """As mitmproxy's, but for a gateway that has broken off or says nothing."""
        attempt = self._attempt
        if attempt is None or not isinstance(event, ResponseProtocolError):
            if isinstance(event, _TimeIsUp):
                return  # the answer came meanwhile
            yield from super().handle_protocol_error(event)
            return
        is_late = isinstance(event, _TimeIsUp)
        if self.server_state == self.state_hold_reply:
            yield from self._judge(is_whole=False, error=None if is_late else event)
        elif attempt.unanswered(event.message):
            self._attempt = None
            yield from self._give_up_gateway(is_open=is_late)
            yield from self._send_again()
        elif not is_late:
            self._attempt = None
            self._gateways.settled(self.stream_id)
            yield from super().handle_protocol_error(event)

    def _give_up_gateway(self, *, is_open: bool) -> CommandGenerator[None]:
        """Cancel the call at its gateway. `is_open`: the gateway may still be about to answer."""
        self._gateways.settled(self.stream_id)
        if is_open:
            cancelled = RequestProtocolError(self.stream_id, "the gateway failed", ErrorCode.CANCEL)
            yield SendHttp(cancelled, self.context.server)
        self._gateways.mute(self.context.server, self.stream_id)

    def _send_again(self) -> CommandGenerator[None]:
        """Send the request, as it is now, to its own host. As in mitmproxy's `state_consume_request_body`."""
        self.server_state = self.state_wait_for_response_headers
        if not (yield from super().make_server_connection()):
            return
        request, server = self.flow.request, self.context.server
        content, trailers = request.raw_content, request.trailers
        yield SendHttp(RequestHeaders(self.stream_id, request, not (content or trailers)), server)
        if content:
            yield SendHttp(RequestData(self.stream_id, content), server)
        if trailers:
            yield SendHttp(RequestTrailers(self.stream_id, trailers), server)
        yield SendHttp(RequestEndOfMessage(self.stream_id), server)
