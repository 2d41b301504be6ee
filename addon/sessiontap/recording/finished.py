"""The values that cross the pipe: a finished call, made by the proxy, and the events that the recorder answers with.

Nothing here holds what only the proxy needs: of the history its end, of the request neither its JSON nor its prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, Literal

import msgspec

from sessiontap.gateways import Direct, Route
from sessiontap.header_edit import Edit
from sessiontap.llm.call import Call
from sessiontap.llm.history import History, ReplyFingerprint
from sessiontap.recording.budget import DEFAULT
from sessiontap.rules.decision import FilledSettings
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.sessions.session import Link, Session
from sessiontap.value_classes import dataclass

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


class BodyTransfer(msgspec.Struct, array_like=True, frozen=True):
    """The size and timing of a body on the wire."""

    size: int = 0
    """Bytes that went by."""
    chunks: Sequence[tuple[int, int]] = ()
    """(arrival, size) of each chunk, if it streamed: nanoseconds since `since`."""
    since: int = 0
    order: Sequence[tuple[int, int]] = ()
    """Of the reply of a WebSocket's turn: see `SocketTurn.order`."""

    @property
    def arrivals(self) -> list[tuple[int, int]]:
        """(nanoseconds from the call's start, size) of each chunk."""
        return [(at - self.since, size) for at, size in self.chunks]


class SentRequest(msgspec.Struct, array_like=True, frozen=True):
    """The head of a request as it was forwarded."""

    host: str
    http_version: str
    headers: Fields = ()
    trailers: Fields = ()


class ReceivedResponse(msgspec.Struct, array_like=True, frozen=True):
    """The head of a response as it came."""

    status: int
    http_version: str
    headers: Fields = ()
    trailers: Fields = ()


class RecordedPlan(msgspec.Struct, array_like=True, frozen=True):
    """The part of a call's plan that its record, and later calls, are made from."""

    rules: tuple[str, ...]
    """Labels of those that set something before the session was known."""
    capture: Literal["full", "metadata", "none"]
    set_by: dict[str, str]
    """See `Decision`."""
    filled: FilledSettings
    session: Session | None
    link: Link
    edits: tuple[Edit, ...] = ()
    """Of the request's headers and the reply's."""
    route: Route | None = None
    direct: Direct | None = None
    """One of the two if a rule asked for a gateway."""
    match_scope: MatchScope | None = None
    history: History | None = None
    """Its end alone: see `History.tail`."""
    counted: tuple[str, ...] = ()
    """The measures of alerts and limits that need to know what the call came to."""


class FinishedCall(msgspec.Struct, array_like=True, frozen=True):
    """A call that is over. Times are Unix nanoseconds, durations nanoseconds; unknown is None.

    Its bodies, as on the wire, go beside it.
    """

    id: str
    """UUIDv7."""
    time: int
    duration: int
    outcome: Outcome
    method: str
    url: str
    host: str
    target: str
    """As the app asked for it."""
    sent: SentRequest
    received: ReceivedResponse | None
    request_body: BodyTransfer
    response_body: BodyTransfer
    time_to_first_byte: int | None = None
    flags: Sequence[str] = ()
    caller: str | None = None
    """The id of a caller that was sent before."""
    caller_unknown: str | None = None
    """Why there is none."""
    client: str | None = None
    proxy_user: str | None = None
    call: Call | None = None
    plan: RecordedPlan | None = None
    """None if planning failed."""
    capture_without_plan: Literal["full", "metadata", "none"] = "full"
    """The capture that holds if planning failed."""

    @property
    def capture(self) -> Literal["full", "metadata", "none"]:
        """Return the part of the call that is recorded."""
        return self.plan.capture if self.plan is not None else self.capture_without_plan

    @property
    def is_whole(self) -> bool:
        """True if both bodies came to their end."""
        return self.outcome in ("ok", "http_error")


@dataclass(frozen=True, slots=True)
class PlannerUpdate:
    """State that the planner of later calls needs from a finished one."""

    call_id: str
    session_id: str | None
    at: int
    """When it ended, Unix nanoseconds."""
    ending: ReplyFingerprint | None
    trace_id: str | None
    """The server's own name for the call."""


OwnPrice = tuple[str, str, str, str, str]
"""An item of the rules' `prices:` as texts: the model's glob; input, output, read from and written to a cache."""


@dataclass(frozen=True, slots=True)
class Start:
    """The settings that the recorder's process begins with."""

    folder: str
    writer_info: dict[str, Any]
    fsync: float | None
    key: bytes
    """Of the digests that stand for secrets."""
    redact_headers: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    memory: int = DEFAULT
    """Bytes that recording may hold in all; see `budget`."""
    prices: tuple[OwnPrice, ...] = ()
    """Of the rules, for alerts and limits that count costs."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note for the log, not redacted yet. `facts` are plain values."""

    kind: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


class ReplyRead(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A reply has been read; `line` is for the terminal."""

    update: PlannerUpdate
    line: str | None


class CallCounted(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The amounts of a finished call, for alerts and limits. Unknown is None."""

    call_id: str
    at: int
    """When it ended, Unix nanoseconds."""
    tokens: int | None = None
    cost_usd: float | None = None
    why_no_cost: str | None = None
    """Why it is not known, if it was asked for."""
    failed: bool | None = None
    tools: bytes | None = None
    """Digest of the tools that its reply calls, with their arguments; None if it calls none."""


class Fault(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A fault of ours, in words."""

    kind: str
    text: str


class UserMessage(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A sentence of the writer for the user."""

    kind: str
    text: str


class Handled(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The number of messages, in all, that are written or counted as dropped."""

    count: int
    dropped: int = 0
    """Records, in all, that the recorder could not write."""
    failing: str | None = None
    """Why none can be written at the moment: the disk's fault."""


Event = ReplyRead | CallCounted | Fault | UserMessage | Handled
