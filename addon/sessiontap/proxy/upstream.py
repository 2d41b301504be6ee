"""How a call will travel to its server, told from mitmproxy's flow before the connection is open.

By default connections are opened lazily, after the request's hooks. What mitmproxy will then do is decided already, and
said here in the same words as in its `HttpLayer.get_connection` and `TlsConfig.tls_start_server`.
"""

from __future__ import annotations

from mitmproxy import http, tls
from mitmproxy.net.tls import Verify

from sessiontap.trust import Upstream


def upstream_of(flow: http.HTTPFlow, *, verifies: bool) -> Upstream:
    """The way of a flow whose request has not been forwarded yet. `verifies`: certificates of servers are verified."""
    request, client, server = flow.request, flow.client_conn, flow.server_conn
    name = request.host
    if server.address is not None and server.address[:2] == (request.host, request.port):
        # The destination was known before the request was (a tunnel, or a mode that fixes it), so SNI counts. That of
        # a client that speaks TLS to the proxy itself does not: it names the proxy.
        name = server.sni or client.sni or request.host
    said = [request.authority, *request.headers.get_all("host")]
    return Upstream(
        scheme=request.scheme,
        address=request.host,
        port=request.port,
        certificate_name=name,
        verifies=verifies,
        via_proxy=server.via is not None,
        authorities=tuple(one for one in said if one),
    )


def is_for_the_proxy(flow: http.HTTPFlow) -> bool:
    """Whether a request is addressed to the proxy itself: in a tunnel, or where the mode fixes the destination, it is
    the server's, with all its headers."""
    return flow.server_conn.address is None


def is_verified(data: tls.TlsData) -> bool:
    """Whether TLS with a server was established with its certificate verified."""
    return data.ssl_conn is not None and bool(data.ssl_conn.get_verify_mode() & Verify.VERIFY_PEER.value)
