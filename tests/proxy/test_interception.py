"""Which layer a connection gets, in each mode, by what its client has begun to say."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.addons.next_layer import NextLayer
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import ClientTLSLayer, ServerTLSLayer, TCPLayer, modes
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from sessiontap.callers import Caller, Found
from sessiontap.proxy.connections import Connection, Connections, Destinations
from sessiontap.proxy.interception import Interception
from sessiontap.proxy.layers import Http, Raw, ServerTls, TlsToOpen, Undecided
from sessiontap.proxy.notices import Notices
from sessiontap.rules import load_text

RULES = load_text("version: 1\nrules: [{match: {process: private.py}, ignore: true}]")
ADDRESS = "203.0.113.7"
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\n"
NO_HELLO = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def hello(name: str) -> bytes:
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


class Desk:
    """An interception, and one client's connection."""

    def __init__(self, options: Any, mode: str = "transparent", process: str = "app.py") -> None:
        self.client = Client(
            peername=("127.0.0.1", 5), sockname=("127.0.0.1", 8080), state=ConnectionState.OPEN,
            proxy_mode=ProxyMode.parse(mode),
        )  # fmt: skip
        self.context = Context(self.client, options)
        caller = Caller("process 1", 1, 1, process, (process,), f"/usr/bin/{process}")
        self.known = Connection(self.client.id, ("127.0.0.1", 5), Found(caller))
        connections, notices = Connections(), Notices()
        connections.open[self.client.id] = self.known
        service: Any = SimpleNamespace(
            connections=connections, notices=notices, rules=RULES, destinations=Destinations(RULES)
        )
        self.interception = Interception(service)

    def begins(self, top: type[layer.Layer], data: bytes, server: bytes = b"", address: str = "llm.example") -> Any:
        """The layer that a client gets which has said `data`."""
        top(self.context)
        if address:
            self.context.server = Server(address=(address, 443))
        question = layer.NextLayer(self.context)
        question.events = [events.DataReceived(self.client, data), events.DataReceived(self.context.server, server)]
        return asyncio.run(self.interception.next_layer(question))

    def why(self) -> list[str]:
        return [entry["why"] for entry in self.interception.passed.about(None)]


@pytest.fixture
def options() -> Iterator[Any]:
    with taddons.context(NextLayer()) as context:
        yield context.options


@pytest.mark.parametrize("top", [modes.TransparentProxy, modes.Socks5Proxy], ids=["transparent", "socks5"])
@pytest.mark.parametrize(
    ("data", "server", "address", "kind", "why"),
    [
        pytest.param(REQUEST, b"", "any.example", Http, [], id="a request"),
        pytest.param(b"POS", b"", "any.example", Undecided, [], id="the beginning of one"),
        pytest.param(b"", b"", "any.example", Undecided, [], id="silence"),
        pytest.param(PREFACE, b"", "any.example", Raw, ["http2"], id="plain HTTP/2"),
        pytest.param(b"\x00\x01", b"", "api.openai.com", Raw, ["not_http"], id="another protocol, at an LLM host"),
        pytest.param(b"", b"220 mail\r\n", "any.example", Raw, ["not_http"], id="a server that speaks first"),
        pytest.param(hello("other.example"), b"", ADDRESS, Raw, ["unknown_host"], id="TLS of another host"),
        pytest.param(hello("other.example")[:99], b"", ADDRESS, Undecided, [], id="the beginning of a hello"),
        pytest.param(hello("api.openai.com"), b"", ADDRESS, ServerTls, [], id="TLS of an LLM host, by SNI"),
        pytest.param(NO_HELLO, b"", ADDRESS, Raw, ["not_http"], id="a hello that is none"),
    ],
)
def test_the_layer(
    options: Any, top: type[layer.Layer], data: bytes, server: bytes, address: str, kind: type, why: list[str]
) -> None:
    desk = Desk(options)
    assert type(desk.begins(top, data, server, address)) is kind
    assert desk.why() == why


