"""The headers that a call carries: what is written into requests and replies, and what the app itself says in them.

`planning` decides what is written, by the dialects of `dialects/`; `app_session` reads what the app declares. May
import `dialects`, `llm`, `rules` and `sessions`.
"""

from sessiontap.dialects import OWN_KEYS
from sessiontap.header_edit import Edit, apply, changes
from sessiontap.headers.app_session import AppSession, app_session
from sessiontap.headers.planning import OutgoingCall, plan, reply_plan, signed_headers, trace_id

__all__ = [
    "OWN_KEYS",
    "AppSession",
    "Edit",
    "OutgoingCall",
    "app_session",
    "apply",
    "changes",
    "plan",
    "reply_plan",
    "signed_headers",
    "trace_id",
]
