"""Cloudflare's AI Gateway: https://developers.cloudflare.com/ai-gateway/observability/custom-metadata/ and
.../otel-integration/

It has no sessions. Its log shows metadata, of which it keeps the first five entries; texts, numbers, booleans. Its own
span goes beneath that of the call, in the trace of the call's turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from sessiontap.dialects.dialect import Dialect, ProposedHeader, SessionInfo, property_members
from sessiontap.dialects.members import Member, MemberSet, json_object
from sessiontap.span_ids import span_id, trace_id

METADATA = "cf-aig-metadata"
TRACE_ID = "cf-aig-otel-trace-id"
PARENT_SPAN_ID = "cf-aig-otel-parent-span-id"

MOST_ENTRIES = 5
_METADATA = json_object(most=MOST_ENTRIES)


def request_headers(info: SessionInfo) -> Iterator[ProposedHeader]:
    """Session, user, path, name and properties as metadata, as many as there is room for; the trace."""
    metadata = [Member("session_id", info.id, "session.id")]
    if info.user:
        metadata.append(Member("user_id", info.user, "user"))
    metadata += [
        Member("session_path", info.path, "session.path"),
        Member("session_name", info.name, "session.name"),
        *property_members(info),
    ]
    yield ProposedHeader(METADATA, None, "session.id", members=MemberSet(_METADATA, tuple(metadata)))
    if info.call:
        yield ProposedHeader(TRACE_ID, trace_id(info.turn or info.call), "session.id")
        yield ProposedHeader(PARENT_SPAN_ID, span_id(info.call), "session.id")


DIALECT = Dialect(
    "cloudflare",
    request_headers,
    prefixes=(METADATA, "cf-aig-otel-"),
    hosts=("gateway.ai.cloudflare.com",),
    signs=("cf-aig-",),
)
