"""The process of `sessiontap ui`: it finds an address, says it, opens the browser and serves until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap import private
from sessiontap.callers.running import is_alive
from sessiontap.cli.errors import Failure
from sessiontap.cli.output import flush, print_notice, write
from sessiontap.proxy import page_port

if TYPE_CHECKING:
    from sessiontap.ui.reading import Reading
    from sessiontap.ui.site import Site

PORT = 8420
LOOK_EVERY = 0.5
"""Seconds between two looks if the process still runs that the page ends with."""
_COLLECT_AFTER = 100_000
"""Objects that are made between two garbage collections. A page of a long session makes a million, and no cycles: at
Python's own 700 collections are a fifth of its time."""
TRIES = 100
"""Ports that are tried after it."""


def run(
    open_reading: Callable[[], Reading],
    port: int | None,
    unix: Path | None,
    *,
    browser: bool,
    beside: int | None = None,
) -> None:
    """Serve the page until Ctrl-C, or until the process `beside` has ended. Raises Failure."""
    from sessiontap.ui.guard import Access
    from sessiontap.ui.site import Site

    gc.set_threshold(_COLLECT_AFTER)
    left: Path | None = unix
    if unix is not None:
        sockets, access = [_unix_socket(unix)], None
        write(f"sessiontap: the page is at the Unix socket {unix}\n")
    else:
        sockets = _listen(port)
        found = sockets[0].getsockname()[1]
        access = Access(f"sessiontap-{found}")
        with contextlib.suppress(OSError):  # without it a proxy may lead there, and the page asks for its token
            left = page_port.announce(found)
        write(f"sessiontap: the page is at {_address(found, access.token())}\n")
        if browser and may_open_browser():
            import webbrowser

            webbrowser.open(_address(found, access.token()))
    flush()
    try:
        asyncio.run(_serve(Site(open_reading, access), sockets, beside))
    finally:
        if left is not None:
            with contextlib.suppress(OSError):
                left.unlink()


def start_beside(trace: Path, rules: Path | None) -> None:
    """Start the page as a process of its own, which prints its line on stderr and ends with this process.

    It is no part of the terminal's foreground: Ctrl-C is for the program that runs there.
    """
    from sessiontap import own_python

    private.make(trace)
    command = own_python.command("-m", "sessiontap.cli", "--trace", str(trace), "ui", "--beside", str(os.getpid()))
    subprocess.Popen(
        [*command, *(["--rules", str(rules.absolute())] if rules is not None else [])],
        env=own_python.environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
    )


async def _serve(site: Site, sockets: list[socket.socket], beside: int | None) -> None:
    from sessiontap.ui.server import serve

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for one in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: there asyncio.run ends the task at Ctrl-C
            loop.add_signal_handler(one, task.cancel)
    watching = loop.create_task(_end_with(beside, task.cancel)) if beside is not None else None
    with contextlib.suppress(asyncio.CancelledError):
        await serve(site, sockets)
    if watching is not None:
        watching.cancel()


async def _end_with(process: int, end: Callable[[], object]) -> None:
    """Call `end` once the process that started this one has ended."""
    while is_alive(process) and (os.name != "posix" or os.getppid() == process):  # noqa: ASYNC110 (no event tells it)
        await asyncio.sleep(LOOK_EVERY)
    end()


def _address(port: int, token: str) -> str:
    return f"http://127.0.0.1:{port}/?token={token}"


def _listen(port: int | None) -> list[socket.socket]:
    from sessiontap.ui.server import bind

    if port is not None:
        try:
            return bind(port)
        except OSError as error:
            raise Failure(
                f"port {port} cannot be used: {error.strerror}", "name another with --port, or none"
            ) from None
    for tried in range(PORT, PORT + TRIES):
        try:
            sockets = bind(tried)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        if tried != PORT:
            print_notice(f"port {PORT} is in use; the page uses {tried}")
        return sockets
    raise Failure(f"no port from {PORT} to {PORT + TRIES - 1} is free", "name one with --port")


def _unix_socket(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise Failure("Python has no Unix sockets on this system", "listen at a port of this machine: --port")
    from tornado.netutil import bind_unix_socket

    try:
        return bind_unix_socket(str(path), mode=0o600)
    except (OSError, ValueError) as error:
        # tornado's ValueError: something else stands there.
        why = error.strerror or str(error) if isinstance(error, OSError) else "it is there, and is no socket"
        raise Failure(f"{path} cannot be used as a socket: {why}", "name another path with --unix") from None


def may_open_browser() -> bool:
    """Return False if a browser would not be seen: on Linux without a display."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER"))
