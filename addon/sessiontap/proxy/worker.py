"""A worker of `sessiontap run --workers`: a proxy that listens nowhere and gets its connections from the front.

It is `sessiontap run` with mitmproxy's servers off. A connection comes as an open socket (channel.py), and is given to
mitmproxy's server for its mode as if that had accepted it. The front (front.py) starts this module as a program.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

from mitmproxy import ctx
from mitmproxy.options import Options
from mitmproxy.proxy.mode_servers import ServerInstance
from mitmproxy.proxy.mode_specs import ProxyMode, RegularMode, UpstreamMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tools.main import run

from sessiontap import callers
from sessiontap.proxy import own_address
from sessiontap.proxy.channel import Channel, wait_for_message
from sessiontap.proxy.handler import handles
from sessiontap.proxy.requirements import exit_with_error
from sessiontap.proxy.runner import Master, command_line, filters, unnamed_port
from sessiontap.proxy.shared_counts import WorkerCounts
from sessiontap.proxy.tap import Tap

_ONE_FILE = {
    "save_stream_file": "-w",
    "hardump": "--set hardump",
    "rfile": "-r",
    "client_replay": "-C",
    "server_replay": "-S",
}
"""Options by which each worker would write, or play, the same file."""
_SELF = "Request destination unknown. Unable to figure out where this request should be forwarded to."
"""mitmproxy's own words for a request to the proxy itself."""


