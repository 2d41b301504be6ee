"""The way of a call to its server: told before the connection is open, and through another proxy.

By default connections are opened lazily, after the request's hooks. What mitmproxy will then do is decided already, and
said here in the same words as in its `HttpLayer.get_connection` and `TlsConfig.tls_start_server`.

`exec` starts its proxy with `--mode upstream:URL` if a proxy was set before, such as a company's. User and password for
it come in a variable, since every user can read command lines.
"""

from __future__ import annotations

import base64
import ipaddress
import os

from mitmproxy import http, tls
from mitmproxy.connection import Client
from mitmproxy.net.tls import Verify
from mitmproxy.proxy.mode_specs import RegularMode, UpstreamMode

from sessiontap.trust import Upstream

AUTH = "SESSIONTAP_UPSTREAM_AUTH"
"""The variable with `user:password`. mitmproxy's own option `upstream_auth` would send them to this machine, too."""


def upstream_of(flow: http.HTTPFlow, *, for_proxy: bool, verifies: bool) -> Upstream:
    """The way of a flow whose request has not been forwarded yet. `for_proxy`: see `is_for_the_proxy`; `verifies`:
    certificates of servers are verified."""
    request, client, server = flow.request, flow.client_conn, flow.server_conn
    name = request.host
    # SNI counts if the destination was known before the request was. That of a client which speaks TLS to the proxy
    # itself does not: it names the proxy.
    if not for_proxy and server.address is not None and server.address[:2] == (request.host, request.port):
        name = server.sni or client.sni or request.host
    hosts = [value.decode("latin-1") for field, value in request.headers.fields if field.lower() == b"host"]
    names = [request.authority, *hosts]
    return Upstream(
        scheme=request.scheme,
        address=request.host,
        port=request.port,
        certificate_name=name,
        verifies=verifies,
        via_proxy=server.via is not None,
        authorities=tuple(one for one in names if one),
    )


def is_for_the_proxy(client: Client, *, in_tunnel: bool) -> bool:
    """True if a client's requests are addressed to the proxy itself: in a tunnel, or if the mode fixes the destination,
    they are the server's, with all their headers."""
    return not in_tunnel and isinstance(client.proxy_mode, RegularMode | UpstreamMode)


def is_verified(data: tls.TlsData) -> bool:
    """True if TLS with a server was established with its certificate verified."""
    return data.ssl_conn is not None and bool(data.ssl_conn.get_verify_mode() & Verify.VERIFY_PEER.value)


class BehindProxy:
    """An addon of mitmproxy that gives the proxy behind ours user and password.

    It stands before mitmproxy's own addon for `upstream_auth`, which overrides it. Calls to this machine go there
    directly: the other proxy would look for them on its own machine.
    """

    name = "sessiontap-behind-proxy"

    def __init__(self) -> None:
        auth = os.environ.get(AUTH)
        self._auth = b"Basic " + base64.b64encode(auth.encode()) if auth else None

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """Give user and password when a tunnel is asked for."""
        if self._auth is not None:
            flow.request.headers["Proxy-Authorization"] = self._auth

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Give them with a plain HTTP request. One for this machine goes there directly."""
        if not isinstance(flow.client_conn.proxy_mode, UpstreamMode) or flow.request.scheme != "http":
            return
        if is_loopback(flow.request.host):
            flow.server_conn.via = None
            flow.request.authority = ""
        elif self._auth is not None:
            flow.request.headers["Proxy-Authorization"] = self._auth


def is_loopback(host: str) -> bool:
    """Return True for names and addresses that mean this machine to everybody."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
