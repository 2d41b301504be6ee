"""How a call ended, by what mitmproxy says of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import ctx
from mitmproxy.connection import ConnectionState
from mitmproxy.flow import Error
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow

from sessiontap.proxy import outcome


class Master:
    def __init__(self) -> None:
        self.should_exit = asyncio.Event()
        self.addons: dict[str, Any] = {}


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Master:
    made = Master()
    monkeypatch.setattr(ctx, "master", made, raising=False)
    return made


def failed(
    message: str,
    *,
    client_open: bool = True,
    reply: bool = False,
    connected: bool = True,
    secured: bool = True,
    alpn: tuple[bytes | None, bytes | None] = (None, None),
) -> HTTPFlow:
    """A flow in mitmproxy's `error` hook."""
    flow = tflow.tflow(resp=reply)
    flow.error = Error(message)
    flow.client_conn.state = ConnectionState.OPEN if client_open else ConnectionState.CLOSED
    flow.server_conn.timestamp_tcp_setup = 1.0 if connected else None
    flow.server_conn.tls = True
    flow.server_conn.timestamp_tls_setup = 1.0 if secured else None
    flow.client_conn.alpn, flow.server_conn.alpn = alpn
    return flow


@pytest.mark.parametrize(("status", "how"), [(200, "ok"), (302, "ok"), (400, "http_error"), (529, "http_error")])
def test_a_response(status: int, how: str) -> None:
    assert outcome.of_response(status) == how


RESET = "stream reset by client (CANCEL)"
REFUSED = "stream reset by client (REFUSED_STREAM)"


@pytest.mark.parametrize(
    ("flow", "how"),
    [
        pytest.param(lambda: failed("Client disconnected."), "client_gone", id="the client's end, said"),
        pytest.param(lambda: failed("peer closed connection", client_open=False), "client_gone", id="and seen"),
        pytest.param(lambda: failed("refused", connected=False), "upstream_unreachable", id="nothing listens"),
        pytest.param(lambda: failed("bad certificate", secured=False), "upstream_unreachable", id="no trust"),
        pytest.param(lambda: failed("server closed connection"), "upstream_gone", id="before a reply"),
        pytest.param(lambda: failed("server closed connection", reply=True), "upstream_gone", id="within the reply"),
        pytest.param(lambda: failed("closed", reply=True, connected=False), "upstream_gone", id="of a reused one"),
        pytest.param(lambda: failed(RESET, alpn=(b"http/1.1", b"h2")), "upstream_gone", id="a reset, client of HTTP/1"),
        pytest.param(lambda: failed(RESET, alpn=(b"h2", b"http/1.1")), "client_gone", id="a reset, server of HTTP/1"),
        pytest.param(lambda: failed(RESET, alpn=(b"h2", b"h2")), "client_gone", id="a reset as clients give up"),
        pytest.param(lambda: failed(REFUSED, alpn=(b"h2", b"h2")), "upstream_gone", id="a reset as servers refuse"),
    ],
)
def test_an_error(master: Master, flow: Any, how: str) -> None:
    assert outcome.of_error(flow()) == how


@pytest.mark.parametrize(("held", "how"), [(True, "upstream_gone"), (False, "client_gone")])
def test_a_reset_between_two_of_http_2_is_the_side_s_whose_connection_let_go(
    master: Master, held: bool, how: str
) -> None:
    flow = failed(RESET, alpn=(b"h2", b"h2"))
    client = SimpleNamespace(streams={7: object()} if held else {})
    layer = SimpleNamespace(streams={7: SimpleNamespace(flow=flow)}, connections={flow.client_conn: client})
    handler = SimpleNamespace(layer=SimpleNamespace(context=SimpleNamespace(layers=[object(), layer])))
    master.addons["proxyserver"] = SimpleNamespace(connections={flow.client_conn.id: handler})
    assert outcome.of_error(flow) == how


def test_a_proxy_that_stops_closes_connections_itself(master: Master) -> None:
    master.should_exit.set()
    assert outcome.of_error(failed("Client disconnected.")) == "proxy_stopped"
