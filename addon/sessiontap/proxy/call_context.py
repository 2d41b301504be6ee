"""A call in flight: its context, which each stage fills in further, and its plan.

`Calls` takes it through the stages: prepare, wait for earlier replies, plan. A hook of `Tap` then applies the plan.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sessiontap.exchange import Request
from sessiontap.gateways import Direct, Route
from sessiontap.gateways.failing_open import GatewayUse
from sessiontap.headers import Edit
from sessiontap.llm.call import Call
from sessiontap.llm.history import History
from sessiontap.llm.refusal import Refusal
from sessiontap.proxy.bodies import BodyTap
from sessiontap.proxy.connections import Connection, Destination
from sessiontap.proxy.reading_memory import ReadingMemory
from sessiontap.rules import Decision, FilledSettings
from sessiontap.sessions import Link, Session
from sessiontap.sessions.links import LinkedCall
from sessiontap.sessions.match_scope import MatchScope
from sessiontap.trust import UNKNOWN, Upstream
from sessiontap.value_classes import dataclass

if TYPE_CHECKING:
    from mitmproxy import http

    from sessiontap.proxy.gateway_stream import GatewayAttempt

NO_LINK = Link()


class SocketContext(NamedTuple):
    """The place of a call on the WebSocket that it is a turn of."""

    upgrade: str
    """The id of its upgrade's call."""
    is_fresh: bool = False
    """The conversation that the upgrade was told of has not begun yet."""
    conversation: str | None = None
    """The one that all turns of the socket belong to, if they do."""
    previous: str | None = None
    """The id of the reply that it goes on from."""
    increments_step: bool = True
    """False for a warm-up, which is no call of its session's."""
    reserved_session: Session | None = None
    """The session assigned at the upgrade: its step is reused or released."""


class Fallback(NamedTuple):
    """The part of a plan that is another one if the call goes to its own host, since its gateway fails."""

    filled: FilledSettings
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes to a call, and why they are made. `session` is None only if the call is ignored."""

    decision: Decision
    filled: FilledSettings
    call: Call
    """The call, with what its conversation tells of it."""
    session: Session | None = None
    link: Link = NO_LINK
    history: History | None = None
    match_scope: MatchScope | None = None
    edits: tuple[Edit, ...] = ()
    """Of the request's headers, the gateway's own among them."""
    gateway: Route | Direct | None = None
    """If a rule asks for a gateway: the way there, or why the call goes to its own host."""
    use: GatewayUse | None = None
    """Of the gateway, if the call goes there."""
    fallback: Fallback | None = None
    """For its own host; None if it may not go there should its gateway fail."""
    reply_edits: tuple[Edit, ...] = ()
    """Of the response's headers, once it has come."""
    counted: tuple[str, ...] = ()
    """The measures of alerts and limits that wait for what the call comes to."""
    warnings: tuple[str, ...] = ()
    """Sentences for the user, each said once: keys that were withheld, calls that did not go to their gateway."""

    def summary(self) -> dict[str, Any]:
        """The plan in plain values, for mitmproxy's flow metadata."""
        assert self.session is not None
        return {
            "session_id": self.session.id,
            "session_name": self.session.name,
            "path": self.filled.path,
            "step": self.session.step,
            "source": self.session.source,
            "rules": list(dict.fromkeys((*self.decision.rules, *self.filled.rules))),
        }


@dataclass(slots=True)
class CallContext:
    """A call from its request's headers to its end."""

    id: str
    time: int
    """Unix nanoseconds."""
    started: int
    """By `perf_counter_ns`, for durations."""
    connection: Connection
    request: Request
    """As the app sent it."""
    destination: Destination
    is_likely: bool = False
    """Nothing names its host: only its body will tell whether it is an LLM call."""
    upstream: Upstream = UNKNOWN
    """Its way to its own host."""
    socket: SocketContext | None = None
    """None if it is no turn of a WebSocket."""
    call: Call | None = None
    """The request as it was read. None before, and if reading failed."""
    history: History | None = None
    """The conversation so far, as the request tells it."""
    awaits_reply: LinkedCall | None = None
    """The call, as long as another proxy may be reading the reply that it goes on from."""
    plan: Plan | None = None
    """None before planning, and if it failed."""
    attempt: GatewayAttempt | None = None
    """At its gateway, while that has not answered."""
    refusal: Refusal | None = None
    """The answer that it gets in its server's stead: a limit of the rules is reached."""
    memory: ReadingMemory | None = None
    """The memory that its request takes while it is read, until it is planned."""
    request_tap: BodyTap | None = None
    reply_tap: BodyTap | None = None
    first_byte: int | None = None
    """Nanoseconds from the start to the reply's headers."""
    capture_without_plan: Literal["full", "metadata", "none"] = "full"
    """The capture that holds if planning failed."""
    flags: list[str] = field(default_factory=list)
    flow: http.HTTPFlow | None = None
    """While it is in flight, for a proxy that stops."""

    @property
    def caller_id(self) -> str | None:
        """The id of the process that makes the call, if it is known."""
        caller = self.connection.caller
        return caller.id if caller is not None else None
