"""Dialects that this version does not write, and whose session ids it recognises if an app sends them.

Not recognised: trace ids (`x-litellm-trace-id`, `x-portkey-trace-id`, `traceparent`). Many apps make a new one for each
call, and each would end the session that the rules describe.
"""

from __future__ import annotations

from sessiontap.dialects.dialect import AppHeaders, Dialect

LITELLM = Dialect("litellm", app=AppHeaders(id="x-litellm-session-id"))
LANGFUSE = Dialect("langfuse", app=AppHeaders(id="langfuse_session_id", baggage="langfuse_session_id"))
OPENROUTER = Dialect(
    "openrouter",
    app=AppHeaders(
        id="x-session-id",
        # Elsewhere anybody's `x-session-id` may mean anything.
        hosts=("openrouter.ai", "openrouter.helicone.ai"),
        # opencode sends `x-session-id` to everyone; a sub-agent's is its own.
        unless=("x-opencode-session-id", "x-opencode-session", "x-session-affinity"),
    ),
)
W3C = Dialect("w3c", app=AppHeaders(baggage="session.id"))
