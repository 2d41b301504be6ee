"""Errors as a person reads them: one sentence, and a hint what to do."""

from __future__ import annotations

import click


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


def failure_of(error: Exception) -> Failure:
    """Another package's error as the command's own: its sentence, and its hint if it has one."""
    hint = str(getattr(error, "hint", None) or "").rstrip(".")
    return Failure(str(error), hint[:1].lower() + hint[1:] or None)


def as_failure(error: Exception) -> Failure | None:
    """The command's own error for one of click, the trace or a unit, or for a missing package; None for any other."""
    if isinstance(error, click.ClickException):
        ctx = error.ctx if isinstance(error, click.UsageError) else None
        sentence = " ".join(error.format_message().split())
        path = ctx.command_path if ctx else "sessiontap"
        return Misuse(sentence[:1].lower() + sentence[1:].rstrip("."), f"{path} -h shows what it takes")
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":  # of an argument: nothing recorded has any
        return Misuse(f"{error.object!a} is no text: it has bytes that are no UTF-8", "write it in UTF-8")
    if isinstance(error, ImportError):
        from sessiontap.proxy.requirements import unmet  # plain Python

        wrong = unmet()
        return Failure(wrong, status=2) if wrong else None
    from sessiontap.trace import TraceError
    from sessiontap.units import UnitError

    if isinstance(error, UnitError):
        return Misuse(error.message, error.hint)

    return failure_of(error) if isinstance(error, TraceError) else None
