"""The pages of the site. Each is a module with a `PAGE`; the list below names them all."""

from __future__ import annotations

from sessiontap.ui.page import Page
from sessiontap.ui.pages.cache import PAGE as CACHE
from sessiontap.ui.pages.call import PAGE as CALL
from sessiontap.ui.pages.compare import PAGE as COMPARE
from sessiontap.ui.pages.context import PAGE as CONTEXT
from sessiontap.ui.pages.conversation import PAGE as CONVERSATION
from sessiontap.ui.pages.doctor import PAGE as DOCTOR
from sessiontap.ui.pages.scores import PAGES as SCORES
from sessiontap.ui.pages.search import PAGE as SEARCH
from sessiontap.ui.pages.session import PAGE as SESSION
from sessiontap.ui.pages.sessions import PAGE as SESSIONS
from sessiontap.ui.pages.stats import PAGE as STATISTICS
from sessiontap.ui.pages.timeline import PAGE as TIMELINE
from sessiontap.ui.pages.tools import PAGE as TOOLS
from sessiontap.ui.pages.traceforge import PAGES as TRACEFORGE
from sessiontap.ui.pages.waste import PAGE as WASTE

PAGES: tuple[Page, ...] = (
    SESSIONS,
    SESSION,
    TIMELINE,
    CONTEXT,
    CACHE,
    WASTE,
    TOOLS,
    STATISTICS,
    CONVERSATION,
    CALL,
    COMPARE,
    SEARCH,
    DOCTOR,
    *SCORES,
    *TRACEFORGE,
)
