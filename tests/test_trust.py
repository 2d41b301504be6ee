"""Which clients may use the proxy's own keys, and which upstreams may receive them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiontap.trust import (
    UNKNOWN,
    Upstream,
    host_name,
    is_local,
    is_loopback,
    is_plain_beyond_loopback,
    why_exposed,
    why_not_for,
)

NAME = "llm.corp.example"
TLS = Upstream("https", NAME, 443, NAME, verifies=True, authorities=(NAME,))
PLAIN = Upstream("http", "127.0.0.1", 8000, "127.0.0.1", verifies=True)


@pytest.mark.parametrize(
    ("upstream", "host"),
    [
        pytest.param(TLS, NAME, id="verified for the name"),
        pytest.param(replace(TLS, address="203.0.113.9"), NAME, id="an address, verified for the name"),
        pytest.param(replace(TLS, authorities=(f"{NAME}:443", NAME.upper())), NAME, id="a port and case in Host"),
        pytest.param(replace(TLS, authorities=()), NAME, id="no Host"),
        pytest.param(replace(TLS, certificate_name="LLM.Corp.Example."), NAME, id="case and dot of the certificate's"),
        pytest.param(replace(TLS, via_proxy=True), NAME, id="verified from end to end, through another proxy"),
        pytest.param(PLAIN, "127.0.0.1", id="plain on loopback"),
        pytest.param(replace(PLAIN, authorities=("127.0.0.1:8000",)), "127.0.0.1", id="plain on loopback, by Host"),
        pytest.param(replace(PLAIN, authorities=("localhost:8000",)), "127.0.0.1", id="localhost in Host"),
        pytest.param(replace(PLAIN, address="localhost"), "localhost", id="plain to localhost"),
        pytest.param(replace(PLAIN, address="::1"), "localhost", id="localhost over IPv6"),
        pytest.param(replace(PLAIN, address="::1", authorities=("[::1]:8000",)), "::1", id="plain on loopback, IPv6"),
    ],
)
def test_a_key_may_travel(upstream: Upstream, host: str) -> None:
    assert why_exposed(upstream, host) is None


@pytest.mark.parametrize(
    ("upstream", "host", "reason"),
    [
        pytest.param(UNKNOWN, NAME, "not known", id="nothing known"),
        pytest.param(replace(TLS, verifies=False), NAME, "not verified", id="nobody verifies"),
        pytest.param(replace(TLS, certificate_name="evil.example"), NAME, "another name", id="verified for another"),
        pytest.param(replace(TLS, certificate_name=f"{NAME}.evil.example"), NAME, "another name", id="a longer name"),
        pytest.param(replace(TLS, certificate_name=""), NAME, "another name", id="verified for nobody"),
        pytest.param(replace(TLS, authorities=("evil.example",)), NAME, "Host names another", id="another Host"),
        pytest.param(replace(TLS, authorities=(NAME, "e.example")), NAME, "Host names another", id="a second Host"),
        pytest.param(replace(TLS, authorities=(f"{NAME}, e.example",)), NAME, "Host names", id="two names in a Host"),
        pytest.param(replace(TLS, authorities=(f"a@{NAME}",)), NAME, "Host names another", id="a user in Host"),
        pytest.param(replace(TLS, scheme="http"), NAME, "leaves this machine in plain HTTP", id="in clear"),
        pytest.param(replace(TLS, scheme="ftp"), NAME, "not known", id="another scheme"),
        pytest.param(PLAIN, NAME, "another address", id="loopback under another name"),
        pytest.param(PLAIN, "127.0.0.5", "another address", id="another loopback address"),
        pytest.param(replace(PLAIN, address="127.0.0.5"), "localhost", "another address", id="not that of localhost"),
        pytest.param(replace(PLAIN, address="::1"), "127.0.0.1", "another address", id="the other family"),
        pytest.param(replace(PLAIN, address="10.0.0.5"), "10.0.0.5", "leaves this machine", id="a private address"),
        pytest.param(replace(PLAIN, address="10.0.0.5"), "localhost", "leaves this machine", id="a claim of localhost"),
        pytest.param(replace(PLAIN, address="127.1"), "127.1", "leaves this machine", id="what only a resolver reads"),
        pytest.param(replace(PLAIN, address="a.localhost"), "a.localhost", "leaves", id="a name that DNS may give"),
        pytest.param(replace(PLAIN, via_proxy=True), "127.0.0.1", "another proxy", id="loopback of another proxy"),
        pytest.param(
            replace(PLAIN, authorities=("evil.example",)), "127.0.0.1", "Host names another", id="a relay on loopback"
        ),
    ],
)
def test_a_key_may_not_travel(upstream: Upstream, host: str, reason: str) -> None:
    assert reason in (why_exposed(upstream, host) or "")


@pytest.mark.parametrize(
    ("upstream", "reason"),
    [
        pytest.param(TLS, None, id="verified"),
        pytest.param(replace(TLS, authorities=("other.example",)), None, id="Host is written anew"),
        pytest.param(replace(TLS, verifies=False), "not verified", id="not verified"),
        pytest.param(replace(TLS, address="gateway.example"), "another name", id="the app's own connection and SNI"),
        pytest.param(replace(TLS, address="gateway.example", port=8443), None, id="another port of that host"),
    ],
)
def test_on_its_way_to_a_gateway(upstream: Upstream, reason: str | None) -> None:
    found = why_exposed(upstream.rerouted("https", "gateway.example", 443), "gateway.example")
    assert (reason in (found or "")) if reason else found is None


@pytest.mark.parametrize(
    ("client", "proxy", "has_process", "local"),
    [
        ("127.0.0.1", "127.0.0.1", False, True),
        ("::1", "::1", False, True),
        ("::ffff:127.0.0.1", "::", False, True),
        ("192.168.1.5", "192.168.1.5", False, True),
        ("192.168.1.5", "192.168.1.1", True, True),
        ("192.168.1.5", "192.168.1.1", False, False),
        ("192.168.1.5", None, False, False),
        (None, None, False, False),
        ("nonsense", None, False, False),
    ],
)
def test_which_clients_are_on_this_machine(
    client: str | None, proxy: str | None, has_process: bool, local: bool
) -> None:
    assert is_local(client, proxy, has_process) is local


@pytest.mark.parametrize(("local", "named", "may"), [(True, False, True), (False, True, True), (False, False, False)])
def test_which_clients_may_use_a_key(local: bool, named: bool, may: bool) -> None:
    assert (why_not_for(local, named) is None) is may


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("LLM.corp.example:8443", NAME),
        ("llm.corp.example.", NAME),
        ("[::1]:8000", "::1"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_the_host_of_an_authority(authority: str, host: str) -> None:
    assert host_name(authority) == host


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *[(host, True) for host in ("localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")],
        *[(host, False) for host in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "a.localhost", "127.1")],
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://10.0.0.5", False),
        ("http://[::1]:8585/", False),
        ("http://localhost@evil.example", True),
        ("http://[::1", True),
        ("ftp://127.0.0.1x", True),
    ],
)
def test_urls_that_leave_in_clear(url: str, plain: bool) -> None:
    assert is_plain_beyond_loopback(url) is plain
