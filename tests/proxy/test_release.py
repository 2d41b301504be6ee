"""A call and a connection that are over are freed at once, without a full garbage collection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, ConnectionState
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons
from mitmproxy.utils import typecheck

from sessiontap.faults import Faults
from sessiontap.proxy.layers import Http, HttpSettings
from sessiontap.proxy.release import release, release_at_end

REQUEST = b"POST http://llm.example/v1/chat/completions HTTP/1.1\r\nHost: llm.example\r\nContent-Length: 2\r\n\r\n{}"
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Drive:
    """A client's connection to our HTTP layer, and a server that answers."""

    def __init__(self, options: Options, held: str | None = None) -> None:
        """`held`: the hook that is not done until `go_on`."""
        client = Client(
            peername=("127.0.0.1", 40_000),
            sockname=("127.0.0.1", 8080),
            timestamp_start=0.0,
            state=ConnectionState.OPEN,
            proxy_mode=ProxyMode.parse("regular"),
        )
        self.client = client
        context = Context(client, options)
        settings = HttpSettings(lambda host, port: False, lambda: False, lambda flow: None)
        self.layer = Http(context, HTTPMode.regular, settings)
        self._held = held
        self._waiting: commands.StartHook | None = None
        self.flow: weakref.ref[http.HTTPFlow] | None = None
        self.sent: list[bytes] = []
        self.hooks: list[str] = []
        self._events: list[events.Event] = []
        self._give(events.Start())

    def call(self) -> None:
        self._give(events.DataReceived(self.client, REQUEST))

    def leave(self) -> None:
        """The client goes."""
        self.client.state = ConnectionState.CAN_WRITE
        self._give(events.ConnectionClosed(self.client))

    def go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        self._give(events.HookCompleted(waiting))

    def _give(self, event: events.Event) -> None:
        """Give the layer an event, and those that follow from what it says."""
        self._events.append(event)
        if len(self._events) > 1:
            return
        while self._events:
            for command in self.layer.handle_event(self._events[0]):
                self._do(command)
            del self._events[0]

    def _do(self, command: commands.Command) -> None:
        if isinstance(command, commands.StartHook):
            self.hooks.append(command.name)
            flow: Any = command.args()[0]
            self.flow = weakref.ref(flow)
            if command.name == self._held:
                self._waiting = command
            elif command.blocking:
                self._give(events.HookCompleted(command))
        elif isinstance(command, commands.OpenConnection):
            command.connection.state = ConnectionState.OPEN
            self._give(events.OpenConnectionCompleted(command, None))
        elif isinstance(command, commands.SendData) and command.connection is self.client:
            self.sent.append(command.data)
        elif isinstance(command, commands.SendData):
            self._give(events.DataReceived(command.connection, REPLY))


@pytest.fixture
def options() -> Iterator[Options]:
    with taddons.context(Proxyserver()) as context:
        yield context.options


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # mitmproxy's checks of types, which `python -O` leaves out, make young circles of their own.
    monkeypatch.setattr(typecheck, "check_option_type", lambda name, value, typeinfo: None)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_the_flow_of_a_call_that_is_over_is_freed_while_its_connection_goes_on(options: Options) -> None:
    drive = Drive(options)
    drive.call()
    assert drive.sent == [REPLY]
    assert drive.flow is not None
    assert drive.flow() is None
    drive.call()
    assert drive.sent == [REPLY, REPLY]


def test_what_a_connection_that_has_ended_has_read_is_freed(options: Options) -> None:
    drive = Drive(options)
    drive.call()
    layers = [weakref.ref(one) for one in drive.layer.connections.values()]
    release(drive.layer)
    assert [one() for one in layers] == [None, None]


def test_a_connection_that_waits_for_a_hook_is_left_alone(options: Options) -> None:
    drive = Drive(options, held="response")
    drive.call()
    release(drive.layer)
    drive.go_on()
    assert drive.sent == [REPLY]


def test_a_call_whose_client_goes_while_its_reply_is_told_of_ends_once(options: Options) -> None:
    drive = Drive(options, held="response")
    drive.call()
    drive.leave()
    drive.go_on()
    assert drive.hooks == ["requestheaders", "request", "responseheaders", "response"]
    assert drive.sent == [REPLY]


@pytest.mark.parametrize(
    ("timers", "is_released"),
    [pytest.param(set(), True, id="nothing is expected"), pytest.param({"a timer"}, False, id="a timer is set yet")],
)
def test_layers_are_released_when_the_connections_task_is_over(timers: set[str], is_released: bool) -> None:
    async def ends(client: Client) -> None:
        release_at_end(client, Faults())

    async def live() -> Http:
        proxyserver = Proxyserver()
        with taddons.context(proxyserver) as context:
            drive = Drive(context.options)
            handler: Any = SimpleNamespace(layer=drive.layer, wakeup_timer=timers)
            proxyserver.connections[drive.client.id] = handler
            await asyncio.create_task(ends(drive.client))
            await asyncio.sleep(0)
            return drive.layer

    assert (not vars(asyncio.run(live()))) is is_released
