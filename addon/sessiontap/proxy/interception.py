"""Choose the connections that the proxy looks into, by mitmproxy's hooks for a connection's next layer and for its TLS.

A connection's protocol is told by its first bytes (first_bytes.py). TLS is decrypted if the host concerns us: it is in
the table of LLM hosts, or a rule names it. Plain HTTP is read, whatever the host: an LLM call is recognised by its path
and body. All else passes as raw bytes, and is counted (passed.py).

If mitmproxy is told by an option of its own which hosts to leave alone (`ignore_hosts`, `allow_hosts`, `tcp_hosts`), it
chooses the layers itself. So it does for TLS in front of a reverse proxy. Its HTTP layer is then replaced by ours, or
calls whose gateway fails would be lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from mitmproxy import ctx, http, tls
from mitmproxy.connection import Client
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import ClientTLSLayer, ServerTLSLayer, TCPLayer, modes
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.layers.tls import HTTP_ALPNS, parse_client_hello
from mitmproxy.proxy.mode_specs import RegularMode, ReverseMode, UpstreamMode
from mitmproxy.tls import ClientHello

from sessiontap.bounded_dict import BoundedDict
from sessiontap.llm.hosts import is_call, may_be_call, provider_of
from sessiontap.llm.large_bodies import Room
from sessiontap.proxy import bodies, redirected
from sessiontap.proxy.connections import Connection, Destination, destinations, is_address
from sessiontap.proxy.distrust import Distrust, Verdict, failure_of, fingerprint
from sessiontap.proxy.first_bytes import kind_of
from sessiontap.proxy.gateway_stream import GatewayAttempt
from sessiontap.proxy.layers import ClientTls, Http, HttpSettings, Raw, ServerTls, TlsToOpen, Undecided
from sessiontap.proxy.passed import Passage, Passed, Why
from sessiontap.proxy.plan import facts_of
from sessiontap.proxy.service import Service

SILENCES = (0.2, 1.0, 3.0)
"""Seconds after which a client that has said nothing is taken to wait for its server. It may still be naming it."""
MOST_PASSING = 4096
LONGEST_CONNECT = 60.0
"""Seconds that a server may take to be connected for a client that has gone."""
BETWEEN = 0.02
_LEAVE_ALONE = ("ignore_hosts", "allow_hosts", "tcp_hosts")
"""mitmproxy's options that name hosts to leave alone."""


