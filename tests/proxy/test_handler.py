"""A client's connection under `sessiontap run`: what its layers hear, in which order, and who waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import options
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHook
from mitmproxy.proxy.mode_servers import ServerInstance
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow
from mitmproxy.utils import asyncio_utils
from tests.support.gate import PATIENCE

from sessiontap.proxy.handler import Handler, handles
from sessiontap.proxy.master import TapMaster


class Writer:
    """What a client is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_all_sent = asyncio.Event()
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)
        if data == b"behind":
            self.is_all_sent.set()

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 8080)}.get(name, default)


class Scripted(layer.Layer):
    """Does what a script says to each event, and notes what it hears."""

    def __init__(self, context: Any, script: Callable[[layer.Layer, events.Event], Any]) -> None:
        super().__init__(context)
        self._script = script

    def _handle_event(self, event: events.Event) -> Any:
        yield from self._script(self, event)


@pytest.fixture
async def master() -> AsyncIterator[TapMaster]:
    made = TapMaster(options.Options(), [SimpleNamespace(name="tap")], with_termlog=False)
    yield made
    await made.done()


def handler(master: TapMaster, script: Callable[[layer.Layer, events.Event], Any]) -> tuple[Handler, Writer]:
    writer = Writer()
    made = Handler(master, asyncio.StreamReader(), writer, master.options, ProxyMode.parse("regular"))
    made.layer = Scripted(made.layer.context, script)
    return made, writer


def tap(master: TapMaster) -> Any:
    return master.addons.get("tap")


def waiting(said: list[str], name: str, event: commands.StartHook) -> Any:
    """A layer that calls a hook between two things that it sends."""

    def script(one: layer.Layer, heard: events.Event) -> Any:
        data = heard.data.decode() if isinstance(heard, events.DataReceived) else type(heard).__name__
        said.append(f"heard {data}")
        if data == name:
            yield commands.SendData(one.context.client, b"before")
            yield event
            said.append("called")
            yield commands.SendData(one.context.client, b"behind")

    return script


async def test_a_hook_that_need_not_wait_is_done_when_the_event_is(master: TapMaster) -> None:
    said: list[str] = []
    tap(master).request = lambda flow: said.append("hook")
    one, writer = handler(master, waiting(said, "a", HttpRequestHook(tflow.tflow())))
    master.addons.chain = [tap(master)]
    await one.server_event(events.DataReceived(one.client, b"a"))
    assert said == ["heard a", "hook", "called"]
    assert writer.sent == [b"before", b"behind"]


async def test_what_comes_while_a_hook_waits_is_heard_behind_it(master: TapMaster) -> None:
    said: list[str] = []
    is_called, goes_on = asyncio.Event(), asyncio.Event()

    async def request(flow: Any) -> None:
        said.append("hook")
        is_called.set()
        await goes_on.wait()

    tap(master).request = request
    one, writer = handler(master, waiting(said, "a", HttpRequestHook(tflow.tflow())))
    master.addons.chain = [tap(master)]
    await one.server_event(events.DataReceived(one.client, b"a"))
    await one.server_event(events.DataReceived(one.client, b"b"))
    await is_called.wait()
    assert (said, writer.sent) == (["heard a", "hook"], [b"before"])
    goes_on.set()
    await writer.is_all_sent.wait()
    await asyncio.sleep(0)
    assert said == ["heard a", "hook", "called", "heard b"]


async def test_a_flow_that_the_user_stops_goes_on_when_the_user_says_so(master: TapMaster) -> None:
    said: list[str] = []
    flow = tflow.tflow()
    tap(master).request = lambda flow: flow.intercept()
    one, writer = handler(master, waiting(said, "a", HttpRequestHook(flow)))
    master.addons.chain = [tap(master)]
    await one.server_event(events.DataReceived(one.client, b"a"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert writer.sent == [b"before"]
    flow.resume()
    await writer.is_all_sent.wait()
    assert said == ["heard a", "called"]


async def test_what_a_hook_gives_to_the_layers_is_heard_when_they_are_done(master: TapMaster) -> None:
    said: list[str] = []
    inside: list[Any] = []

    def response(flow: Any) -> None:
        inside.append(asyncio.ensure_future(one.server_event(events.DataReceived(one.client, b"injected"))))
        with pytest.raises(StopIteration):  # as under mitmproxy's eager tasks
            one.server_event(events.DataReceived(one.client, b"at once")).send(None)
        said.append("hook")

    tap(master).response = response
    one, _ = handler(master, waiting(said, "a", HttpResponseHook(tflow.tflow())))
    master.addons.chain = [tap(master)]
    await one.server_event(events.DataReceived(one.client, b"a"))
    await asyncio.gather(*inside)
    assert said == ["heard a", "hook", "called", "heard at once", "heard injected"]


async def test_a_layer_that_fails_is_told_of_and_the_next_event_is_heard(
    master: TapMaster, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    def script(one: layer.Layer, heard: Any) -> Any:
        yield commands.SendData(one.context.client, heard.data)
        if heard.data == b"a":
            raise ValueError

    one, writer = handler(master, script)
    await one.server_event(events.DataReceived(one.client, b"a"))
    await one.server_event(events.DataReceived(one.client, b"b"))
    assert writer.sent == [b"a", b"b"]
    assert [record.getMessage() for record in caplog.records] == ["mitmproxy has crashed!"]
    assert not said


async def test_what_is_sent_to_a_connection_that_is_closed_is_dropped(master: TapMaster) -> None:
    def script(one: layer.Layer, heard: Any) -> Any:
        yield commands.SendData(one.context.server, b"x")
        yield commands.CloseConnection(one.context.server)
        yield commands.SendData(one.context.client, b"y")

    one, writer = handler(master, script)
    await one.server_event(events.DataReceived(one.client, b"a"))
    assert writer.sent == [b"y"]


async def test_a_client_that_has_gone_before_it_is_heard_is_let_go(
    master: TapMaster, caplog: pytest.LogCaptureFixture
) -> None:
    def script(one: layer.Layer, heard: events.Event) -> Any:
        if isinstance(heard, events.ConnectionClosed):
            yield commands.CloseConnection(one.context.client)

    one, writer = handler(master, script)
    reader: Any = one.transports[one.client].reader
    reader.feed_eof()
    with asyncio_utils.set_eager_task_factory():  # as mitmproxy runs
        await asyncio.wait_for(one.handle_client(), PATIENCE)
    assert writer.is_closed
    assert "mitmproxy has crashed!" not in [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("mode", "ours"),
    [
        ("regular", True),
        ("upstream:http://a", True),
        ("reverse:http://a", True),
        ("socks5", True),
        ("transparent", False),
    ],
)
def test_the_modes_that_it_is_for(mode: str, ours: bool) -> None:
    server: Any = ServerInstance.make(mode, SimpleNamespace(connections={}))  # type: ignore[arg-type]
    before = server.handle_stream
    handles(server)
    assert (server.handle_stream != before) is ours
