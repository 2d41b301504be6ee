"""Who must be told: the request and response headers of each dialect, and what the app itself says in them.

A dialect is a module (`helicone`, `traceforge`) behind the protocol of `dialect`; `planning` decides what is written,
`edit` writes it, `app_session` reads what the app declares. May import `llm`, `rules` and `sessions`.
"""

from sessiontap.headers.app_session import AppSession, app_session
from sessiontap.headers.aws import signed_headers
from sessiontap.headers.edit import Edit, apply, changes
from sessiontap.headers.helicone import KEY_HEADER
from sessiontap.headers.planning import DIALECTS, plan, reads, reply_plan
from sessiontap.headers.traceforge import trace_id

__all__ = [
    "DIALECTS",
    "KEY_HEADER",
    "AppSession",
    "Edit",
    "app_session",
    "apply",
    "changes",
    "plan",
    "reads",
    "reply_plan",
    "signed_headers",
    "trace_id",
]
