"""A client's connection under `sessiontap run`: mitmproxy's handler, without a task for what need not wait.

mitmproxy starts a task for each hook and takes a lock for each event, five of each a call. Nearly all hooks are done as
soon as they have begun, so here they are called at once, and what a layer is to hear next waits in a queue. A hook that
does wait gets its task, as with mitmproxy. What layers see is the same, and in the same order.

`handles` makes a server of mitmproxy use this handler. Nobody else's mitmproxy is touched by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from mitmproxy import ctx
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler, ServerInstance
from mitmproxy.proxy.mode_specs import RegularMode, ReverseMode, Socks5Mode, UpstreamMode
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.utils import asyncio_utils


def handles(server: ServerInstance[Any]) -> None:
    """Have the connections of a server handled by `Handler`, if its mode needs no more than that."""
    if isinstance(server.mode, RegularMode | UpstreamMode | ReverseMode | Socks5Mode):

        async def handle_stream(reader: Any, writer: Any = None) -> None:
            handler = Handler(ctx.master, reader, reader if writer is None else writer, ctx.options, server.mode)
            handler.layer = server.make_top_layer(handler.layer.context)
            with server.manager.register_connection(handler.layer.context.client.id, handler):
                await handler.handle_client()

        server.handle_stream = handle_stream  # type: ignore[method-assign]


class Handler(ProxyConnectionHandler):
    """One client's connection, and those to its servers."""

    transports: dict[Connection, ConnectionIO]

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)  # type: ignore[no-untyped-call]
        self._events: deque[events.Event] = deque()
        self._is_at_work = False

    async def server_event(self, event: events.Event) -> None:
        """Give an event to the layers, behind those that came before."""
        self._events.append(event)
        if self._is_at_work:
            return
        self._is_at_work = True
        try:
            while self._events:
                self._handle(self._events.popleft())
        finally:
            self._is_at_work = False

    def _handle(self, event: events.Event) -> None:
        """Do what the layers say to an event."""
        self.timeout_watchdog.register_activity()
        try:
            for command in self.layer.handle_event(event):
                self._do(command)
        except Exception:
            self.log("mitmproxy has crashed!", logging.ERROR, exc_info=True)

    def _do(self, command: commands.Command) -> None:
        """As in mitmproxy's `server_event`."""
        if isinstance(command, commands.StartHook):
            self._start_hook(command)
        elif isinstance(command, commands.OpenConnection):
            name = f"server connection handler {command.connection.address}"
            task = asyncio_utils.create_task(
                self.open_connection(command), name=name, keep_ref=False, client=self.client.peername
            )
            self.transports[command.connection] = ConnectionIO(handler=task)
        elif isinstance(command, commands.ConnectionCommand):
            self._do_to_connection(command)
        elif isinstance(command, commands.RequestWakeup):
            name = f"wakeup timer ({command.delay:.1f}s)"
            self.wakeup_timer.add(
                asyncio_utils.create_task(self.wakeup(command), name=name, keep_ref=False, client=self.client.peername)
            )
        elif isinstance(command, commands.Log):
            self.log(command.message, command.level)
        else:
            raise RuntimeError(f"Unexpected command: {command}")

    def _do_to_connection(self, command: commands.ConnectionCommand) -> None:
        io = self.transports.get(command.connection)
        if io is None:
            return  # it has been closed already
        if isinstance(command, commands.SendData):
            if io.writer is not None and not io.writer.is_closing():
                io.writer.write(command.data)
        elif isinstance(command, commands.CloseConnection):
            half_close = isinstance(command, commands.CloseTcpConnection) and command.half_close
            self.close_connection(command.connection, half_close)
        else:
            raise RuntimeError(f"Unexpected command: {command}")

    def _start_hook(self, hook: commands.StartHook) -> None:
        addons: Any = self.master.addons
        if not addons.call(hook):
            asyncio_utils.create_task(
                self.hook_task(hook), name=f"handle_hook({hook.name})", keep_ref=True, client=self.client.peername
            )
        elif hook.blocking:
            self._events.append(events.HookCompleted(hook))

    async def handle_connection(self, connection: Connection) -> None:
        """As mitmproxy's. The client's task begins before it is made known, and what it reads at once, such as the end
        of a connection, may have to cancel it."""
        if self.transports[connection].handler is None:
            await asyncio.sleep(0)
        await super().handle_connection(connection)

    async def drain_writers(self) -> None:
        """As mitmproxy's: wait while what was written is not sent yet. Mostly there is nothing left."""
        if not all(map(_is_drained, self.transports.values())):
            await super().drain_writers()  # type: ignore[no-untyped-call]


def _is_drained(io: ConnectionIO) -> bool:
    """True if `drain` would return at once, without an error."""
    writer = io.writer
    if writer is None:
        return True
    if not isinstance(writer, asyncio.StreamWriter) or not isinstance(io.reader, asyncio.StreamReader):
        return False
    transport = writer.transport
    return not transport.get_write_buffer_size() and not transport.is_closing() and io.reader.exception() is None
