"""The ports of pages that run (`sessiontap ui`): a proxy of the same user refuses to lead to them.

The page answers this machine alone. A proxy that listens for others would lead them there all the same. It looks at the
address that a request names, and at the one that it is connected to: any name may mean this machine. Each page
leaves a file `~/.sessiontap/run/pages/PORT` with its pid; one that a page left behind counts for nothing. Plain Python:
the command line imports it, too.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from functools import lru_cache
from pathlib import Path

from sessiontap import private
from sessiontap.callers.running import is_alive
from sessiontap.proxy import state_file

REFUSED = "The page of `sessiontap ui` is not reached through a proxy. Open it directly: add localhost to NO_PROXY.\n"


def folder() -> Path:
    """Return the folder of the files."""
    return state_file.folder() / "pages"


def announce(port: int) -> Path:
    """Say that this process serves a page at `port`. Raises OSError."""
    place = folder()
    for one in (place.parent.parent, place.parent, place):
        private.make(one)
    path = place / str(port)
    private.write_text(path, str(os.getpid()))
    return path


def leads_to_page(host: str, port: int) -> bool:
    """Return True if a page of this user's answers there."""
    if not _is_here(host):
        return False
    try:
        pid = int((folder() / str(port)).read_text())
    except (OSError, ValueError):
        return False
    return is_alive(pid, of_others=False)


@lru_cache(maxsize=256)  # each request asks
def _is_here(host: str) -> bool:
    if f".{host.lower().rstrip('.')}".endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f.1, 2130706433: resolvers take them
        except (OSError, UnicodeError):
            return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback or (mapped or address).is_unspecified)