class Worker:
    """The worker's side of the channel, and an addon of mitmproxy."""

    name = "sessiontap-worker"

    def __init__(self, end: socket.socket, number: int, count: int) -> None:
        """`number` of `count` workers, from 1."""
        self._end = end
        self.number = number
        self.count = count
        self._tap: Tap
        self._channel: Channel | None = None
        self._unsent: list[dict[str, Any]] = []
        """Messages of before the channel is open."""
        self.counts = WorkerCounts(self._send, restores=self.is_first)
        """Of all workers."""
        self._modes: list[ProxyMode] = []
        self._handlers: list[Any] = []
        self.listeners: list[dict[str, Any]] = []
        """The addresses at which the front listens, as in the state file."""
        self.token = secrets.token_urlsafe()
        """As `Service.token`: the front's, once it has said it."""
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[list[Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, tap: Tap) -> None:
        """Have the addon tell the front what it would tell everybody."""
        self._tap = tap
        tap.service.worker = self
        tap.answers.ask_others = self._ask_others
        tap.calls.alerts.shared = self.counts

    def _send(self, message: dict[str, Any]) -> None:
        if self._channel is None:
            self._unsent.append(message)
        else:
            self._channel.send(message)

    def check(self, options: Options) -> None:
        """End the process with a sentence if workers cannot do what the options say."""
        self._modes = [ProxyMode.parse(text) for text in options.mode]
        for mode in self._modes:
            if not isinstance(mode, RegularMode | UpstreamMode):
                exit_with_error(
                    f"--workers cannot be combined with --mode {mode.full_spec}: workers serve the modes regular and "
                    "upstream. Leave --workers out."
                )
        for option, flag in _ONE_FILE.items():
            if getattr(options, option, None):
                exit_with_error(
                    f"--workers cannot be combined with {flag}: each worker would use that file. Leave one out."
                )

    @property
    def is_first(self) -> bool:
        """It says what all workers would say."""
        return self.number == 1

    def ready(self, values: Mapping[str, Any]) -> None:
        """The proxy runs: take connections from here on. `values` are for the state file."""
        servers: Any = ctx.master.addons.get("proxyserver")
        made: list[ServerInstance[Any]] = [ServerInstance.make(mode, servers) for mode in self._modes]
        for server in made:
            handles(server)
        self._handlers = [server.handle_stream for server in made]
        self._channel = Channel(self._end, self._received, ctx.master.shutdown)
        for message in self._unsent:
            self._channel.send(message)
        self._unsent.clear()
        self._channel.send(
            {
                "kind": "ready",
                "values": dict(values),
                "modes": [self._described(mode) for mode in self._modes],
                "verbosity": ctx.options.termlog_verbosity,
            }
        )

    def _described(self, mode: ProxyMode) -> dict[str, Any]:
        host, port = mode.listen_host(ctx.options.listen_host), mode.listen_port(ctx.options.listen_port)
        is_named = unnamed_port(ctx.options) is None
        return {
            "mode": mode.type_name,
            "description": mode.description,
            "host": host,
            "port": port,
            "port_is_named": is_named,
        }

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Refuse a connection to the proxy itself: mitmproxy's own check knows the servers of this process alone."""
        host, port = (data.server.address or ("", 0))[:2]
        for one in self.listeners:
            if port == one["port"] and host in ("localhost", "127.0.0.1", "::1", one["host"]):
                data.server.error = _SELF

    # -- messages of the front -----------------------------------------------------------------------------------------

    def _received(self, message: dict[str, Any], handed: socket.socket | None) -> None:
        with self._tap.faults.guard("worker"):
            match message["kind"]:
                case "client":
                    if message["pid"] is not None:
                        callers.expect(message["pid"])
                    self._begin(self._serve(handed, self._handlers[message["mode"]]))
                case "end":
                    master: Any = ctx.master
                    (master.prompt_for_exit if message["at_once"] else master.shutdown)()
                case "listening":
                    self.listeners, self.token = message["listeners"], message["token"]
                case "note":
                    self._tap.notices.note("worker", message["text"])
                case "question":
                    self._begin(self._answer(message["id"], message["target"]))
                case "counted":
                    self.counts.take(message)
                case "answers":
                    waiting = self._asked.pop(message["id"], None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(message["answers"])

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket | None, handle: Any) -> None:
        """Serve a client's connection to its end."""
        try:
            if client is None:
                self._tap.notices.no_files()
                return
            try:
                reader = asyncio.StreamReader()
                loop = asyncio.get_running_loop()
                transport, protocol = await loop.connect_accepted_socket(
                    lambda: asyncio.StreamReaderProtocol(reader), client
                )
            except OSError:  # the client has gone
                client.close()
                return
            await handle(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        finally:
            self._send({"kind": "closed"})

    async def _answer(self, id: int, target: str) -> None:
        """Answer, of this worker alone, what another one was asked."""
        answer: Any = None
        with self._tap.faults.guard("own address"):
            question = own_address.asked(target)
            answer = await self._tap.answers.own(question) if question is not None else None
        self._send({"kind": "answer", "id": id, "answer": answer})

    async def _ask_others(self, target: str) -> list[Any]:
        """The other workers' answers; of one that gives none, None."""
        id = next(self._numbers)
        self._asked[id] = asyncio.get_running_loop().create_future()
        self._send({"kind": "question", "id": id, "target": target})
        try:
            return await asyncio.wait_for(self._asked[id], own_address.LIMIT + 2)
        except TimeoutError:
            return [None] * (self.count - 1)
        finally:
            self._asked.pop(id, None)


class WorkerMaster(Master):
    """`sessiontap run` without servers."""

    def __init__(self, opts: Options, worker: Worker) -> None:
        super().__init__(opts, [worker])
        self._worker = worker
        worker.attach(self.tap)

    async def run(self) -> None:
        """Run until told to stop, or until the front has gone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # The front says when to end. A service manager signals all processes, and two signals would end it at once.
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        self._worker.check(self.options)
        self.options.update(server=False)
        await super().run()


def main() -> None:
    """The program: descriptor of the channel, number, count, then mitmdump's command line."""
    end = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(end.fileno(), False)
    if not wait_for_message(end):  # `begin`
        return
    worker = Worker(end, int(sys.argv[2]), int(sys.argv[3]))
    del sys.argv[1:4]  # the rest is read as that of `sessiontap run` is
    run(lambda opts: WorkerMaster(opts, worker), command_line, sys.argv[1:], filters)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