class Interception:
    """For the proxy's loop alone."""

    def __init__(
        self, service: Service, attempt_of: Callable[[http.HTTPFlow], GatewayAttempt | None] = lambda flow: None
    ) -> None:
        """`attempt_of`: see `GatewayHttp`."""
        self._service = service
        self._notices = service.notices
        self.distrust = Distrust()
        self.passed = Passed()
        self._passing: BoundedDict[str, Passage] = BoundedDict(MOST_PASSING)
        """Requests whose replies have not come, by the ids of their flows."""
        self._http_settings = HttpSettings(self._may_concern, lambda: service.limits_bodies, attempt_of)
        self._layers: dict[str, list[Http]] = {}
        """Of each client's connection, by its id."""
        self._waking: set[asyncio.Future[None]] = set()

    # -- layers --------------------------------------------------------------------------------------------------------

    async def next_layer(self, data: layer.NextLayer) -> layer.Layer | None:
        """Return the layer for what a client has begun; None leaves it to mitmproxy."""
        if data.context.client.transport_protocol != "tcp":
            return None
        return await self._our_choice(data) or self._choice_of_mitmproxy(data)

    async def _our_choice(self, data: layer.NextLayer) -> layer.Layer | None:
        """Return None if mitmproxy is to choose."""
        context, mode = data.context, data.context.layers[0]
        known = self._service.connections.open.get(context.client.id)
        if redirected.begins(data):
            if known is not None:  # when it connected, its redirector held the socket, too
                await self._service.connections.look_up(known, known.env_names)
            return redirected.RedirectedLayer(context, self._proxy_http)
        if known is not None and context.server.address is not None and data.data_client():
            known.has_spoken = True
        if _mitmproxy_chooses():
            return None
        if len(context.layers) == 1 and isinstance(mode, modes.HttpProxy | modes.HttpUpstreamProxy):
            return self._for_proxy(context, data.data_client())
        if known is None or context.server.address is None:
            return None
        if len(context.layers) == 1 and isinstance(mode, modes.ReverseProxy):
            return self._for_fixed_server(context, data, known)
        return await self._for_server(context, data, known)

    def _choice_of_mitmproxy(self, data: layer.NextLayer) -> layer.Layer | None:
        """Return the layer that mitmproxy chooses, with our HTTP layer for its own; None if it waits for more bytes."""
        next_layer: Any = ctx.master.addons.get("nextlayer")
        next_layer.next_layer(data)
        layers, chosen, data.layer = data.context.layers, data.layer, None
        innermost = layers[-1]
        if type(innermost) is not HttpLayer:
            return chosen
        layers.pop()
        ours = self._http(data.context, innermost.mode)
        if chosen is innermost:
            return ours
        outer: Any = layers[-2]
        outer.child_layer = ours
        return chosen

    def _for_proxy(self, context: Context, begun: bytes) -> layer.Layer:
        """Return the layer for a request to the proxy itself."""
        outer = ClientTLSLayer(context) if begun.startswith(b"\x16") else None
        inner = self._proxy_http(context)
        if outer is None:
            return inner
        outer.child_layer = inner
        return outer

    def _for_fixed_server(self, context: Context, data: layer.NextLayer, known: Connection) -> layer.Layer | None:
        """A client of a reverse proxy, whose server is given by the mode."""
        mode = context.client.proxy_mode
        if not isinstance(mode, ReverseMode) or mode.scheme not in ("http", "https"):
            return None
        begun = data.data_client()
        kind = kind_of(begun, data.data_server())
        if kind == "tls":
            return None
        if kind == "unclear" and not _is_final(data):
            return Undecided(context, len(begun), opens=not begun)
        outer = ServerTLSLayer(context) if mode.scheme == "https" else None
        if kind == "http":
            inner: layer.Layer = self._http(context)
        else:
            inner = self._raw(context, known, "http2" if kind == "http2" else "not_http")
        if outer is None:
            return inner
        outer.child_layer = inner
        return outer

    async def _for_server(self, context: Context, data: layer.NextLayer, known: Connection) -> layer.Layer | None:
        """Return the layer for the bytes of a client to a server: in a tunnel, or decrypted."""
        begun = data.data_client()
        is_decrypted = isinstance(context.layers[-1], ClientTLSLayer)
        if is_decrypted and begun:
            self.accepted(known)
        if is_decrypted and context.client.alpn in HTTP_ALPNS:
            return self._http(context)
        kind = kind_of(begun, data.data_server())
        if kind == "http":
            return self._http(context)
        if kind == "tls" and not is_decrypted:
            try:
                hello = parse_client_hello(begun)
            except ValueError:
                return self._raw(context, known, "not_http")
            if hello is not None:
                why = await self.why_passed(context, known, hello)
                known.is_decided = why is None
                if why is not None:
                    return self._raw(context, known, why)
                return _tls(context)
            kind = "unclear"
        if kind == "tls":
            return None
        if kind == "unclear" and not _is_final(data):
            host, port = context.server.address or ("", 0)
            is_ours = self._service.destinations.find((host.lower(),), port) is not None
            return Undecided(context, len(begun), opens=not begun and not is_ours)
        return self._raw(context, known, "http2" if kind == "http2" else "not_http")

    def _proxy_http(self, context: Context) -> Http:
        is_upstream = isinstance(context.layers[0], modes.HttpUpstreamProxy)
        return self._http(context, HTTPMode.upstream if is_upstream else HTTPMode.regular)

    def _http(self, context: Context, mode: HTTPMode = HTTPMode.transparent) -> Http:
        made = Http(context, mode, self._http_settings)
        self._layers.setdefault(context.client.id, []).append(made)
        return made

    def _raw(self, context: Context, known: Connection, why: Why) -> TCPLayer:
        is_shown = bool(ctx.options.show_ignored_hosts)  # by mitmproxy's user interface
        passage = self._passage(context, known, why, counted=not is_shown)
        return TCPLayer(context) if is_shown else Raw(context, passage)

    def _passage(self, context: Context, known: Connection, why: Why, *, counted: bool) -> Passage:
        address = context.server.address
        assert address is not None
        host = known.tls_host or (known.sni if known.sni and is_address(address[0]) else address[0])
        return self.passed.connection(known, host, address[1], why, counted=counted)

    def _may_concern(self, host: str, port: int) -> bool:
        """Return True if calls to a host may concern us: by its name, or it is an address, which TLS may name yet."""
        is_ours = self._service.destinations.find((host.lower(),), port) is not None
        return is_ours or is_address(host) or _mitmproxy_chooses()

    # -- clients that have gone ----------------------------------------------------------------------------------------

    async def when_answered(self, client: Client) -> None:
        """Wait until what a client sent completely before it went has reached its server, and somewhat for the reply.

        mitmproxy closes the client's servers as soon as this returns.
        """
        layers, until = self._layers.pop(client.id, ()), time.monotonic() + LONGEST_CONNECT
        while not ctx.master.should_exit.is_set():
            now = time.monotonic()
            if now > until or not any(one.is_awaited(now) for one in layers):
                return
            await asyncio.sleep(BETWEEN)

    # -- plain HTTP ----------------------------------------------------------------------------------------------------

    def likely_destination(self, request: http.Request, names: tuple[str, ...]) -> Destination | None:
        """Return the destination of a request to a host that nothing names, if it may be an LLM call."""
        headers = request.headers
        is_plain = request.scheme == "http" and not request.stream and not bodies.upload_streams(
            headers.get("content-type", ""), bodies.content_length(headers.get("content-length"))
        )
        if is_plain and may_be_call(request.method, names[0], request.path, headers.get("content-type")):
            return Destination(names[0], provider_of(names[0], request.port))
        return None

    async def is_llm_call(self, request: http.Request, host: str) -> bool:
        """Return whether such a request is one, now that its body has come."""
        wire, encoding = request.raw_content or b"", request.headers.get("content-encoding")

        def look(body: bytes, room: Room) -> bool:
            return is_call(request.method, host, request.path, body, room)

        return await self._service.calls.look(wire, encoding, look)

    def lets_pass(self, flow: http.HTTPFlow, known: Connection, host: str, why: Why, *, streams: bool) -> None:
        """Take in a request that passes unrecorded, and count its body. `streams`: it is yet to come."""
        request = flow.request
        passage = self.passed.request(known, host, request.port, why)
        if not streams:
            passage.count_sent(request.raw_content or b"")
        elif not request.stream:
            request.stream = passage.count_sent
        self._passing.put(flow.id, passage)

    def reply_passes(self, flow: http.HTTPFlow) -> None:
        """Count the reply's body while it streams."""
        passage, reply = self._passing.pop(flow.id, None), flow.response
        if reply is not None and not reply.stream:
            reply.stream = passage.count_received if passage is not None else True

    # -- servers that speak first --------------------------------------------------------------------------------------

    def await_greeting(self, client: Client, *, in_tunnel: bool) -> None:
        """Connect a client's server if the client is silent: it may wait for a greeting.

        mitmproxy waits for the client's first bytes if connections are opened lazily. It is woken by no bytes at all.
        """
        known = self._service.connections.open.get(client.id)
        waits_for_connect = not in_tunnel and isinstance(client.proxy_mode, RegularMode | UpstreamMode)
        if known is None or waits_for_connect or client.transport_protocol != "tcp":
            return
        loop = asyncio.get_running_loop()
        for seconds in SILENCES:
            loop.call_later(seconds, self._wake, client, known)

    def _wake(self, client: Client, known: Connection) -> None:
        if known.has_spoken or self._service.connections.open.get(client.id) is not known:
            return
        proxyserver: Any = ctx.master.addons.get("proxyserver")
        handler = proxyserver.connections.get(client.id)
        if handler is not None:
            task = asyncio.ensure_future(handler.server_event(events.DataReceived(client, b"")))
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)

    # -- TLS -----------------------------------------------------------------------------------------------------------

    async def tls_clienthello(self, data: tls.ClientHelloData) -> bool:
        """Return whether a connection passes undecrypted, and what the client may speak if not."""
        context, hello = data.context, data.client_hello
        known = self._service.connections.open.get(context.client.id)
        if known is None:
            is_unknown = self._service.destinations.find(_names(context, hello), _port(context)) is None
            return is_unknown and not _ends_here(context.client, "unknown_host")
        if not known.is_decided:
            why = await self.why_passed(context, known, hello)
            if why is not None and not _ends_here(context.client, why):
                self._passage(context, known, why, counted=False)
                return True
        if known.may_reroute and b"http/1.1" in hello.alpn_protocols:
            # Between an HTTP/2 client and an HTTP/1.1 gateway mitmproxy stalls at five streams.
            context.client.alpn = b"http/1.1"
        return False

    async def why_passed(self, context: Context, known: Connection, hello: ClientHello) -> Why | None:
        """Return why TLS is not decrypted; None if it is."""
        known.sni = hello.sni
        destination = self._service.destinations.find(_names(context, hello), _port(context))
        if destination is None:
            return "unknown_host"
        known.tls_host, known.tls_port = destination.host, _port(context)
        rules = self._service.rules
        if known.look is not None and rules.protects_by_process:
            await self._service.connections.settled(known)
        if known.caller is None:
            kinds = (kind for kind, _ in hello.extensions)
            known.hello = fingerprint(hello.cipher_suites, kinds, hello.alpn_protocols)
        known.program = known.who
        if self.distrust.passes(known.program, destination.host):
            self._notices.not_captured(known, destination.host, "it did not trust the proxy's certificate before")
            return "distrust"
        view = rules.connection(facts_of(known, destination))
        self._notices.not_covered(known, protects_by_process=rules.protects_by_process)
        if view.protected is not None:
            self._notices.protected(known, destination.host, view.protected)
        if view.ignore:
            return "ignore"
        known.may_reroute = view.may_reroute
        known.tls_began = self.distrust.begins(known.program, destination.host)
        return None

    def refused(self, known: Connection, error: str | None) -> None:
        """A TLS handshake with a client failed."""
        if known.tls_host is not None:
            failure = failure_of(error)
            verdict = self.distrust.failed(known.program, known.tls_host, failure)
            self._tell(known, verdict, error or "no reason given", counts=failure == "certificate")

    def accepted(self, known: Connection) -> None:
        """A client goes on in its TLS: it trusts."""
        if known.tls_host is not None and not known.is_accepted:
            known.is_accepted = True
            self.distrust.trusts(known.program, known.tls_host)

    def ended(self, client: Client, known: Connection) -> None:
        """A client's connection has ended, perhaps without a word behind its handshake."""
        if known.tls_host is None or known.tls_began is None or ctx.master.should_exit.is_set():
            return
        stood = client.timestamp_tls_setup
        established = time.time() - stood if stood is not None and not known.is_accepted else None
        verdict = self.distrust.ends(known.program, known.tls_host, known.tls_began, established)
        self._tell(known, verdict, "it closed the connection behind the handshake", counts=verdict != "nothing")

    def _tell(self, known: Connection, verdict: Verdict, reason: str, *, counts: bool) -> None:
        assert known.tls_host is not None
        if counts:
            self.passed.connection(known, known.tls_host, known.tls_port, "refused")
        if verdict != "nothing":
            self._notices.distrusted(known, known.tls_host, verdict, reason)


def _mitmproxy_chooses() -> bool:
    return any(getattr(ctx.options, name) for name in _LEAVE_ALONE)


def _tls(context: Context) -> layer.Layer:
    """TLS in a tunnel: the client's in front of the server's."""
    server = ServerTls(context)
    server.child_layer = TlsToOpen(context) if context.server.connected else ClientTls(context)
    return server


def _names(context: Context, hello: ClientHello) -> tuple[str, ...]:
    address = context.server.address
    return destinations(address[0] if address else "", hello.sni)


def _ends_here(client: Client, why: Why) -> bool:
    """Return True if a connection ends at the proxy all the same: its listener stands for one server, and its clients
    expect the proxy's certificate. Of QUIC mitmproxy cannot pass on the packets there."""
    return isinstance(client.proxy_mode, ReverseMode) and (
        why == "unknown_host" or client.transport_protocol == "udp"
    )


def _port(context: Context) -> int:
    address = context.server.address
    return address[1] if address else 443


def _is_final(data: layer.NextLayer) -> bool:
    return isinstance(data, Undecided) and data.is_final
