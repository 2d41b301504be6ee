"""Turns of a session, made of plain values: an agent's, as the index gives them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sessiontap.part import Part, PartKind
from sessiontap.trace.index.turns import Turn

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def part(kind: PartKind, text: str | None, role: str | None = None, message: int | None = None, **more: Any) -> Part:
    """A part; its bytes are those of its text."""
    size = more.pop("bytes", len((text or "").encode()))
    return Part(kind, role, message, text, size, **more)


def tool(name: str, description: str = "Does it.") -> Part:
    return part("tool_definition", json.dumps({"name": name, "description": description}), name=name)


def system(text: str) -> Part:
    return part("system", text, "system")


def user(text: str, message: int | None = 0) -> Part:
    return part("text", text, "user", message)


def said(text: str, message: int | None = None) -> Part:
    return part("text", text, "assistant", message)


def asks(name: str, id: str | None = None, message: int | None = None, **arguments: Any) -> Part:
    return part("tool_call", json.dumps(arguments), "assistant", message, name=name, id=id)


def result(text: str, id: str | None = None, message: int | None = 2, **more: Any) -> Part:
    return part("tool_result", text, "tool", message, id=id, **more)


class Session:
    """Turns, one after the other."""

    def __init__(self, *, provider: str = "anthropic", family: str = "anthropic-messages", **call: Any) -> None:
        self.turns: list[Turn] = []
        self._call = {"provider": provider, "family": family, "request_model": "claude-sonnet-4-5"} | call
        self._seconds = 0.0

    def ask(
        self,
        *request: Part,
        reply: tuple[Part, ...] = (),
        based_on: str | None = "",
        wait: float = 1.0,
        duration: float = 2.0,
        **call: Any,
    ) -> Turn:
        """A call `wait` seconds after the one before. `based_on`: the turn before if it is not given.

        `input`, `read`, `written` of the usage; all else is the call's.
        """
        self._seconds += wait
        number = len(self.turns)
        counts = {"input": call.pop("input", None), "output": call.pop("output", 10)}
        counts |= {"cache_read": call.pop("read", None), "cache_write": call.pop("written", None), "reasoning": None}
        row = {
            "id": f"call-{number + 1}",
            "time": (START + timedelta(seconds=self._seconds)).isoformat(),
            "duration": duration,
            "time_to_first_byte": 0.0,
            "conversation": "main",
            "step": number,
            "session_id": "made",
            "session_name": "Made",
            "path": "/main",
            "operation": "chat",
            "host": "api.example.com",
            "response_model": None,
            "usage": counts if counts["input"] is not None else None,
        }
        self._seconds += duration
        before = self.turns[-1].call["id"] if self.turns else None
        base = before if based_on == "" else based_on
        continued = next((turn for turn in self.turns if turn.call["id"] == base), None)
        turn = Turn(row | self._call | call, request, common(continued, request), reply, base)
        self.turns.append(turn)
        return turn


def common(before: Turn | None, request: tuple[Part, ...]) -> int:
    if before is None:
        return 0
    known = [_content(one) for one in (*before.request, *before.reply)]
    pairs = zip(known, map(_content, request), strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(known), len(request)))


def _content(one: Part) -> tuple[Any, ...]:
    return one.kind, one.role, one.name, one.id, one.text, one.bytes
