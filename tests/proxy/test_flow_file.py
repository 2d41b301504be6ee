"""Recorded calls as mitmproxy's own reader gives them back."""

from __future__ import annotations

import io
from typing import Any

import pytest
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader
from tests.export.calls import ID, START, call, damaged, turn, unanswered

from sessiontap.export.exported_call import ExportedCall
from sessiontap.proxy import flow_file
from sessiontap.trace import body

BEGAN = START / 1e9
OTHER = {"url": "https://api.openai.com:8443/v1", "http_version": "HTTP/1.1"}


def read_back(*calls: ExportedCall) -> list[HTTPFlow]:
    out = io.BytesIO()
    flow_file.write(calls, out)
    out.seek(0)
    flows = list(FlowReader(out).stream())
    assert all(isinstance(flow, HTTPFlow) for flow in flows)
    return flows  # type: ignore[return-value]


def only(one: ExportedCall) -> HTTPFlow:
    (flow,) = read_back(one)
    return flow


def test_a_call_is_a_flow() -> None:
    flow = only(call())
    assert (flow.id, flow.comment) == (ID, "Course /outline")
    request, response = flow.request, flow.response
    assert request.pretty_url == "https://api.openai.com/v1/chat?a=1&b=%C3%A4"
    assert (request.method, request.http_version, request.content) == ("POST", "HTTP/2.0", b'{"model": "gpt-4o"}')
    assert response is not None
    assert (response.status_code, response.content) == (200, b'{"ok": true}')
    assert flow.error is None


def test_times() -> None:
    flow = only(call())
    assert flow.response is not None
    times = (flow.timestamp_created, flow.request.timestamp_start, flow.client_conn.timestamp_start)
    assert times == (pytest.approx(BEGAN, abs=1e-6),) * 3
    assert flow.request.timestamp_end is None
    assert flow.response.timestamp_start == pytest.approx(BEGAN + 0.5, abs=1e-6)
    assert flow.response.timestamp_end == pytest.approx(BEGAN + 1.5, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "client", "server"),
    [
        (call(), ("127.0.0.1", 0), ("api.openai.com", 443)),
        (call(client=None), ("unknown", 0), ("api.openai.com", 443)),
        (call(asked=OTHER), ("127.0.0.1", 0), ("api.openai.com", 8443)),
        (
            call(changes=[["set", "A", None, "b", "r"], ["route", None, "any", "http://gate.example:8080", "r"]]),
            ("127.0.0.1", 0),
            ("gate.example", 8080),
        ),
    ],
    ids=["known", "client unknown", "a port of its own", "by a gateway"],
)
def test_connections(one: ExportedCall, client: tuple[str, int], server: tuple[str, int]) -> None:
    flow = only(one)
    assert (flow.client_conn.peername, flow.server_conn.address) == (client, server)
    assert (flow.client_conn.tls, flow.client_conn.sni) == (True, "api.openai.com")
    assert flow.server_conn.timestamp_tcp_setup is None


def test_metadata() -> None:
    metadata = only(call()).metadata["sessiontap"]
    assert (metadata["call"], metadata["step"], metadata["cost_usd"]) == (ID, 0, 0.25)
    assert metadata["properties"] == {"mode": "test"}


@pytest.mark.parametrize(
    ("stored", "headers", "content", "left"),
    [
        (body.encode(b"plain"), [["content-length", "5"]], b"plain", [("content-length", "5")]),
        (
            body.encode(b"unpacked", "gzip"),
            [["Content-Encoding", "gzip"], ["Content-Length", "99"]],
            b"unpacked",
            [("Content-Length", "8")],
        ),
        (
            body.encode(b"\x1f\x8bpacked", "foo") | {"undecodable": True},
            [["content-encoding", "foo"]],
            b"\x1f\x8bpacked",
            [("content-encoding", "foo")],
        ),
        (body.encode(bytes(range(256))), [], bytes(range(256)), []),
        (None, [["content-length", "7"]], b"", [("content-length", "7")]),
        (damaged(), [], None, []),
        (body.measured(9), [], None, []),
    ],
    ids=["plain", "decoded", "not decodable", "binary", "none", "damaged", "only measured"],
)
def test_bodies(
    stored: dict[str, Any] | None, headers: list[list[str]], content: bytes | None, left: list[tuple[str, str]]
) -> None:
    flow = only(call(asked={"body": stored, "headers": headers}, told={"body": stored, "headers": headers}))
    assert flow.response is not None
    for message in (flow.request, flow.response):
        assert message.raw_content == content
        assert list(message.headers.items(multi=True)) == left


