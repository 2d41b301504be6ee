"""Errors as a person reads them: one sentence, and a hint what to do."""

from __future__ import annotations

from typing import Any


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
    """A usage error of the command-line parser or an error of the trace as the command's own; None for any other."""
    if hasattr(error, "format_message"):  # click's or typer's own copy of it
        return _misuse_of(error)
    from sessiontap.trace import TraceError

    return failure_of(error) if isinstance(error, TraceError) else None


def _misuse_of(error: Any) -> Misuse:
    path = getattr(getattr(error, "ctx", None), "command_path", None) or "sessiontap"
    sentence = " ".join(str(error.format_message()).split()).replace("Value error, ", "")
    return Misuse(sentence[:1].lower() + sentence[1:].rstrip("."), f"{path} -h shows what it takes")
