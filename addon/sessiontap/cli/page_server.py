"""The process of `sessiontap ui`: it finds an address, says it, opens the browser and serves until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sessiontap.cli.errors import Failure
from sessiontap.cli.output import flush, note, write

if TYPE_CHECKING:
    from sessiontap.ui.reading import Reading

PORT = 8420
TRIES = 100
"""Ports that are tried after it."""


def run(open_reading: Callable[[], Reading], port: int | None, unix: Path | None, *, browser: bool) -> None:
    """Serve the page until Ctrl-C. Raises Failure, and TraceError if there is no log."""
    from sessiontap.ui.guard import Access
    from sessiontap.ui.server import Site

    open_reading().trace.close()
    if unix is not None:
        sockets, access = [_unix_socket(unix)], None
        write(f"sessiontap: the page is at the Unix socket {unix}\n")
    else:
        sockets = _listen(port)
        found = sockets[0].getsockname()[1]
        access = Access(f"sessiontap-{found}")
        write(f"sessiontap: the page is at {_address(found, access.token())}\n")
        if browser and may_open_browser():
            import webbrowser

            webbrowser.open(_address(found, access.token()))
    flush()
    try:
        asyncio.run(_serve(Site(open_reading, access), sockets))
    finally:
        if unix is not None:
            with contextlib.suppress(OSError):
                unix.unlink()


async def _serve(site: object, sockets: list[socket.socket]) -> None:
    from sessiontap.ui.server import Site, serve

    assert isinstance(site, Site)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serve(site, sockets)


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
            note(f"port {PORT} is in use; the page takes {tried}")
        return sockets
    raise Failure(f"no port from {PORT} to {PORT + TRIES - 1} is free", "name one with --port")


def _unix_socket(path: Path) -> socket.socket:
    from tornado.netutil import bind_unix_socket

    try:
        return bind_unix_socket(str(path), mode=0o600)
    except (OSError, ValueError) as error:
        raise Failure(f"{path} cannot be used as a socket: {error}", "name another path with --unix") from None


def may_open_browser() -> bool:
    """Return False if a browser would not be seen: on Linux without a display."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER"))
