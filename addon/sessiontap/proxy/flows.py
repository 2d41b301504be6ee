"""mitmproxy's messages in plain values, a plan applied to them, and the way a flow ended.

The hooks of `tap.py` call this; nothing is remembered here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mitmproxy import ctx, http
from mitmproxy.connection import Client, ConnectionState, Server

from sessiontap.exchange import Headers, Request
from sessiontap.gateways import Route
from sessiontap.headers import Edit, apply
from sessiontap.llm.refusal import Refusal
from sessiontap.proxy.bodies import BodyTap
from sessiontap.proxy.call_context import Plan
from sessiontap.proxy.connections import proxy_user
from sessiontap.recording.budget import Budget
from sessiontap.recording.finished import Outcome

# -- reading -----------------------------------------------------------------------------------------------------------


def headers_of(message: http.Message) -> Headers:
    """The header fields in plain values. A look-up there takes a tenth of one in mitmproxy's."""
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.headers.fields])


def request_of(request: http.Request, host: str, headers: Headers) -> Request:
    """The request as the app asked for it, without its body; `host` is the one that it is meant for."""
    return Request(request.method, host, request.path, headers, None, request.scheme, request.port)


def has_body(request: http.Request, headers: Headers) -> bool:
    """True if a body follows, or may: HTTP/2 need not say. If none does then, mitmproxy streams nothing."""
    length = headers.get("content-length")
    if length is not None:
        return length.strip() != "0"
    return "transfer-encoding" in headers or (request.is_http2 and request.method not in ("GET", "HEAD"))


def proxy_user_of(flow: http.HTTPFlow, for_proxy: bool) -> str | None:
    given = flow.metadata.get("proxyauth")  # mitmproxy's own option has read and removed the header
    if given:
        return str(given[0])
    return proxy_user(flow.request.headers.get("proxy-authorization")) if for_proxy else None


def json_response(value: Mapping[str, Any]) -> http.Response:
    """A reply of the proxy's own."""
    return http.Response.make(200, json.dumps(value).encode(), {"content-type": "application/json"})


def text_response(status: int, text: str) -> http.Response:
    """A reply of the proxy's own, for people."""
    return http.Response.make(status, text.encode(), {"content-type": "text/plain; charset=utf-8"})


def refusal_response(refusal: Refusal) -> http.Response:
    """The reply to a call that a limit refuses."""
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
    return http.Response.make(refusal.status, refusal.body, headers)


_Address = tuple[str, int] | tuple[str, int, int, int] | None


def address_of(address: _Address) -> tuple[str, int] | None:
    """Host and port of one end of a connection."""
    return (address[0], address[1]) if address else None


def host_of(address: _Address) -> str | None:
    """The host of one end of a connection."""
    return address[0] if address else None


# -- applying a plan ---------------------------------------------------------------------------------------------------


def tap_body(message: http.Message, budget: Budget) -> BodyTap:
    """Have a message's body copied while it streams; another addon's callable keeps its place."""
    inner = message.stream if callable(message.stream) else None
    message.stream = message.stream or True  # it streams, whatever comes of the copy
    message.stream = tap = BodyTap(inner, budget)
    return tap


def apply_plan(plan: Plan, request: http.Request) -> None:
    """Reroute the request and edit its headers; mitmproxy sets Host and :authority with the host."""
    edit_headers(request, plan.edits)  # first: a call that a gateway gets without its headers would fail there
    if isinstance(plan.gateway, Route):
        request.scheme, request.host, request.port = plan.gateway.scheme, plan.gateway.host, plan.gateway.port
        if ":" in plan.gateway.host and request.host_header:  # mitmproxy writes an IPv6 address without its brackets
            request.host_header = request.host_header.replace(plan.gateway.host, f"[{plan.gateway.host}]", 1)
        if plan.gateway.target is not None:
            request.path = plan.gateway.target


