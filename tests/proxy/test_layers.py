"""What goes to one connection in a row goes there at once: `layers.joined`."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from mitmproxy.connection import Client, Server
from mitmproxy.proxy import commands

from sessiontap.proxy.layers import MOST_JOINED, joined

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
