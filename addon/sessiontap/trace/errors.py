"""What a person is told when the trace cannot be opened, read or found in."""

from __future__ import annotations


class TraceError(Exception):
    """One sentence that says what is wrong and where; `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
