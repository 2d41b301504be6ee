"""The first difference between a request and the one that it continues, in the order in which providers cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sessiontap.part import Part

Changed = Literal["tools", "system", "message"]
AROUND = 40
"""Characters of a text before and behind the first one that differs."""


def first_change(before: Sequence[Part], after: Sequence[Part], common: int) -> tuple[Changed, dict[str, Any]]:
    """Return what changed, of requests that have the first `common` parts in common, and which part it is.

    `before` has more parts than those.
    """
    old, new = before[common], after[common] if common < len(after) else None
    if old.kind == "tool_definition" or (new is not None and new.kind == "tool_definition"):
        return "tools", _tools(before, after)
    opening = all(part.kind in ("tool_definition", "system") for part in before[:common])
    if opening and (old.kind == "system" or (new is not None and new.kind == "system")):
        return "system", _texts(old, new)
    return "message", {
        "message": old.message,
        "role": old.role,
        "kind": old.kind,
        "name": old.name,
        "removed": new is None,
    } | _texts(old, new)


def _tools(before: Sequence[Part], after: Sequence[Part]) -> dict[str, Any]:
    old, new = map(_definitions, (before, after))
    changed = [name for name, text in new.items() if name in old and old[name] != text]
    return {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": changed,
        "reordered": [name for name in old if name in new] != [name for name in new if name in old],
    }


def _definitions(request: Sequence[Part]) -> dict[str, str | None]:
    return {part.name or "": part.text for part in request if part.kind == "tool_definition"}


def _texts(old: Part, new: Part | None) -> dict[str, Any]:
    """Both texts around the first character that differs."""
    before, after = old.text, new.text if new is not None else None
    if before is None or after is None:
        return {"was": _cut(before, 0), "is": _cut(after, 0)}
    at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    return {"was": _cut(before, at), "is": _cut(after, at)}


def _cut(text: str | None, at: int) -> str | None:
    if text is None:
        return None
    begin, end = max(0, at - AROUND), at + AROUND
    return ("…" if begin else "") + text[begin:end] + ("…" if end < len(text) else "")
