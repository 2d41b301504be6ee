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
    notes: tuple[str, ...] = ()
    """What the user should know, though the call goes."""


@dataclass(frozen=True, slots=True)
class Direct:
    """The call goes to its own host."""

    reason: str
    """A sentence and a hint, without values that differ from call to call: it is said once."""
