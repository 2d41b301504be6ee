"""Listening sockets as mitmproxy's servers have them: on every address of a host, all on one port."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

_BACKLOG = 128
_PORTS = 100
"""Ports that are tried from the default one on."""
_TRIES = 5
"""For a port that is free on all addresses."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Listen at `host`, "" being all interfaces; `port` 0 is any free one. Raises OSError."""
    for left in reversed(range(_TRIES)):
        try:
            return _bind(host, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or not left:
                raise
    raise AssertionError


def bind_from(host: str, port: int) -> list[socket.socket]:
    """Listen as `bind` does, at `port` or at the next one above it that is not taken. Raises OSError."""
    for candidate in range(port, port + _PORTS):
        try:
            return bind(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"the ports {port} to {port + _PORTS - 1} are all taken")


def taken(port: int, instead: int) -> str:
    """The sentence for a user whose proxy listens at another port than usual."""
    return (
        f"sessiontap: port {port} is taken, so the proxy listens at {instead}. `sessiontap env` and `exec` find it "
        "there; to choose a port: -p PORT"
    )


def _bind(host: str, port: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as opened:
        sockets: list[socket.socket] = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                one = opened.enter_context(socket.socket(family, kind, protocol))
            except OSError:  # this system has no IPv6
                continue
            if os.name == "posix":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = sockets[0].getsockname()[1] if sockets else port
            try:
                one.bind((address[0], chosen, *address[2:]))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and len(found) > 1:  # IPv6 is switched off
                    continue
                raise
            one.setblocking(False)
            one.listen(_BACKLOG)
            sockets.append(one)
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        opened.pop_all()
        return sockets
