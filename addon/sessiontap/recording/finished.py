"""A call that is over, in plain values, as the proxy hands it to the recorder; and what the recorder says in return.

Both go through a pipe, so nothing here holds what only the proxy needs: of the history its end, of the request neither
its JSON nor its prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from sessiontap.gateways.route import Direct, Route
from sessiontap.headers.edit import Edit
from sessiontap.llm.call import Call
from sessiontap.llm.history import Ending, History
from sessiontap.recording.budget import DEFAULT
from sessiontap.rules.decision import Labels
from sessiontap.sessions.ground import Ground
from sessiontap.sessions.session import Link, Session

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields as on the wire."""

Outcome = Literal[
    "ok",
    "http_error",
    "stream_error",
    "client_gone",
    "upstream_gone",
    "upstream_unreachable",
    "websocket_closed",
    "proxy_stopped",
]


@dataclass(frozen=True, slots=True)
class Passed:
    """How a body passed."""

    size: int = 0
    """Bytes that went by."""
    chunks: Sequence[tuple[int, int]] = ()
    """(arrival, size) of each chunk, where it streamed: nanoseconds since `since`."""
    since: int = 0

    @property
    def arrivals(self) -> list[tuple[int, int]]:
        """(nanoseconds from the call's start, size) of each chunk."""
        return [(at - self.since, size) for at, size in self.chunks]


@dataclass(frozen=True, slots=True)
class Planned:
    """What was decided about a call."""

    rules: tuple[str, ...]
    """Labels of those that set something before the session was known."""
    capture: Literal["full", "metadata", "none"]
    set_by: dict[str, str]
    """See `Decision`."""
    labels: Labels
    session: Session | None
    link: Link
    edits: tuple[Edit, ...] = ()
    """Of the request's headers and the reply's."""
    route: Route | None = None
    direct: Direct | None = None
    """Where a gateway was wished, one of the two."""
    ground: Ground | None = None
    history: History | None = None
    """Its end alone: see `History.tail`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Times are Unix nanoseconds, durations nanoseconds. The bodies, as on the wire, go beside it."""

    id: str
    time: int
    duration: int
    outcome: Outcome
    method: str
    url: str
    host: str
    target: str
    """As the app asked for it."""
    forwarded_host: str
    http_version: str
    request_headers: Fields
    request_trailers: Fields
    request: Passed
    status: int | None
    """None: no response came."""
    reply_http_version: str | None
    reply_headers: Fields
    reply_trailers: Fields
    reply: Passed
    first_byte: int | None
    flags: list[str]
    caller: str | None
    """The id of a caller that was sent before."""
    client: str | None
    proxy_user: str | None
    call: Call | None
    planned: Planned | None
    """None: a fault kept it from being decided."""
    undecided: Literal["full", "metadata", "none"] = "full"
    """How much is recorded then."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a call that ended leaves for later ones."""

    call_id: str
    session_id: str | None
    at: int
    """When it ended, Unix nanoseconds."""
    ending: Ending | None
    trace_id: str | None
    """The server's own name for the call."""


@dataclass(frozen=True, slots=True)
class Start:
    """What the recorder's process begins with."""

    folder: str
    writer_info: dict[str, Any]
    fsync: float | None
    key: bytes
    """Of the digests that stand for secrets."""
    redact_headers: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    memory: int = DEFAULT
    """Bytes that recording may hold in all; see `budget`."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note for the log, not redacted yet. `facts` are plain values."""

    kind: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


class Read(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A reply has been read; `line` is for the terminal."""

    left: Left
    line: str | None


class Fault(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A fault of ours, in words."""

    kind: str
    text: str


class Said(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """What the writer has to tell the user."""

    kind: str
    text: str


class Handled(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """So many messages, in all, are written or counted as dropped."""

    count: int


Event = Read | Fault | Said | Handled
