"""Decide which clients may use the proxy's own keys, and which upstreams may receive them.

Pure; the one place for these questions. Names in a Host field, in :authority, or in SNI are claims of the client: they
may classify a call, and nothing more. A key leaves only

- over TLS, if the server's certificate is verified for the very name that the rules matched by, or
- in plain HTTP, to a loopback address or `localhost`, if that is what the rules matched by,

and only if Host and :authority name that server, too: a front end would pass the call on to whomever they name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

_LOCALHOST = ("127.0.0.1", "::1")
"""The addresses that `localhost` stands for."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The way of a call, as far as it decides whether the call may carry a key."""

    scheme: str
    address: str
    """The name or IP address that the connection is opened to."""
    port: int
    certificate_name: str
    """The name that the server's certificate is for, if the call travels in TLS and `verifies` holds."""
    verifies: bool
    """Certificates are verified."""
    via_proxy: bool = False
    """Another proxy stands between this one and the server."""
    authorities: tuple[str, ...] = ()
    """The names in the request's Host and :authority."""

    def rerouted(self, scheme: str, host: str, port: int) -> Upstream:
        """The same call on its way to a gateway."""
        # To the very address that the app asked for, mitmproxy takes the app's SNI and the connection that is open.
        name = self.certificate_name if (host, port) == (self.address, self.port) else host
        return replace(self, scheme=scheme, address=host, port=port, certificate_name=name, authorities=())


UNKNOWN = Upstream("", "", 0, "", verifies=False)
"""Nothing is known, so nothing may be sent."""


def why_exposed(upstream: Upstream, host: str) -> str | None:
    """Return why a key that is meant for `host` may not travel so; None if it may.

    The reasons hold no text of the client's: each is said to the user once.
    """
    wanted = host_name(host)
    if not all(_is_same(host_name(authority), wanted) for authority in upstream.authorities):
        return "the request's Host names another server"
    if upstream.scheme == "https":
        if not upstream.verifies:
            return "the server's certificate is not verified (ssl_insecure)"
        if host_name(upstream.certificate_name) != wanted:
            return "the server's certificate is verified for another name"
        return None
    if upstream.scheme != "http":
        return "it is not known how the call travels"
    if upstream.via_proxy:
        return "the call goes through another proxy in plain HTTP"
    address = host_name(upstream.address)
    if not is_loopback(address):
        return "the call leaves this machine in plain HTTP"
    return None if _is_same(address, wanted) else "the call goes to another address than the rule names"


def why_not_for(client_is_local: bool, is_named: bool) -> str | None:
    """Return why a client may not use a rule's key; None if it may. `is_named`: it is in `match.client`."""
    if client_is_local or is_named:
        return None
    return "the client is not known to be on this machine, and the rule has no match.client"


@lru_cache(maxsize=1024)
def is_local(client: str | None, proxy: str | None, has_process: bool) -> bool:
    """True if a client is on this machine: its process was found here, or its address is loopback or the very one at
    which it reached the proxy. `client` and `proxy` are the two ends of its connection."""
    if has_process:
        return True
    return client is not None and (is_loopback(client) or client == proxy)


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """True if a host is `localhost` or a loopback address. Other names are not: what they stand for is DNS's to say."""
    host = host.lower().rstrip(".")
    if host == "localhost":
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def is_plain_beyond_loopback(url: str) -> bool:
    """True if calls to `url` leave this machine in plain HTTP. A URL that cannot be read counts."""
    try:
        at = urlsplit(url)
        return at.scheme != "https" and not is_loopback(at.hostname or "")
    except ValueError:
        return True


def is_http_beyond_loopback(url: str) -> bool:
    """The same of `http://` alone: other schemes lead to files and object stores."""
    return url.lower().startswith("http:") and is_plain_beyond_loopback(url)


def host_name(authority: str) -> str:
    """The host in a Host field, an :authority or a host alone: lower case, without port, brackets and final dot."""
    host = authority.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") == 1:
        host = host.partition(":")[0]
    return host.rstrip(".")


def _is_same(host: str, wanted: str) -> bool:
    if "localhost" in (host, wanted):
        return {host, wanted} <= {"localhost", *_LOCALHOST}
    return host == wanted
