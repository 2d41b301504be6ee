"""How a call will travel, told from mitmproxy's flow before its connection is open."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from sessiontap.proxy.upstream import is_for_the_proxy, is_verified, upstream_of
from sessiontap.trust import Upstream

ADDRESS = "203.0.113.9"
NAME = "llm.corp.example"


def flow(
    url: str, *, fixed: bool = False, sni: str | None = None, own_sni: str | None = None, via: Any = None
) -> http.HTTPFlow:
    """A flow as mitmproxy has it in `request`. `fixed`: the destination was known before the request."""
    client = Client(peername=("127.0.0.1", 5), sockname=("127.0.0.1", 8080), sni=sni)
    request = http.Request.make("POST", url)
    request.headers["host"] = urlsplit(url).netloc
    address = (request.host, request.port) if fixed else None
    found = http.HTTPFlow(client, Server(address=address, sni=own_sni, via=via))
    found.request = request
    return found


def by_hosts(host: str, authority: str, http_version: str = "HTTP/2.0") -> http.HTTPFlow:
    found = flow(f"https://{NAME}/", fixed=True, sni=NAME)
    found.request.http_version = http_version
    found.request.headers["host"] = host
    found.request.authority = authority
    return found


def way(scheme: str, address: str, port: int, name: str, *said: str, via_proxy: bool = False) -> Upstream:
    return Upstream(scheme, address, port, name, verifies=True, via_proxy=via_proxy, authorities=said)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(flow(f"http://{ADDRESS}/"), way("http", ADDRESS, 80, ADDRESS, ADDRESS), id="plain"),
        pytest.param(flow("http://[::1]:8000/"), way("http", "::1", 8000, "::1", "[::1]:8000"), id="plain, IPv6"),
        pytest.param(
            flow(f"https://{ADDRESS}/", fixed=True, sni=NAME),
            way("https", ADDRESS, 443, NAME, ADDRESS),
            id="a tunnel: SNI counts",
        ),
        pytest.param(
            flow(f"https://{ADDRESS}/", fixed=True), way("https", ADDRESS, 443, ADDRESS, ADDRESS), id="without SNI"
        ),
        pytest.param(
            flow(f"https://{ADDRESS}/", fixed=True, sni="evil.example"),
            way("https", ADDRESS, 443, "evil.example", ADDRESS),
            id="the client's SNI",
        ),
        pytest.param(
            flow(f"https://{ADDRESS}/", sni=NAME),
            way("https", ADDRESS, 443, ADDRESS, ADDRESS),
            id="TLS to the proxy: its SNI does not count",
        ),
        pytest.param(
            flow(f"https://{ADDRESS}/", fixed=True, sni=NAME, own_sni="fixed.example"),
            way("https", ADDRESS, 443, "fixed.example", ADDRESS),
            id="a reverse proxy's own SNI",
        ),
        pytest.param(
            flow(f"http://{ADDRESS}/", via=("http", ("127.0.0.1", 3128))),
            way("http", ADDRESS, 80, ADDRESS, ADDRESS, via_proxy=True),
            id="behind another proxy",
        ),
        pytest.param(
            by_hosts("evil.example", NAME), way("https", NAME, 443, NAME, NAME, "evil.example"), id="two authorities"
        ),
    ],
)
def test_the_way_of_a_call(given: http.HTTPFlow, expected: Upstream) -> None:
    for_proxy = given.server_conn.address is None
    assert upstream_of(given, for_proxy=for_proxy, verifies=True) == expected


def test_a_tunnel_that_was_refused_leaves_an_address_that_counts_for_nothing() -> None:
    given = flow(f"https://{ADDRESS}/", fixed=True, sni=NAME)
    assert upstream_of(given, for_proxy=True, verifies=True).certificate_name == ADDRESS


def test_another_script_may_have_sent_the_call_elsewhere() -> None:
    given = flow(f"https://{NAME}/", fixed=True, sni=NAME)
    given.request.host = "evil.example"
    assert upstream_of(given, for_proxy=False, verifies=True).certificate_name == "evil.example"


@pytest.mark.parametrize(
    ("mode", "in_tunnel", "for_proxy"),
    [
        ("regular", False, True),
        ("regular@8081", True, False),
        ("upstream:http://127.0.0.1:3128", False, True),
        ("upstream:http://127.0.0.1:3128", True, False),
        ("reverse:https://llm.corp.example", False, False),
        ("transparent", False, False),
        ("socks5", False, False),
    ],
)
def test_whom_a_request_is_addressed_to(mode: str, in_tunnel: bool, for_proxy: bool) -> None:
    client = Client(peername=("127.0.0.1", 5), sockname=("127.0.0.1", 8080), proxy_mode=ProxyMode.parse(mode))
    assert is_for_the_proxy(client, in_tunnel=in_tunnel) is for_proxy


@pytest.mark.parametrize(("mode", "verified"), [(SSL.VERIFY_PEER, True), (SSL.VERIFY_NONE, False), (None, False)])
def test_whether_a_server_was_verified(mode: int | None, verified: bool) -> None:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(mode or SSL.VERIFY_NONE)
    connection = None if mode is None else SSL.Connection(context)
    data: Any = TlsData(Server(address=None), None, connection)  # type: ignore[arg-type]
    assert is_verified(data) is verified
