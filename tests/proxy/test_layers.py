"""What goes to one connection in a row goes there at once; how HTTP/2 tells that a client has gone."""

from __future__ import annotations

from collections.abc import Iterable

import h2.config
import h2.connection
import pytest
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import ErrorCode, ReceiveHttp, RequestProtocolError

from sessiontap.proxy.layers import MOST_JOINED, _Http2Server, joined

CLIENT = Client(peername=("127.0.0.1", 40_000), sockname=("127.0.0.1", 8080), timestamp_start=0.0)
SERVER = Server(address=("api.openai.com", 443))
LARGE = b"x" * MOST_JOINED


def command_of(name: str, data: bytes) -> commands.Command:
    match name:
        case "client":
            return commands.SendData(CLIENT, data)
        case "server":
            return commands.SendData(SERVER, data)
        case "close":
            return commands.CloseConnection(CLIENT)
        case _:
            return commands.Log(data.decode())


def shown(found: Iterable[commands.Command]) -> list[tuple[str, bytes]]:
    names = {commands.CloseConnection: "close", commands.Log: "log"}
    return [
        ("client" if one.connection is CLIENT else "server", one.data)
        if isinstance(one, commands.SendData)
        else (names[type(one)], one.message.encode() if isinstance(one, commands.Log) else b"")
        for one in found
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([("client", b"a")], [("client", b"a")], id="alone"),
        pytest.param([("client", b"a"), ("client", b"b")], [("client", b"ab")], id="a head and its body"),
        pytest.param(
            [("client", b"a"), ("server", b"b"), ("client", b"c")],
            [("client", b"a"), ("server", b"b"), ("client", b"c")],
            id="of two connections",
        ),
        pytest.param(
            [("client", b"a"), ("close", b""), ("client", b"b")],
            [("client", b"a"), ("close", b""), ("client", b"b")],
            id="before and behind another command",
        ),
        pytest.param(
            [("log", b"1"), ("client", b"a"), ("log", b"2"), ("client", b"b"), ("close", b"")],
            [("log", b"1"), ("client", b"ab"), ("log", b"2"), ("close", b"")],
            id="a line for the log comes behind",
        ),
        pytest.param([("client", b"a"), ("log", b"1")], [("client", b"a"), ("log", b"1")], id="a line at the end"),
        pytest.param(
            [("client", b"a"), ("client", LARGE), ("client", b"b")],
            [("client", b"a"), ("client", LARGE), ("client", b"b")],
            id="a large body is not copied",
        ),
    ],
)
def test_data_for_one_connection_is_joined(given: list[tuple[str, bytes]], expected: list[tuple[str, bytes]]) -> None:
    assert shown(joined(command_of(*one) for one in given)) == expected


def test_a_command_that_waits_is_passed_on_before_the_next_one_is_made() -> None:
    made: list[str] = []

    def commands_() -> Iterable[commands.Command]:
        yield commands.SendData(SERVER, b"a")
        made.append("close")
        yield commands.CloseConnection(SERVER)
        made.append("after")

    found = joined(commands_())

    assert shown([next(found), next(found)]) == [("server", b"a"), ("close", b"")]
    assert made == ["close"]


def http2_client() -> h2.connection.H2Connection:
    """A client that has sent one request whole."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    head = [(":method", "GET"), (":scheme", "https"), (":authority", "api.openai.com"), (":path", "/v1/models")]
    client.send_headers(1, head, end_stream=True)
    return client


@pytest.mark.parametrize(
    ("state", "goes_away", "expected"),
    [
        pytest.param(ConnectionState.CAN_WRITE, False, ErrorCode.CLIENT_DISCONNECTED, id="the client closed"),
        pytest.param(ConnectionState.CLOSED, False, ErrorCode.CLIENT_DISCONNECTED, id="writing met the client's reset"),
        pytest.param(ConnectionState.OPEN, True, ErrorCode.GENERIC_CLIENT_ERROR, id="the client said that it goes"),
    ],
)
def test_an_http2_request_is_left_by_a_client_whose_connection_ends(
    state: ConnectionState, goes_away: bool, expected: ErrorCode
) -> None:
    connection = Client(peername=("127.0.0.1", 40_000), sockname=("127.0.0.1", 8080), timestamp_start=0.0)
    options = Options()
    options.add_option("validate_inbound_headers", bool, True, "as mitmproxy's addon `proxyserver` adds it")
    layer, client = _Http2Server(Context(connection, options)), http2_client()
    for event in (events.Start(), events.DataReceived(connection, client.data_to_send())):
        list(layer.handle_event(event))
    if goes_away:
        client.close_connection()
        end: events.Event = events.DataReceived(connection, client.data_to_send())
    else:
        connection.state = state
        end = events.ConnectionClosed(connection)
    received = [one.event for one in layer.handle_event(end) if isinstance(one, ReceiveHttp)]
    assert [(type(one), one.code) for one in received] == [(RequestProtocolError, expected)]
