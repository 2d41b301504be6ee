"""A call in flight."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mitmproxy import http

from sessiontap.exchange import Request
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.proxy.bodies import BodyTap
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.plan import Plan
from sessiontap.trust import UNKNOWN, Upstream


@dataclass(slots=True)
class LiveCall:
    """From the request's headers to its end."""

    id: str
    time: int
    """Unix nanoseconds."""
    started: int
    """By `perf_counter_ns`, for durations."""
    connection: Connection
    request: Request
    """As the app sent it."""
    there: Destination
    upstream: Upstream = UNKNOWN
    """How it travels to its own host."""
    call: Call | None = None
    past: History | None = None
    """The conversation so far, as the request tells it."""
    plan: Plan | None = None
    request_tap: BodyTap | None = None
    reply_tap: BodyTap | None = None
    first_byte: int | None = None
    """Nanoseconds from the start to the reply's headers."""
    undecided: Literal["full", "metadata", "none"] = "full"
    """How much of it is recorded if there is no plan."""
    flags: list[str] = field(default_factory=list)
    flow: http.HTTPFlow | None = None
    """While it is in flight, for a proxy that stops."""