def test_what_is_missing_is_in_the_metadata() -> None:
    metadata = only(call(told={"body": damaged()})).metadata["sessiontap"]
    assert metadata["response_missing"] == "the body does not fit its sha256"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (call(), None),
        (call(outcome="http_error"), None),
        (call(outcome="upstream_gone"), "upstream_gone"),
        (unanswered("client_gone"), "client_gone"),
        (
            call(outcome="stream_error", llm={"error": {"type": "overloaded_error", "message": "Overloaded"}}),
            "stream_error (overloaded_error: Overloaded)",
        ),
    ],
    ids=["ok", "an answer of the server", "broken off", "never answered", "an error in a stream"],
)
def test_errors(one: ExportedCall, words: str | None) -> None:
    error = only(one).error
    assert (error.msg if error else None) == words
    assert error is None or error.timestamp >= BEGAN - 1


def test_a_turn_of_a_web_socket_is_a_flow_with_its_messages() -> None:
    flow = only(turn())
    assert (flow.response.status_code, flow.error) == (101, None)  # type: ignore[union-attr]
    assert flow.websocket is not None
    assert [(one.from_client, one.text, one.timestamp) for one in flow.websocket.messages] == [
        (True, '{"type": "response.create"}', pytest.approx(BEGAN, abs=1e-6)),
        (False, '{"n": "ä"}', pytest.approx(BEGAN + 0.1, abs=1e-6)),
        (False, '{"n": "b"}', pytest.approx(BEGAN + 0.3, abs=1e-6)),
    ]
    assert (flow.websocket.close_code, flow.websocket.close_reason) == (1005, "end of the turn")


@pytest.mark.parametrize(
    ("outcome", "by_client", "code"),
    [("ok", None, 1005), ("websocket_closed", None, 1005), ("client_gone", True, None), ("upstream_gone", False, None)],
)
def test_how_a_turn_ended(outcome: str, by_client: bool | None, code: int | None) -> None:
    socket = only(turn(outcome=outcome)).websocket
    assert socket is not None
    assert (socket.closed_by_client, socket.close_code) == (by_client, code)


@pytest.mark.parametrize(
    "asked",
    [{"url": None}, {"url": "https://[half"}, {"url": "https://h:x/"}, {"headers": None}, {"method": None}],
    ids=["no url", "no address", "no port", "no headers", "no method"],
)
def test_odd_records_are_written_all_the_same(asked: dict[str, Any]) -> None:
    assert [flow.id for flow in read_back(call(asked=asked), call())] == [ID, ID]


@pytest.mark.parametrize(
    ("url", "host", "read"),
    [
        ("http://::1:8080/v1", "::1", ("::1", 8080, "/v1")),
        ("https://[2001:db8::7]/v1", "2001:db8::7", ("2001:db8::7", 443, "/v1")),
        ("http://[/v1?a", "api.openai.com", ("api.openai.com", 80, "/v1?a")),
        ("no url", "api.openai.com", ("api.openai.com", 443, "/no url")),
    ],
)
def test_any_url_that_was_recorded_is_written(url: str, host: str, read: tuple[str, int, str]) -> None:
    request = only(call(asked={"url": url}, host=host, forwarded_host=host)).request
    assert (request.host, request.port, request.path) == read
