"""Questions that the page cannot answer: each is a sentence, what to do, and a status of HTTP."""

from __future__ import annotations


class PageError(Exception):
    """A question that has no answer: a sentence, what to do, and the status of HTTP."""

    status = 500

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(PageError):
    """There is no such page, session or call."""

    status = 404


class InFlight(NotFound):
    """The call is not in the log yet."""

    def __init__(self, message: str, hint: str, session: str | None) -> None:
        """`session`: the id of its session, if it has one."""
        super().__init__(message, hint)
        self.session = session
        self.position: str | None = None
        """How far the log had come when it was looked for."""


class BadParameter(PageError):
    """A parameter is not known, or has a value that it cannot have."""

    status = 400


class BadBody(PageError):
    """The body of a POST is not what is taken."""

    status = 400
