"""A part of a request or a reply: the unit in which contexts, tools and conversations are told, indexed and searched.

`llm/parts.py` makes parts of bodies, whatever their wire family; `trace/index/parts.py` keeps them. Neither knows the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

PartKind = Literal["tool_definition", "system", "text", "reasoning", "tool_call", "tool_result", "media", "other"]
KINDS: tuple[str, ...] = get_args(PartKind)

_MCP, _BETWEEN = "mcp__", "__"


@dataclass(unsafe_hash=True, slots=True)
class Part:
    """One part, as it was sent or said. Nobody changes it; `frozen` would set each field by a call of its own."""

    kind: PartKind
    role: str | None
    """`system`, `user`, `assistant` or `tool`; None for tool definitions."""
    message: int | None
    """The position of its message in the request, from 0; None for system prompts that stand outside the messages, for
    tool definitions and for replies."""
    text: str | None
    """Text or reasoning as said; arguments of a tool call and a tool definition as JSON text; a result's content as
    text. None for media, and for what was not readable, such as encrypted reasoning."""
    bytes: int
    """UTF-8 bytes of what the part holds: its text and name, or the encoded media, without the JSON around them."""
    name: str | None = None
    """The tool of a call, a result (by its call, if the request itself tells) or a definition; a media type."""
    id: str | None = None
    """The tool call's id, in a call and its result, and in media of a result."""
    error: bool | None = None
    """A result states that it is an error, or that it is none; None if it states neither."""

    @property
    def server(self) -> str | None:
        """The MCP server of a tool by its name (`mcp__SERVER__TOOL`), else None."""
        if self.name is None or not self.name.startswith(_MCP):
            return None
        server, between, _ = self.name.removeprefix(_MCP).partition(_BETWEEN)
        return server if between and server else None


class CallParts(NamedTuple):
    """The parts of one recorded call, each list in its order."""

    request: list[Part]
    reply: list[Part]


PartsOf = Callable[[Mapping[str, Any], bytes | None, bytes | None], CallParts]
"""Reads the parts of a call: of its record, its request body and its response body. It may raise ValueError,
LookupError or RecursionError for odd ones."""
