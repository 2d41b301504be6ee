"""The address at which a proxy answers for itself, to programs of its machine: `http://sessiontap.invalid/`.

`.invalid` is nobody's (RFC 6761): a request to it that goes through any other proxy ends there. There is one question:

    GET http://sessiontap.invalid/recorded?pid=PID    are the calls of process PID, and what it started, in the log?

The answer comes when they are, or after `LIMIT` seconds: `{"recorded": BOOLEAN, "in_flight": NUMBER}`. `exec` asks it
before it says what a program's run came to. Plain Python: the command line imports it, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from sessiontap.callers import Caller

HOST = "sessiontap.invalid"
LIMIT = 10.0
"""Seconds that an answer takes at most."""
ENDED_WITHIN = 2.0
"""Seconds of these for calls to end: a program's own do at once when it ends, those of what it left behind may not."""
_BETWEEN = 0.01
_RECORDED = "/recorded"


class Answer(NamedTuple):
    """The answer about a process's calls."""

    recorded: bool
    in_flight: int
    """Calls that have not ended."""


def recorded_url(pid: int) -> str:
    """Return the address of the question about process `pid`."""
    return f"http://{HOST}{_RECORDED}?pid={pid}"


def asked_pid(target: str) -> int | None:
    """Return the process that a request's target asks about; None if it asks nothing that is answered."""
    parts = urlsplit(target)
    given = parse_qs(parts.query).get("pid", [])
    if parts.path != _RECORDED or len(given) != 1 or not given[0].isascii() or not given[0].isdigit():
        return None
    return int(given[0])


def descends(caller: Caller | None, pid: int) -> bool:
    """Whether a caller is the process `pid`, or one that it started."""
    return caller is not None and (caller.pid == pid or any(one.pid == pid for one in caller.ancestors))


async def when_recorded(
    in_flight: Callable[[], int], written: Callable[[], Callable[[], bool]], limit: float = LIMIT
) -> Answer:
    """Wait until no call is in flight and those that ended are written, at most `limit` seconds.

    `written` returns a function that tells whether what has ended until now is written.
    """
    begun = time.monotonic()
    await _wait(lambda: not in_flight(), begun + min(limit, ENDED_WITHIN))
    is_written = await _wait(written(), begun + limit)
    left = in_flight()
    return Answer(is_written and not left, left)


async def _wait(holds: Callable[[], bool], until: float) -> bool:
    """Ask until it holds, or it is `until`: what tells it is another process and another thread."""
    import asyncio  # here: the command line does without

    while True:
        if holds():
            return True
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(_BETWEEN)