@pytest.mark.parametrize(
    ("mode", "top", "data", "kind", "http_mode"),
    [
        pytest.param("regular", modes.HttpProxy, REQUEST, Http, HTTPMode.regular, id="regular"),
        pytest.param("upstream:http://a", modes.HttpUpstreamProxy, REQUEST, Http, HTTPMode.upstream, id="upstream"),
        pytest.param("regular", modes.HttpProxy, hello("proxy"), ClientTLSLayer, None, id="TLS to the proxy itself"),
        pytest.param("reverse:http://a", modes.ReverseProxy, REQUEST, Http, HTTPMode.transparent, id="reverse"),
        pytest.param("reverse:http://a", modes.ReverseProxy, PREFACE, Raw, None, id="plain HTTP/2 to a reverse proxy"),
        pytest.param("reverse:https://a", modes.ReverseProxy, REQUEST, ServerTLSLayer, None, id="reverse to TLS"),
        pytest.param("reverse:http://a", modes.ReverseProxy, hello("a"), ClientTLSLayer, None, id="TLS to it"),
        pytest.param("reverse:tcp://a:1", modes.ReverseProxy, REQUEST, TCPLayer, None, id="reverse by bytes"),
    ],
)
def test_the_first_layer_of_a_mode(
    options: Any, mode: str, top: type[layer.Layer], data: bytes, kind: type, http_mode: HTTPMode | None
) -> None:
    found = Desk(options, mode).begins(top, data, address="" if "reverse" not in mode else "a")
    assert type(found) is kind
    assert getattr(found, "mode", None) is http_mode


def test_what_a_rule_ignores_passes(options: Any) -> None:
    desk = Desk(options, process="private.py")
    assert type(desk.begins(modes.TransparentProxy, hello("api.openai.com"), address=ADDRESS)) is Raw
    assert desk.why() == ["ignore"]


def test_a_server_that_is_connected_already_gets_its_tls_first(options: Any) -> None:
    desk = Desk(options)
    desk.context.server = Server(address=(ADDRESS, 443))
    desk.context.server.state = ConnectionState.OPEN
    modes.TransparentProxy(desk.context)
    question = layer.NextLayer(desk.context)
    question.events = [events.DataReceived(desk.client, hello("api.openai.com"))]
    found: Any = asyncio.run(desk.interception.next_layer(question))
    assert (type(found), type(found.child_layer)) == (ServerTls, TlsToOpen)


def test_a_user_interface_that_is_to_show_what_passes_does(options: Any) -> None:
    options.update(show_ignored_hosts=True)
    desk = Desk(options)
    assert type(desk.begins(modes.TransparentProxy, b"\x00")) is TCPLayer
    (entry,) = desk.interception.passed.about(None)
    assert entry["sent"] is None


@pytest.mark.parametrize(
    ("option", "hosts", "data", "kind"),
    [
        pytest.param("ignore_hosts", "llm.example", REQUEST + b"\r\n", TCPLayer, id="a host to ignore"),
        pytest.param("ignore_hosts", "other.example", REQUEST + b"\r\n", Http, id="another host"),
        pytest.param("ignore_hosts", "other.example", REQUEST, type(None), id="a host that is not known yet"),
        pytest.param("ignore_hosts", "api.openai.com", hello("api.openai.com"), TCPLayer, id="one by SNI"),
        pytest.param("allow_hosts", "llm.example", REQUEST + b"\r\n", Http, id="a host to allow"),
        pytest.param("allow_hosts", "other.example", REQUEST + b"\r\n", TCPLayer, id="one that is not"),
        pytest.param("tcp_hosts", "llm.example", REQUEST, TCPLayer, id="a host of bytes"),
        pytest.param("tcp_hosts", "other.example", REQUEST, Http, id="none of them"),
    ],
)
def test_a_user_that_tells_mitmproxy_which_hosts_to_leave_alone_is_obeyed(
    options: Any, option: str, hosts: str, data: bytes, kind: type
) -> None:
    options.update(**{option: [hosts]})
    assert type(Desk(options).begins(modes.TransparentProxy, data)) is kind


def test_the_layers_that_mitmproxy_chooses_hold_our_http(options: Any) -> None:
    desk = Desk(options, "reverse:https://a")
    outer = desk.begins(modes.ReverseProxy, hello("a"), address="a")
    assert [type(one) for one in desk.context.layers] == [modes.ReverseProxy, ServerTLSLayer, ClientTLSLayer, Http]
    assert outer.child_layer.child_layer is desk.context.layers[-1]
