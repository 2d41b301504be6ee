"""The pages of the site. Each is a module with a `PAGE`; the list below names them all."""

from __future__ import annotations

from sessiontap.ui.page import Page
from sessiontap.ui.pages.session import PAGE as SESSION
from sessiontap.ui.pages.sessions import PAGE as SESSIONS

PAGES: tuple[Page, ...] = (
    SESSIONS,
    SESSION,
)
