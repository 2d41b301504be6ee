"""LiteLLM's proxy: https://docs.litellm.ai/docs/proxy/request_headers

`x-litellm-trace-id`, else `x-litellm-session-id` names the session there, so an app's own trace id wins over ours.
Of a customer it reads `x-litellm-customer-id` first: ours goes into the other header, so that an app's own counts.

Side effects: a customer and a tag may have a budget there, and tags choose a model's deployment if tag routing is on.
"""

from __future__ import annotations

from collections.abc import Iterator

from sessiontap.dialects.dialect import AppHeaders, Dialect, ProposedHeader, SessionInfo, property_members
from sessiontap.dialects.header_text import header_text
from sessiontap.dialects.members import TAGS, Member, MemberSet, json_object

SESSION_ID = "x-litellm-session-id"
END_USER = "x-litellm-end-user-id"
TAGS_HEADER = "x-litellm-tags"
METADATA = "x-litellm-spend-logs-metadata"

_METADATA = json_object()


def request_headers(info: SessionInfo) -> Iterator[ProposedHeader]:
    """The session's id, the user, the tags; name, path, step and properties as the metadata of spend logs."""
    yield ProposedHeader(SESSION_ID, info.id, "session.id")
    if info.user:
        user, cut = header_text(info.user)
        if user:
            yield ProposedHeader(END_USER, user, "user", cut)
    if info.tags:
        tags = tuple(Member(tag, tag, "tags") for tag in info.tags)
        yield ProposedHeader(TAGS_HEADER, None, "tags", members=MemberSet(TAGS, tags))
    metadata = (
        Member("session_name", info.name, "session.name"),
        Member("session_path", info.path, "session.path"),
        Member("session_step", str(info.step), "session.id"),
        *property_members(info),
    )
    yield ProposedHeader(METADATA, None, "session.name", members=MemberSet(_METADATA, metadata))


DIALECT = Dialect(
    "litellm",
    request_headers,
    prefixes=(SESSION_ID, END_USER, TAGS_HEADER, METADATA),
    signs=("x-litellm-",),
    app=AppHeaders(SESSION_ID),
)
