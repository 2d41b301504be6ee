"""How a call ended, from what mitmproxy says of it."""

from __future__ import annotations

from typing import Any

from mitmproxy import ctx, http
from mitmproxy.connection import ConnectionState

from sessiontap.recording.finished import Outcome


def of_response(status: int) -> Outcome:
    """The outcome of a response that came whole; an error inside a 200 stream is the reader's to find."""
    return "http_error" if status >= 400 else "ok"


def of_error(flow: http.HTTPFlow) -> Outcome:
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


def _reset_by_client(flow: http.HTTPFlow, message: str) -> bool:
    """Which side reset the stream: the client's if its own HTTP/2 connection has let go of it.

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
