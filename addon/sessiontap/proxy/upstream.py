"""How a call will travel to its server, told from mitmproxy's flow before the connection is open.

By default connections are opened lazily, after the request's hooks. What mitmproxy will then do is decided already, and
said here in the same words as in its `HttpLayer.get_connection` and `TlsConfig.tls_start_server`.
"""

from __future__ import annotations

from mitmproxy import http, tls
from mitmproxy.connection import Client
from mitmproxy.net.tls import Verify
from mitmproxy.proxy.mode_specs import RegularMode, UpstreamMode

from sessiontap.trust import Upstream


def upstream_of(flow: http.HTTPFlow, *, for_proxy: bool, verifies: bool) -> Upstream:
    """The way of a flow whose request has not been forwarded yet. `for_proxy`: see `is_for_the_proxy`; `verifies`:
    certificates of servers are verified."""
    request, client, server = flow.request, flow.client_conn, flow.server_conn
    name = request.host
    # SNI counts if the destination was known before the request was. That of a client which speaks TLS to the proxy
    # itself does not: it names the proxy.
    if not for_proxy and server.address is not None and server.address[:2] == (request.host, request.port):
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


def is_for_the_proxy(client: Client, *, in_tunnel: bool) -> bool:
    """True if a client's requests are addressed to the proxy itself: in a tunnel, or if the mode fixes the destination,
    they are the server's, with all their headers."""
    return not in_tunnel and isinstance(client.proxy_mode, RegularMode | UpstreamMode)


def is_verified(data: tls.TlsData) -> bool:
    """True if TLS with a server was established with its certificate verified."""
    return data.ssl_conn is not None and bool(data.ssl_conn.get_verify_mode() & Verify.VERIFY_PEER.value)
