"""The addon of a proxy whose programs get recorded replies: every request goes to the replay's server instead.

`SESSIONTAP_REPLAY` says where that server is (replay_link.py). Here

- all TLS is decrypted, and HTTP inside and outside of it is sent to that server, which knows the answers;
- what is no HTTP is closed, and told;
- no other connection is opened: `server_connect` refuses it, whoever asked for it, so no name is looked up either.

If requests without an answer may go on to their own servers (`live`), the server is asked first. Such a request is then
a call as any other, recorded by the hooks that this class inherits, and its server's address is let through.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mitmproxy import connection, ctx, http, tls
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer, server_hooks
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers import ClientTLSLayer, modes
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.tls import HTTP_ALPNS
from mitmproxy.proxy.mode_servers import ServerInstance
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode, UpstreamMode

from sessiontap import private
from sessiontap.proxy import flows, own_address, redirected, state_file
from sessiontap.proxy.connections import Connection, destinations
from sessiontap.proxy.first_bytes import kind_of
from sessiontap.proxy.layers import Http, HttpSettings, Undecided
from sessiontap.proxy.requirements import exit_with_error
from sessiontap.proxy.service import prepare_home
from sessiontap.proxy.settings import MITMPROXY_DEFAULTS, only_prints
from sessiontap.proxy.tap import Tap
from sessiontap.proxy.upstream import is_for_the_proxy
from sessiontap.replay_link import HEADER, HOST, UNANSWERED, ReplayAddress, ReplayHeader, read_trailers
from sessiontap.units import plural

logger = logging.getLogger("sessiontap")

ASKED_WITHIN = 60.0
"""Seconds for the server to say whether a request has an answer."""
REFUSED = "this is a replay, and nothing but its recording is reached"


class ReplayTap(Tap):
    """Our addon in a replay. Hooks that are not here are those of any proxy, for requests that go on."""

    def __init__(self, address: ReplayAddress) -> None:
        super().__init__()
        self._server = address
        self._http_settings = HttpSettings(lambda host, port: True, lambda: False, self._attempt_of)
        self._live: set[str] = set()
        """The ids of flows that go on to their own servers."""
        self._opened: dict[str, set[tuple[str, int]]] = {}
        """The addresses that such flows of a client may connect to, by the client's id."""
        self._live_sockets: asyncio.Server | None = None
        """Takes WebSockets from the replay's server that go on live."""
        self._opening: asyncio.Task[None] | None = None
        self._state: Path | None = None

    # -- the addon's life ----------------------------------------------------------------------------------------------

    def configure(self, updated: set[str]) -> None:
        if self._server.live:
            super().configure(updated)
        elif not only_prints():
            prepare_home()
            if any(ProxyMode.parse(one).type_name == "dns" for one in ctx.options.mode):
                exit_with_error("a replay looks no names up, so it cannot serve --mode dns. Leave it out")
        for name, value in {**MITMPROXY_DEFAULTS, "upstream_cert": False}.items():
            if name in ctx.options and not ctx.options.has_changed(name):
                ctx.options.update(**{name: value})

    def running(self) -> None:
        if self._server.live:
            super().running()
            self._opening = asyncio.get_running_loop().create_task(self._take_live_sockets())
            return
        with self.faults.guard("start"):
            self.service.connections.warm_up()
            try:
                self._state = state_file.write(
                    {
                        "listeners": self.service.listeners(),
                        "confdir": os.path.abspath(os.path.expanduser(ctx.options.confdir)),
                        "trace": ctx.options.session_trace or str(private.home() / "trace"),
                        "rules": None,
                        "token": self.service.token,
                    }
                )
            except OSError as error:
                logger.warning(state_file.not_written(error))

    def done(self) -> None:
        if self._live_sockets is not None:
            self._live_sockets.close()
        if self._server.live:
            super().done()
        elif self._state is not None:
            state_file.remove(self._state)

    async def _take_live_sockets(self) -> None:
        """Listen for WebSockets that go on live. They are a client's connections as any other, in the proxy's mode if
        that has a proxy behind it."""
        with self.faults.guard("start"):
            modes = map(ProxyMode.parse, ctx.options.mode)
            mode = next((one for one in modes if isinstance(one, UpstreamMode)), ProxyMode.parse("regular"))
            servers: Any = ctx.master.addons.get("proxyserver")
            made: ServerInstance[Any] = ServerInstance.make(mode, servers)
            self._live_sockets = await asyncio.start_server(made.handle_stream, HOST, 0)

    # -- connections ---------------------------------------------------------------------------------------------------

    async def client_connected(self, client: connection.Client) -> None:
        if self._server.live:
            await self.service.current_rules()
        with self.faults.guard("caller look-up"):
            await self._connection(client)

    async def _connection(self, client: connection.Client) -> Connection:
        if self._server.live:
            return await super()._connection(client)
        connections = self.service.connections
        known = connections.open.get(client.id)
        if known is None:
            ends = flows.address_of(client.peername), flows.address_of(client.sockname)
            known = await connections.opened(client.id, *ends, frozenset())
        return known

    async def client_disconnected(self, client: connection.Client) -> None:
        self._opened.pop(client.id, None)
        self.service.connections.closed(client.id)

    def http_connected(self, flow: http.HTTPFlow) -> None:
        known = self.service.connections.open.get(flow.client_conn.id)
        if known is not None:
            known.in_tunnel = True

    async def next_layer(self, data: layer.NextLayer) -> None:
        if data.layer is not None:
            return
        context, mode = data.context, data.context.layers[0]
        begun = data.data_client()
        if redirected.begins(data):
            data.layer = redirected.RedirectedLayer(context, self._proxy_http)
        elif context.client.transport_protocol != "tcp":
            data.layer = self._closed(context)
        elif len(context.layers) == 1 and isinstance(mode, modes.HttpProxy | modes.HttpUpstreamProxy):
            data.layer = _in_tls(context, self._proxy_http) if begun.startswith(b"\x16") else self._proxy_http(context)
        else:
            data.layer = self._for_server(context, data, begun)

    def _for_server(self, context: Context, data: layer.NextLayer, begun: bytes) -> layer.Layer | None:
        """Return the layer for what a client says to a server."""
        is_decrypted = isinstance(context.layers[-1], ClientTLSLayer)
        if is_decrypted and context.client.alpn in HTTP_ALPNS:
            return self._http(context)
        kind = kind_of(begun)
        if isinstance(context.client.proxy_mode, ReverseMode):
            context.server.tls = context.client.proxy_mode.scheme == "https"
        if kind in ("http", "http2"):
            if kind == "http2":
                context.client.alpn = b"h2"  # with prior knowledge
            return self._http(context)
        if kind == "tls" and not is_decrypted:
            context.server.tls = True  # so that the request's scheme is known without a layer for its server
            return ClientTLSLayer(context)
        if kind == "unclear" and not (isinstance(data, Undecided) and data.is_final):
            return Undecided(context, len(begun))
        return self._closed(context)

    def _proxy_http(self, context: Context) -> Http:
        is_upstream = isinstance(context.layers[0], modes.HttpUpstreamProxy)
        return self._http(context, HTTPMode.upstream if is_upstream else HTTPMode.regular)

    def _http(self, context: Context, mode: HTTPMode = HTTPMode.transparent) -> Http:
        return Http(context, mode, self._http_settings)

    def _closed(self, context: Context) -> layer.Layer:
        address = context.server.address
        where = f"{address[0]}:{address[1]}" if address else "an unknown server"
        logger.warning(f"sessiontap: a connection to {where} was closed: it is not HTTP, and a replay has nothing else")
        return _Closed(context)

    async def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        known = self.service.connections.open.get(data.context.client.id)
        if known is not None:
            known.sni = data.client_hello.sni
        if b"http/1.1" in data.client_hello.alpn_protocols:
            # Between an HTTP/2 client and an HTTP/1.1 server mitmproxy stalls at five streams.
            data.context.client.alpn = b"http/1.1"

    def tls_failed_client(self, data: tls.TlsData) -> None:
        known = self.service.connections.open.get(data.conn.id)
        who = known.caller.name if known is not None and known.caller is not None else "a client"
        why = data.conn.error or "no reason given"
        logger.warning(f"sessiontap: {who} refused the proxy's certificate for {data.conn.sni}: {why}")

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Refuse every server but the replay's, and those of requests that go on. mitmproxy looks no name up before."""
        data.server.error = REFUSED  # after a fault as well
        address, via = data.server.address, data.server.via
        allowed = {(HOST, self._server.port), *self._opened.get(data.client.id, ())}
        asked = {one[:2] for one in (address, via[1] if via is not None else None) if one is not None}
        if asked and asked <= allowed:
            data.server.error = None
        else:
            logger.warning(f"sessiontap: a connection to {address} was refused: {REFUSED}")

    # -- requests ------------------------------------------------------------------------------------------------------

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Nothing is decided before the body has come. A WebSocket of the replay's server has no user's password: the
        token of the replay stands for it, so that what `--proxyauth` answered is taken back."""
        if flow.response is not None and flow.response.status_code == 407 and self._live_socket(flow) is not None:
            flow.response = None

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        if flow.request.host == own_address.HOST:
            return self._answer_for_the_proxy(flow)
        self._refuse_page(flow)
        if flow.response is not None:
            return None
        asked = self._live_socket(flow)
        flow.request.headers.pop(HEADER, None)
        if asked is not None:
            return self._go_on_with_socket(flow, asked)
        return self._replay(flow)

    async def _answer_for_the_proxy(self, flow: http.HTTPFlow) -> None:
        if self._server.live:
            await self._answer(flow)
        else:
            flow.response = http.Response.make(404)

    async def _replay(self, flow: http.HTTPFlow) -> None:
        """Send a request to the replay's server, or let it go on. After a fault of ours it does neither."""
        try:
            known = await self._connection(flow.client_conn)
            asked = self._header(flow, known)
            if self._server.live:
                answer = await self._ask(flow, asked)
                if isinstance(answer, http.Response):
                    flow.response = answer
                    return
                if answer is None:
                    await self._go_on(flow)
                    return
                asked = replace(asked, answer=answer)
            _reroute(flow, asked, self._server.port)
        except Exception as error:
            logger.error(f"sessiontap: a request to {flow.request.host} failed in the replay: {error!r}")
            text = f"The replay failed: {str(error) or type(error).__name__}. Nothing was sent.\n"
            flow.response = http.Response.make(502, text, {"content-type": "text/plain", "x-should-retry": "false"})

    def _header(self, flow: http.HTTPFlow, known: Connection) -> ReplayHeader:
        """Return where a request was going; its host by the name by which a call is recorded."""
        request = flow.request
        for_proxy = is_for_the_proxy(flow.client_conn, in_tunnel=known.in_tunnel)
        if for_proxy:
            known.proxy_user = flows.proxy_user_of(flow, for_proxy) or known.proxy_user
            request.headers.pop("proxy-authorization", None)
        sni = None if for_proxy else flow.client_conn.sni
        host = destinations(request.host, sni or request.host_header)[0]
        caller = known.caller.id if known.caller is not None else None
        live_port = self._live_sockets.sockets[0].getsockname()[1] if self._live_sockets is not None else None
        return ReplayHeader(
            self._server.token, request.scheme, host, request.port, caller, client=known.id, live_port=live_port
        )

    async def _ask(self, flow: http.HTTPFlow, asked: ReplayHeader) -> int | http.Response | None:
        """Return the number of a request's answer, None if the request is to go on, or the error of a miss."""
        question = flow.request.copy()
        question.http_version = "HTTP/1.1"
        question.authority = ""
        for name in ("connection", "transfer-encoding", "content-length", "expect", HEADER):
            question.headers.pop(name, None)
        question.headers["connection"] = "close"
        question.headers["content-length"] = str(len(question.raw_content or b""))
        question.headers[HEADER] = str(replace(asked, asks=True))
        async with asyncio.timeout(ASKED_WITHIN):
            reader, writer = await asyncio.open_connection(HOST, self._server.port)
            try:
                writer.write(http1.assemble_request(question))
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        reply = http1.read_response_head(head.split(b"\r\n"))
        if reply.status_code == 200:
            number: int | None = json.loads(body)["answer"]
            return number
        reply.headers["content-length"] = str(len(body))
        reply.raw_content = body
        return reply

    def _live_socket(self, flow: http.HTTPFlow) -> ReplayHeader | None:
        """Return the words of the replay's server about a WebSocket that goes on live; None for another request."""
        told = flow.request.headers.get(HEADER)
        try:
            asked = ReplayHeader.of(told) if told is not None else None
        except ValueError:
            return None
        if asked is None or not hmac.compare_digest(asked.token.encode(), self._server.token.encode()):
            return None
        return asked if self._server.live and asked.live_from is not None else None

    async def _go_on_with_socket(self, flow: http.HTTPFlow, asked: ReplayHeader) -> None:
        """Open a WebSocket to its own server, in the name of the program whose frames come on it."""
        known = self.service.connections.open.get(asked.client or "")
        if known is None:
            flow.kill()
            return
        self.service.connections.open[flow.client_conn.id] = known
        request, host = flow.request, flow.request.host_header
        request.scheme, request.host, request.port = asked.scheme, asked.host, asked.port
        if host is not None:
            request.host_header = host
        retold = f"; its server was told what was said before, in {plural(asked.retold, 'frame')}"
        self.notices.note(
            "replay",
            f"a WebSocket went on live from the client's frame {asked.live_from}{retold if asked.retold else ''}",
            host=asked.host,
            path=request.path.partition("?")[0],
            frame=asked.live_from,
            retold=asked.retold,
        )
        await self._go_on(flow)

    async def _go_on(self, flow: http.HTTPFlow) -> None:
        """Let a request go on to its own server, as a call of any proxy's."""
        self._live.add(flow.id)
        opened = self._opened.setdefault(flow.client_conn.id, set())
        opened.add((flow.request.host, flow.request.port))  # also if a gateway fails
        headers = super().requestheaders(flow)
        if headers is not None:
            await headers
        context = self.in_flight.get(flow.id)
        if context is not None and context.request_tap is not None:
            for data in (flow.request.raw_content or b"", b""):  # it is here already
                context.request_tap(data)
            flow.request.stream = False
        rest = super().request(flow)
        if rest is not None:
            await rest
        via = flow.server_conn.via
        opened.add((flow.request.host, flow.request.port))
        if via is not None:
            opened.add(via[1][:2])

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.id in self._live:
            super().responseheaders(flow)
            return
        told = flow.response.headers.pop(HEADER, None) if flow.response is not None else None
        if told == UNANSWERED:
            flow.kill()
        elif flow.response is not None and flow.response.status_code != 101 and flow.response.raw_content is None:
            flow.response.stream = True
            if told is not None and flow.request.is_http2:  # mitmproxy sends none to a client of HTTP/1
                trailers = [(name.encode(), value.encode("latin-1")) for name, value in read_trailers(told)]
                flow.response.trailers = http.Headers(trailers)

    def response(self, flow: http.HTTPFlow) -> None:
        if flow.id in self._live:
            super().response(flow)
            if flow.websocket is None:
                self._live.discard(flow.id)

    def error(self, flow: http.HTTPFlow) -> None:
        if flow.id in self._live:
            super().error(flow)
            self._live.discard(flow.id)
        elif flow.response is None and flow.error is not None and flow.server_conn.timestamp_tcp_setup is None:
            logger.warning(f"sessiontap: the replay's server does not answer, so a call failed: {flow.error.msg}")

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        if flow.id in self._live:
            super().websocket_message(flow)
        elif flow.websocket is not None:
            del flow.websocket.messages[:-1]  # mitmproxy keeps them all

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        super().websocket_end(flow)
        self._live.discard(flow.id)


class _Closed(layer.Layer):
    """Closes the client's connection."""

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


def _in_tls(context: Context, inner: Any) -> layer.Layer:
    """TLS with the proxy itself, an `https://` one."""
    outer = ClientTLSLayer(context)
    outer.child_layer = inner(context)
    return outer


def _reroute(flow: http.HTTPFlow, asked: ReplayHeader, port: int) -> None:
    """Send a request to the replay's server, with the Host header that it has."""
    request, host = flow.request, flow.request.host_header
    if flow.server_conn.via is not None:
        flow.server_conn = connection.Server(address=flow.server_conn.address)  # not through another proxy
    request.scheme, request.host, request.port = "http", HOST, port
    if host is not None:
        request.host_header = host
    is_framed = "content-length" in request.headers or "transfer-encoding" in request.headers
    if request.raw_content and not is_framed:
        request.headers["content-length"] = str(len(request.raw_content))  # HTTP/2 needs none
    request.headers[HEADER] = str(asked)
