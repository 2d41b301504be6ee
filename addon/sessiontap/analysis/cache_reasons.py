"""The reasons for which a cache was missed, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessiontap.units import UNKNOWN, duration


def in_words(one: Mapping[str, Any]) -> str:
    """Return a reason, as `cache` gives it, in a few words."""
    match one["reason"]:
        case "first":
            return "no call before begins so"
        case "never_written":
            return "the call before left nothing in the cache: it marked nothing, or too short a beginning"
        case "too_short":
            return "too short for a cache"
        case "model":
            return f"another model: {one['was']} -> {one['now']}"
        case "tools":
            return "tools " + _tools(one)
        case "system":
            return f"system prompt changed: {_change(one)}"
        case "message":
            noun = " ".join(filter(None, (one["role"], one["kind"].replace("_", " "), one["name"])))
            return f"message {one['message']} ({noun}) " + ("is gone" if one["removed"] else f"changed: {_change(one)}")
        case "idle":
            perhaps = "" if one["certain"] else "perhaps "
            return f"{perhaps}idle too long: {duration(one['seconds'])}, kept for {duration(one['kept_seconds'])}"
        case "in_flight":
            return "the call that writes it had no reply yet"
        case "lookback":
            return f"perhaps {one['parts']} parts at once: the provider looks back over 20"
    return "unknown: nothing changed, and it was in time"


def _tools(one: Mapping[str, Any]) -> str:
    phrases = [
        f"{how} {_few(one[how])}" for how in ("added", "removed", "changed") if one[how]
    ] or (["in another order"] if one["reordered"] else ["changed"])
    return ", ".join(phrases)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _change(one: Mapping[str, Any]) -> str:
    was, now = (UNKNOWN if one[key] is None else f'"{one[key]}"' for key in ("was", "is"))
    return f"{was} -> {now}"
