"""The W3C's headers: https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/

Two dialects: `traceparent` names the call's span, in the trace of its turn, with the ids that a push gives them;
`baggage` says which session it is. An app that sends a `traceparent` of its own is traced already, and its trace goes
on. Only a rule with `existing: replace` that sends this dialect itself begins another.
"""

from __future__ import annotations

from collections.abc import Iterator

from sessiontap.dialects.dialect import AppHeaders, Dialect, ProposedHeader, SessionInfo, property_members
from sessiontap.dialects.members import BAGGAGE, Member, MemberSet
from sessiontap.span_ids import span_id, trace_id

SAMPLED = "01"
"""The call is recorded here."""


def traceparent(info: SessionInfo) -> Iterator[ProposedHeader]:
    """The trace and the span, as version 00 writes them: 55 characters."""
    if info.call:
        value = f"00-{trace_id(info.turn or info.call)}-{span_id(info.call)}-{SAMPLED}"
        yield ProposedHeader("traceparent", value, "send")


def baggage(info: SessionInfo) -> Iterator[ProposedHeader]:
    """`session.id` and `user.id` as OpenTelemetry names them, the session's name and path, the properties."""
    members = [Member("session.id", info.id, "session.id")]
    if info.user:
        members.append(Member("user.id", info.user, "user"))
    members += [
        Member("session.name", info.name, "session.name"),
        Member("session.path", info.path, "session.path"),
        *property_members(info),
    ]
    yield ProposedHeader("baggage", None, "session.id", members=MemberSet(BAGGAGE, tuple(members)))


DIALECTS = (
    Dialect("traceparent", traceparent, prefixes=("traceparent",), for_any_server=True),
    Dialect("baggage", baggage, prefixes=("baggage",), for_any_server=True, app=AppHeaders(baggage="session.id")),
)
