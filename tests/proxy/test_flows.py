"""mitmproxy's messages: a plan's edits and route on them, and how a call ended by what mitmproxy says of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import ctx, http
from mitmproxy.connection import ConnectionState
from mitmproxy.flow import Error
from mitmproxy.http import HTTPFlow
from mitmproxy.test import tflow, tutils
from tests.rules.build import call

from sessiontap.gateways import Route
from sessiontap.headers import Edit
from sessiontap.proxy import flows
from sessiontap.proxy.plan import Plan
from sessiontap.rules.decision import Decision, FilledSettings

FIELDS = ((b"X-Case", b"1"), (b"accept", b"a"), (b"Accept", b"b"), (b"x-raw", b"\xff\xe9"), (b"Gone", b"x"))


def request(version: str = "HTTP/1.1") -> http.Request:
    made = tutils.treq(http_version=version.encode())
    made.headers = http.Headers(FIELDS)
    return made


def edit(name: str, value: str | None) -> Edit:
    return Edit("remove" if value is None else "set", name, new=value)


@pytest.mark.parametrize(
    ("edits", "fields"),
    [
        ([], FIELDS),
        ([edit("x-new", "n")], (*FIELDS, (b"x-new", b"n"))),
        ([edit("gone", None)], FIELDS[:-1]),
        ([edit("never-there", None)], FIELDS),
    ],
    ids=["none", "one more", "one less", "none to take out"],
)
def test_other_fields_keep_order_case_and_bytes(edits: list[Edit], fields: tuple[tuple[bytes, bytes], ...]) -> None:
    made = request()
    flows.edit_headers(made, edits)
    assert made.headers.fields == fields


@pytest.mark.parametrize(("version", "name"), [("HTTP/1.1", b"X-New"), ("HTTP/2.0", b"x-new"), ("HTTP/3", b"x-new")])
def test_names_are_lower_case_where_the_protocol_wants_it(version: str, name: bytes) -> None:
    made = request(version)
    flows.edit_headers(made, [edit("X-New", "n")])
    assert (name, b"n") in made.headers.fields


def test_an_edit_that_was_only_considered_changes_nothing() -> None:
    made = request()
    flows.edit_headers(made, [Edit("keep", "Gone", new="other"), Edit("withhold", "X-Key", new="secret")])
    assert made.headers.fields == FIELDS


@pytest.mark.parametrize(
    ("route", "host"),
    [
        (Route("https", "oai.helicone.ai", 443), "oai.helicone.ai"),
        (Route("http", "127.0.0.1", 8585), "127.0.0.1:8585"),
        (Route("http", "::1", 8585), "[::1]:8585"),
        (Route("https", "fd00::1", 443), "[fd00::1]"),
    ],
)
def test_a_gateway_is_named_in_host_as_urls_name_it(route: Route, host: str) -> None:
    request = http.Request.make("POST", "https://api.openai.com/v1", headers={"Host": "api.openai.com"})
    flows.apply_plan(Plan(Decision(), FilledSettings(), call(), gateway=route), request)
    assert (request.scheme, request.host, request.port) == (route.scheme, route.host, route.port)
    assert request.headers["host"] == host
    assert request.path == "/v1"


def test_a_gateway_gets_the_path_that_it_needs() -> None:
    request = http.Request.make("POST", "https://api.openai.com/v1/chat/completions?a=1")
    route = Route("https", "gateway.example", 443, target="/openai/chat/completions?a=1")
    flows.apply_plan(Plan(Decision(), FilledSettings(), call(), gateway=route), request)
    assert request.url == "https://gateway.example/openai/chat/completions?a=1"


# -- how it ended ----------------------------------------------------------------------------------------------------


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
    assert flows.outcome_of_response(status) == how


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
    assert flows.outcome_of_error(flow()) == how


@pytest.mark.parametrize(("held", "how"), [(True, "upstream_gone"), (False, "client_gone")])
def test_a_reset_between_two_of_http_2_is_the_side_s_whose_connection_let_go(
    master: Master, held: bool, how: str
) -> None:
    flow = failed(RESET, alpn=(b"h2", b"h2"))
    client = SimpleNamespace(streams={7: object()} if held else {})
    layer = SimpleNamespace(streams={7: SimpleNamespace(flow=flow)}, connections={flow.client_conn: client})
    handler = SimpleNamespace(layer=SimpleNamespace(context=SimpleNamespace(layers=[object(), layer])))
    master.addons["proxyserver"] = SimpleNamespace(connections={flow.client_conn.id: handler})
    assert flows.outcome_of_error(flow) == how


def test_a_proxy_that_stops_closes_connections_itself(master: Master) -> None:
    master.should_exit.set()
    assert flows.outcome_of_error(failed("Client disconnected.")) == "proxy_stopped"


GATEWAY_EDITS = (edit("Gateway-Auth", "key"), edit("X-Gone", None), edit("X-Name", "b"))
SENT = ((b"Host", b"api.openai.com"), (b"X-Gone", b"1"), (b"X-Name", b"a"), (b"x-last", b"z"))


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        pytest.param((), SENT, id="as it was, in its order"),
        pytest.param(
            ((b"X-Other", b"1"),), (SENT[0], SENT[1], SENT[2], SENT[3], (b"X-Other", b"1")), id="others' headers stay"
        ),
    ],
)
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2.0"])
def test_a_plan_is_taken_out_of_a_request_again(
    meanwhile: tuple[tuple[bytes, bytes], ...], expected: tuple[tuple[bytes, bytes], ...], version: str
) -> None:
    authority = b"api.openai.com" if version == "HTTP/2.0" else b""
    sent = tutils.treq(
        host="api.openai.com", port=443, scheme=b"https", authority=authority, path=b"/v1/chat",
        http_version=version.encode(), headers=http.Headers(SENT),
    )  # fmt: skip
    before = flows.OriginalRequest.of(sent)
    route = Route("http", "127.0.0.1", 8585, GATEWAY_EDITS, target="/elsewhere")
    plan = Plan(Decision(), FilledSettings(), call(), edits=GATEWAY_EDITS, gateway=route)
    flows.apply_plan(plan, sent)
    assert (sent.host, sent.path, sent.headers["gateway-auth"]) == ("127.0.0.1", "/elsewhere", "key")
    sent.headers.fields = (*sent.headers.fields, *meanwhile)
    before.restore(sent, plan)
    assert sent.headers.fields == expected
    assert (sent.scheme, sent.host, sent.port, sent.path) == ("https", "api.openai.com", 443, "/v1/chat")
    assert sent.data.authority == authority
