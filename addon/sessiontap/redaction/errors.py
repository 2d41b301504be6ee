"""Errors of redaction that a person is told."""

from __future__ import annotations


class RedactionError(Exception):
    """One sentence that says what is wrong and where; `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
