"""`sessiontap run --mode upstream:URL` as `exec` starts it: behind the proxy that was set before, such as a company's.

User and password for that proxy come in a variable, since every user can read command lines. Calls to this machine do
not go through it: it would look for them on its own.
"""

from __future__ import annotations

import ipaddress
import os

from mitmproxy import ctx, http
from mitmproxy.proxy.mode_specs import UpstreamMode

AUTH = "SESSIONTAP_UPSTREAM_AUTH"
"""The variable with `user:password`. It sets mitmproxy's option `upstream_auth`, unless that is given."""


class BehindProxy:
    """An addon of mitmproxy."""

    name = "sessiontap-behind-proxy"

    def running(self) -> None:
        """Take user and password from the environment."""
        auth = os.environ.get(AUTH)
        if auth and ctx.options.upstream_auth is None:
            ctx.options.update(upstream_auth=auth)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Send a plain HTTP request for this machine there directly."""
        if isinstance(flow.client_conn.proxy_mode, UpstreamMode) and is_loopback(flow.request.host):
            flow.server_conn.via = None
            flow.request.headers.pop("proxy-authorization", None)


def is_loopback(host: str) -> bool:
    """Return True for names and addresses that mean this machine to everybody."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