class OriginalRequest(NamedTuple):
    """A request's destination and header fields, before a plan was applied to it."""

    scheme: bytes
    host: str
    port: int
    authority: bytes
    path: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, request: http.Request) -> OriginalRequest:
        """Return those of a request as it is."""
        data = request.data
        return cls(data.scheme, data.host, data.port, data.authority, data.path, data.headers.fields)

    def restore(self, request: http.Request, applied: Plan) -> None:
        """Take a plan out of a request again. What others have changed in its header since stays."""
        data = request.data
        names = {edit.header.lower().encode("latin-1") for edit in applied.edits if edit.action in ("set", "remove")}
        names.add(b"host")  # mitmproxy sets it with the host
        now = [field for field in data.headers.fields if field[0].lower() not in names]
        if now == [field for field in self.fields if field[0].lower() not in names]:
            data.headers.fields = self.fields
        else:
            data.headers.fields = (*(one for one in self.fields if one[0].lower() in names), *now)
        data.scheme, data.host, data.port = self.scheme, self.host, self.port
        data.authority, data.path = self.authority, self.path


def edit_headers(message: http.Message, edits: Iterable[Edit]) -> None:
    """Edit a message's header fields in place; those that are not named keep their order, case and bytes."""
    edits = [one for one in edits if one.action in ("set", "remove")]
    if edits:
        fields = apply(
            edits, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.headers.fields]
        )
        if message.is_http2 or message.is_http3:  # or mitmproxy says of each that it is not
            fields = [(name.lower(), value) for name, value in fields]
        message.headers.fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)


# -- the end -----------------------------------------------------------------------------------------------------------


def outcome_of_response(status: int) -> Outcome:
    """The outcome of a response that came whole; an error inside a 200 stream is the reader's to find."""
    return "http_error" if status >= 400 else "ok"


def outcome_of_error(flow: http.HTTPFlow) -> Outcome:
    """The outcome of a flow that ended in mitmproxy's `error` hook."""
    if ctx.master.should_exit.is_set():  # it closes its connections, which looks like the client's doing
        return "proxy_stopped"
    message = flow.error.msg if flow.error else ""
    if message == "Client disconnected." or flow.client_conn.state is not ConnectionState.OPEN:
        return "client_gone"
    server = flow.server_conn
    if flow.response is None and server.timestamp_tcp_setup is None:
        return "upstream_unreachable"
    if flow.response is None and server.tls and server.timestamp_tls_setup is None and server.timestamp_tcp_setup:
        return "upstream_unreachable"  # connected, but TLS failed: a certificate that is not trusted
    if message.startswith("stream reset by client"):  # HTTP/2, and said of either side
        return "client_gone" if _reset_by_client(flow, message) else "upstream_gone"
    return "upstream_gone"


def cut_server(client: Client, server: Server) -> None:
    """End a connection with a server that was just made, before anything is sent on it."""
    proxyserver: Any = ctx.master.addons.get("proxyserver")
    proxyserver.connections[client.id].transports[server].writer.transport.abort()


def _reset_by_client(flow: http.HTTPFlow, message: str) -> bool:
    """Return True if the client reset the stream: its own HTTP/2 connection has let go of it.

    mitmproxy does not say (both sides' connections word it alike), so its layers are asked; if they are not as
    expected, CANCEL is taken for the client's: that is the code with which clients give up (RFC 9113, 7).
    """
    if flow.client_conn.alpn != b"h2":
        return False
    if flow.server_conn.alpn != b"h2":
        return True
    try:
        proxyserver: Any = ctx.master.addons.get("proxyserver")
        handler = proxyserver.connections[flow.client_conn.id]
        for layer in handler.layer.context.layers:
            streams = getattr(layer, "streams", None)
            if not isinstance(streams, dict) or not hasattr(layer, "connections"):
                continue
            for stream_id, stream in streams.items():
                if getattr(stream, "flow", None) is flow:
                    return stream_id not in layer.connections[flow.client_conn].streams
    except Exception:  # private structure of another version: fall back
        pass
    return "CANCEL" in message
