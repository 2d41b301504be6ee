"""Logs as the proxies of several machines write them, in folders of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.trace.conftest import CALLER, call_map

from sessiontap.trace import frame
from sessiontap.trace.rotation import OpenSegment

SECOND = 1_000_000_000
Write = Callable[..., Path]


def log_writer(logs: Path) -> Write:
    """Return a function that writes calls as the proxy of a machine does: in a segment of the folder `logs/MACHINE`,
    which it returns."""

    def write(machine: str, *calls: dict[str, Any], folder: str | None = None) -> Path:
        place = logs / (folder or machine)
        place.mkdir(parents=True, exist_ok=True)
        writer = {"pid": 7, "host": machine, "machine": f"{machine}:1", "sessiontap": "0", "mitmproxy": "0"}
        caller = CALLER | {"id": f"caller-of-{machine}"}
        segment = OpenSegment(place, writer)
        for record in (caller, *(one | {"caller": caller["id"]} for one in calls)):
            segment.append(frame.encode(record))
        segment.close()
        return place

    return write


def call(
    number: int, *, session: str = "shared", step: int | None = None, at: float | None = None, **changes: Any
) -> dict[str, Any]:
    """The call of this number, of a session that machines share; `at`: seconds from the start of all."""
    step = number if step is None else step
    began = 1_000_000_000_000 + int((number if at is None else at) * SECOND)
    of = {"id": session, "name": "Demo", "path": "/a", "step": step}
    return call_map(number, **({"session": of, "time": began} | changes))
