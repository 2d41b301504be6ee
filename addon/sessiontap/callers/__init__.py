"""Find the process behind a connection.

Imports nothing of the project but its leaves; psutil only if there is no /proc. `find` is the one function behind
which each platform has its module (`linux`, `portable`):

- `find(client, proxy, env_names)`: the whole look-up, for a thread beside the event loop.
- `find_known(client, proxy, env_names)`: the same answer within a millisecond, if it takes no long search: for a
  process that was found lately or just started, a remote client, a closed socket. Else None: then call `find`. Call it
  on the loop: on a thread beside a busy loop each of a look-up's many small system calls waits for the interpreter's
  lock, up to 5 ms.
- `search()`: look-ups that need the long search share one, a little at a time, on the loop; None if each needs a
  thread. A burst of connections costs one walk over all processes, not one each.
- `warm_up()`: before the first look-up, so that the first takes no longer than others.
- `expect(pid)`: another process of ours has found that caller; the look-up of its connection begins there.
- `listens(caller)`: tells whether the process is a server.
- `forget()`: empties the memory, which is bounded anyway.

All are safe to call from several threads, and none raises.
"""

from __future__ import annotations

import contextlib
import sys
from functools import cache
from typing import TYPE_CHECKING

from sessiontap.callers.caller import Caller, Found, Process

if TYPE_CHECKING:
    from sessiontap.callers import linux, portable
    from sessiontap.callers.process_search import Search

__all__ = ["Caller", "Found", "Process", "expect", "find", "find_known", "forget", "listens", "search", "warm_up"]


def find(client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found:
    """Return the process that opened a connection which was just accepted.

    `client` is the peer's address (getpeername), `proxy` the address that the client connected to (getsockname; if
    connections are redirected, the one that the client meant). `env_names` are the variables that are wanted of the
    process's environment. Of several processes that hold the connection, it is the one from which the others have it.

    Reasons for there being none: `remote client`; `gone` (it has closed the socket or ended; the uid is known if
    the kernel still knows it); `not permitted` (another user's process); `not visible` (in another pid namespace);
    `not found in time`; `look-up failed: ...`.
    """
    try:
        finder = _finder()
    except Exception as error:
        return Found(reason=f"look-up failed: {type(error).__name__}: {error}")
    return finder.find(client, proxy, env_names)


def find_known(client: tuple[str, int], proxy: tuple[str, int], env_names: frozenset[str]) -> Found | None:
    """Return what `find` would, if that takes 50 microseconds to a millisecond; else None. Waits for nothing."""
    try:
        finder = _finder()
    except Exception:
        return None
    return finder.find_known(client, proxy, env_names)


def search() -> Search | None:
    """Return a `process_search.Search` that look-ups share. None if the platform has none; then call `find`."""
    try:
        return _finder().search()
    except Exception:
        return None


def warm_up() -> None:
    """Load the platform's module and what every look-up needs. Takes milliseconds; call it before the proxy listens."""
    with contextlib.suppress(Exception):
        _finder().warm_up()


def expect(pid: int) -> None:
    """Begin the next look-ups with the process `pid`, which is likely to hold the connection."""
    with contextlib.suppress(Exception):
        _finder().expect(pid)


def listens(caller: Caller) -> bool | None:
    """Return True if the process has a listening TCP socket; None if that cannot be known (any more).

    Costs about 0.15 ms; an answer is kept for five seconds.
    """
    try:
        finder = _finder()
    except Exception:
        return None
    return finder.listens(caller)


def forget() -> None:
    """Empty the memory of processes."""
    if _finder.cache_info().currsize:
        _finder().forget()


@cache
def _finder() -> linux.LinuxFinder | portable.PortableFinder:
    """Return the platform's finder, made once. Raises ImportError if psutil is needed and missing."""
    if sys.platform == "linux":
        from sessiontap.callers import linux

        return linux.LinuxFinder()
    from sessiontap.callers import portable

    return portable.PortableFinder()
