"""OpenRouter: https://openrouter.ai/docs/api/api-reference/chat/send-chat-completion-request

Side effect: the session's id is the key of sticky routing, so all calls of a session go to the same provider, which
gives more hits in prompt caches. Of user, name and path it reads no header.
"""

from __future__ import annotations

from collections.abc import Iterator

from sessiontap.dialects.dialect import AppHeaders, Dialect, ProposedHeader, SessionInfo

NAME = "openrouter"
SESSION_ID = "x-session-id"
LONGEST_ID = 128
"""Its API reference says 256, LangChain's client that longer ones than 128 are refused."""
HOSTS = ("openrouter.ai", "openrouter.helicone.ai")


def request_headers(info: SessionInfo) -> Iterator[ProposedHeader]:
    """The session's id."""
    if len(info.id) > LONGEST_ID:
        yield ProposedHeader(SESSION_ID, None, "session.id", f"an id has at most {LONGEST_ID} characters there")
    else:
        yield ProposedHeader(SESSION_ID, info.id, "session.id")


DIALECT = Dialect(
    NAME,
    request_headers,
    prefixes=(SESSION_ID,),
    hosts=HOSTS,
    # Elsewhere anybody's `x-session-id` may mean anything.
    app=AppHeaders(SESSION_ID, hosts=HOSTS, sent_by_agents=True),
)
