"""Tool calls that arrive in pieces, and arguments that arrive as an object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sessiontap.llm.call import ToolCall
from sessiontap.llm.pick import written


def arguments_of(value: Any) -> str | None:
    """Arguments as JSON text: a string is it already, anything else is written as JSON."""
    if value is None:
        return None
    return value if isinstance(value, str) else written(value)


@dataclass(slots=True)
class Growing:
    """A tool call of which the arguments are still coming."""

    name: str
    id: str | None = None
    parts: list[str] = field(default_factory=list)

    def done(self) -> ToolCall:
        return ToolCall(self.name, self.id, "".join(self.parts) or None)
