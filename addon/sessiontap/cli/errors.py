"""Errors as a person reads them: one sentence, and a hint what to do."""

from __future__ import annotations

import sys

from sessiontap.cli.escapes import safe


class Failure(Exception):
    """A command cannot do what was asked: exit 1."""

    status = 1

    def __init__(self, message: str, hint: str | None = None, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if status is not None:
            self.status = status


class Misuse(Failure):
    """A usage or configuration error: exit 2."""

    status = 2


def say(message: str, hint: str | None = None) -> None:
    """An error on stderr."""
    print(f"sessiontap: {safe(message)}", file=sys.stderr)
    if hint:
        print(f"hint: {safe(hint)}", file=sys.stderr)


def note(message: str) -> None:
    """Something the user should know although nothing failed, on stderr."""
    print(f"sessiontap: {safe(message)}", file=sys.stderr)
