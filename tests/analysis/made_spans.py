"""Calls in time, made of plain values in seconds."""

from __future__ import annotations

from typing import Any

from sessiontap.trace.index.spans import CallSpan

BEGIN = 1_763_701_200 * 10**9  # 2025-11-21T05:00:00Z
SESSION = {"id": "made", "name": "Made"}


def span(id: str, start: float, duration: float | None = 1.0, **more: Any) -> CallSpan:
    """A call of the main agent `start` seconds after the session's begin; `first_byte`, `first_token` in seconds."""
    times = {name: _nanoseconds(more.pop(name, None)) for name in ("first_byte", "first_token")}
    known: dict[str, Any] = {
        "step": None, "path": "/main", "operation": "chat", "model": "m", "agent": None, "subagent": None,
        "process": "agent.py", "conversation": "main", "parent": None, "kind": "continue", "outcome": "ok",
        "failed": False, "finish_reason": None, "tool_calls": (), "input": None, "output": None, "cost_usd": None,
        "cost_parts": None,
        "cost_unknown": False,
    }  # fmt: skip
    return CallSpan(id=id, start=BEGIN + round(start * 10**9), duration=_nanoseconds(duration), **times, **known | more)


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 10**9)
