"""Portkey: https://portkey.ai/docs/product/observability/traces and .../metadata

It has no sessions. A trace groups calls there, so the session is the trace and each call a span of it.
Values of its metadata are texts of at most 128 characters; `_user` is the user.
"""

from __future__ import annotations

from collections.abc import Iterator

from sessiontap.dialects.dialect import Dialect, ProposedHeader, SessionInfo, property_members
from sessiontap.dialects.header_text import path_text
from sessiontap.dialects.members import Member, MemberSet, json_object
from sessiontap.span_ids import span_id

TRACE_ID = "x-portkey-trace-id"
SPAN_ID = "x-portkey-span-id"
SPAN_NAME = "x-portkey-span-name"
METADATA = "x-portkey-metadata"

LONGEST_VALUE = 128
_METADATA = json_object(LONGEST_VALUE)


def request_headers(info: SessionInfo) -> Iterator[ProposedHeader]:
    """The session as the trace, the call as its span, the path as the span's name; the rest as metadata."""
    yield ProposedHeader(TRACE_ID, info.id, "session.id")
    if info.call:
        yield ProposedHeader(SPAN_ID, span_id(info.call), "session.id")
    path, cut = path_text(info.path)
    yield ProposedHeader(SPAN_NAME, path, "session.path", cut)
    metadata = [Member("_user", info.user, "user")] if info.user else []
    metadata += [Member("session_name", info.name, "session.name"), *property_members(info)]
    yield ProposedHeader(METADATA, None, "session.name", members=MemberSet(_METADATA, tuple(metadata)))


DIALECT = Dialect(
    "portkey",
    request_headers,
    prefixes=(TRACE_ID, "x-portkey-span-", METADATA),
    hosts=("api.portkey.ai", "aigw.portkey.ai"),
    signs=("x-portkey-",),
)
