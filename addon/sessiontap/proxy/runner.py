"""`sessiontap run`: the proxy with the addon loaded. It takes mitmdump's command line.

It ends at once, or when the calls in flight have ended:

    Ctrl-C               at once; calls in flight are recorded as far as they came (`proxy_stopped`)
    SIGTERM              no new connections; calls in flight may end, within `session_drain`; the second one: at once
    SIGHUP               without a terminal: read the rules again; with one, it was closed: at once

A service manager sends SIGTERM, then kills what does not end in time: its time must be longer than `session_drain`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mitmproxy.options import Options
from mitmproxy.proxy.mode_specs import ProxyMode, RegularMode, UpstreamMode
from mitmproxy.tools import cmdline
from mitmproxy.tools.main import run

from sessiontap.proxy import entry
from sessiontap.proxy.ca import default_confdir
from sessiontap.proxy.listening import bind_from, taken
from sessiontap.proxy.master import TapMaster
from sessiontap.proxy.requirements import exit_with_error
from sessiontap.proxy.upstream import BehindProxy

logger = logging.getLogger("sessiontap")
_POLL_SECONDS = 0.05
"""Between two looks at the calls in flight."""


def main(arguments: Sequence[str]) -> None:
    """Run the proxy until it is told to stop. `arguments` are mitmdump's own."""
    run(Master, command_line, arguments, filters)


def command_line(options: Options) -> ArgumentParser:
    """mitmdump's parser. What it does not know is refused as by the other commands."""
    parser: ArgumentParser = cmdline.mitmdump(options)
    parser.prog = "sessiontap run"
    parser.error = _refuse  # type: ignore[method-assign]
    return parser


def _refuse(message: str) -> NoReturn:
    exit_with_error(f"{message}\nhint: sessiontap run -h shows what it takes")


class Master(TapMaster):
    """The one with our addon, as mitmproxy's `run` makes it."""

    def __init__(self, opts: Options, more: Sequence[Any] = ()) -> None:
        """`more` addons stand behind ours."""
        (self.tap,) = entry.addons()
        super().__init__(opts, [self.tap, BehindProxy(), *more])
        self._answering: asyncio.Task[None] | None = None
        self._drain = Drain(lambda: len(self.tap.in_flight), self._close_listeners, super().shutdown)

    async def run(self) -> None:
        """Run until told to stop. The addon learns its options first, as scripts do, before any server listens."""
        self.configure_taps()
        self._choose_confdir()
        self._choose_port()
        on_hang_up(self.tap.service.read_rules, super().shutdown)
        await super().run()

    def shutdown(self) -> None:
        """End when the calls in flight have ended. mitmproxy calls it at SIGTERM; from any thread."""
        settings = self.tap.service.settings
        self.event_loop.call_soon_threadsafe(self._drain.begin, settings.drain if settings is not None else 0.0)

    def prompt_for_exit(self) -> None:
        """End at once. mitmproxy calls it at Ctrl-C."""
        super().shutdown()  # type: ignore[no-untyped-call]

    def _close_listeners(self) -> None:
        self.options.update(server=False)
        if self.tap.service.worker is None:
            self._answering = asyncio.get_running_loop().create_task(self._answer_beside())

    async def _answer_beside(self) -> None:
        """Say which calls are in flight, at a port for that alone, until they have ended."""
        with self.tap.faults.guard("own address"), contextlib.suppress(OSError):
            server = await self.tap.answers.listen()
            self.tap.service.drains(server.sockets[0].getsockname()[1])
            await server.serve_forever()

    def _choose_port(self) -> None:
        """Take the next free port if the default one is taken, and the user has named none."""
        port = unnamed_port(self.options) if self.options.server else None
        if port is None:
            return
        (mode,) = self.options.mode
        try:
            sockets = bind_from(ProxyMode.parse(mode).listen_host(self.options.listen_host), port)
        except OSError:
            return  # mitmproxy says what is wrong
        chosen = sockets[0].getsockname()[1]
        for one in sockets:
            one.close()
        if chosen != port:
            self.options.update(listen_port=chosen)
            logger.warning(taken(port, chosen))

    def _choose_confdir(self) -> None:
        """Take another folder if the user names none and mitmproxy's own cannot be made."""
        if not self.options.has_changed("confdir"):
            folder = default_confdir()
            if folder != Path(os.path.expanduser(self.options.confdir)):
                self.options.update(confdir=str(folder))


def unnamed_port(options: Options) -> int | None:
    """The default port of a proxy whose port nobody has named; None if it is named, or if there are several modes."""
    modes = [ProxyMode.parse(text) for text in options.mode]
    if options.listen_port is not None or len(modes) != 1 or not isinstance(modes[0], RegularMode | UpstreamMode):
        return None
    return modes[0].listen_port() if modes[0].custom_listen_port is None else None


def filters(args: Any) -> dict[str, str]:
    """The options that the filter behind mitmdump's options sets."""
    names = ("save_stream_filter", "readfile_filter", "dumper_filter")
    return dict.fromkeys(names, " ".join(args.filter_args)) if args.filter_args else {}


class Drain:
    """Waits for the calls in flight, once. For the loop alone."""

    def __init__(self, in_flight: Callable[[], int], close_listeners: Callable[[], None], end: Callable[[], None]):
        """`in_flight` counts calls, `close_listeners` stops accepting connections, `end` ends the proxy."""
        self._in_flight = in_flight
        self._close_listeners = close_listeners
        self._end = end
        self._waiting: asyncio.Task[None] | None = None

    def begin(self, seconds: float) -> None:
        """End the proxy when no call is in flight, at most `seconds` from now. The second time: at once."""
        calls = self._in_flight()
        if self._waiting is not None or not calls or not seconds:
            self._end()
            return
        logger.info(
            f"sessiontap: {'1 call is' if calls == 1 else f'{calls} calls are'} in flight; the proxy ends after "
            f"{'it' if calls == 1 else 'them'}, in {seconds:g} s at the latest. A second SIGTERM ends it at once"
        )
        self._waiting = asyncio.get_running_loop().create_task(self._drain(seconds))

    async def _drain(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._close_listeners()
        while self._in_flight():
            if loop.time() >= until:
                break
            await asyncio.sleep(_POLL_SECONDS)
        self._end()


def on_hang_up(read_rules: Callable[[], None], end: Callable[[], None]) -> None:
    """Handle SIGHUP on the running loop, if this system has it."""
    if not hasattr(signal, "SIGHUP"):
        return
    handle = end if sys.stdin is not None and sys.stdin.isatty() else read_rules
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, handle)
