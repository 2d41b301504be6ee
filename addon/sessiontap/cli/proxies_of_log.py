"""The proxies that write to a log, and the calls that are in flight there: each proxy is asked.

They are found by their state files, which only their user can read, and each is asked at its own address. One that does
not answer soon enough is passed over: nothing is shown that nobody vouches for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sessiontap.callers.running import is_alive
from sessiontap.cli.local_proxies import Asking, RunningProxy, read
from sessiontap.proxy import own_address, state_file
from sessiontap.trace.folders import logs_in, named_in
from sessiontap.trace.shape import read_in_flight

WITHIN = 0.2
"""Seconds for the answers of all proxies together."""
_LEAST = 0.001
"""Seconds to read an answer that may be there already."""


def calls(folder: Path) -> list[dict[str, Any]]:
    """Return the calls in flight of the trace `folder`, in maps of `shape.CallInFlightShape`, oldest first."""
    answered = [call for answer in _answers(list(writers(folder))) for call in answer]
    found = [call for one in answered if (call := read_in_flight(one)) is not None]
    return sorted(found, key=lambda call: (call["time"], call["id"]))


def writers(folder: Path) -> Iterator[RunningProxy]:
    """The running proxies of this user that write to the trace `folder` and can be asked."""
    places = {os.path.realpath(one) for one in (*named_in(folder), *logs_in(folder))}
    return (proxy for proxy in running() if os.path.realpath(proxy.trace) in places)


def running() -> Iterator[RunningProxy]:
    """The running proxies of this user that can be asked."""
    for path in state_file.folder().glob("*.json"):
        proxy = read(path)
        if proxy is not None and proxy.token is not None and proxy.asked is not None and is_alive(proxy.pid):
            yield proxy


def _answers(proxies: list[RunningProxy]) -> Iterator[list[Any]]:
    """Yield the answer of each proxy. All are asked before the first answer is read."""
    end = time.monotonic() + WITHIN
    asked = [one for proxy in proxies if (one := _ask(proxy, end)) is not None]
    for one in asked:
        answered = one.answer(_left(end))
        found = answered.get("calls") if isinstance(answered, dict) else None
        yield found if isinstance(found, list) else []


def _ask(proxy: RunningProxy, end: float) -> Asking | None:
    assert proxy.asked is not None
    assert proxy.token is not None
    question = own_address.in_flight_url(proxy.token)
    try:
        return Asking(proxy.asked.local_host, proxy.asked.port, question, _left(end))
    except OSError:
        return None


def _left(end: float) -> float:
    return max(end - time.monotonic(), _LEAST)
