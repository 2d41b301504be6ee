"""`sessiontap run --mode upstream:URL` as `exec` starts it: behind the proxy that was set before, such as a company's.

User and password for that proxy come in a variable, since every user can read command lines. Calls to this machine do
not go through it: it would look for them on its own.
"""

from __future__ import annotations

import base64
import ipaddress
import os

from mitmproxy import http
from mitmproxy.proxy.mode_specs import UpstreamMode

AUTH = "SESSIONTAP_UPSTREAM_AUTH"
"""The variable with `user:password`. mitmproxy's own option `upstream_auth` would send them to this machine, too."""


class BehindProxy:
    """An addon of mitmproxy. It stands before mitmproxy's own addon for `upstream_auth`, which overrides it."""

    name = "sessiontap-behind-proxy"

    def __init__(self) -> None:
        auth = os.environ.get(AUTH)
        self._auth = b"Basic " + base64.b64encode(auth.encode()) if auth else None

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """Name user and password where a tunnel is asked for."""
        if self._auth is not None:
            flow.request.headers["Proxy-Authorization"] = self._auth

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The same for a plain HTTP request, or send one for this machine there directly."""
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
