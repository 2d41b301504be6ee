"""Where a call goes instead of its own host, or why it goes there directly."""

from __future__ import annotations

from dataclasses import dataclass

from sessiontap.headers.edit import Edit


@dataclass(frozen=True, slots=True)
class Route:
    scheme: str
    host: str
    port: int
    edits: tuple[Edit, ...] = ()
    """Headers that the gateway needs: its auth, its target."""


@dataclass(frozen=True, slots=True)
class Direct:
    """The call goes to its own host."""

    reason: str
