"""Turns of plain values."""

from __future__ import annotations

from typing import Any

from sessiontap.part import Part
from sessiontap.trace.index.shared_list import common
from sessiontap.trace.index.turns import Turn
from sessiontap.trace.views import call_row

SYSTEM = Part("system", "system", None, "You are terse.", 14)
TOOLS = Part("tool_definition", None, None, '{"name": "Bash"}', 16, "Bash")


def user(said: str, message: int = 0) -> Part:
    return Part("text", "user", message, said, len(said))


def assistant(said: str, message: int | None = None) -> Part:
    return Part("text", "assistant", message, said, len(said))


def thought(said: str, message: int | None = None) -> Part:
    return Part("reasoning", "assistant", message, said, len(said))


def called(name: str, arguments: str, id: str | None = None, message: int | None = None) -> Part:
    return Part("tool_call", "assistant", message, arguments, len(arguments), name, id)


def result(name: str, said: str, id: str | None = None, message: int = 2, error: bool | None = None) -> Part:
    return Part("tool_result", "tool", message, said, len(said), name, id, error)


def turn(
    id: str,
    request: list[Part],
    reply: list[Part],
    *,
    after: Turn | None = None,
    kind: str | None = None,
    conversation: str = "main",
    first_new: int | None = None,
    **record: Any,
) -> Turn:
    """A turn that goes on from `after`; `first_new` is where its request parts from that one's."""
    llm = {"request_model": "m", "operation": "chat"} | record.pop("llm", {})
    row = call_row(
        {
            "id": id,
            "session": {"id": "s", "name": "Demo", "path": "/", "step": int(id)},
            "conversation": conversation,
            "parent": after.call["id"] if after else None,
            "link": {"kind": kind or ("continue" if after else "new")},
            "outcome": "ok",
            "llm": llm,
            **record,
        },
        None,
    )
    if first_new is None:
        first_new = common(request, list(after.request)) if after else 0
    return Turn(row, tuple(request), first_new, tuple(reply), after.call["id"] if after else None)
