"""One recorded call for a reader: its headers as the app sent them and as they went out, its times, its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sessiontap.llm.outline import outline
from sessiontap.llm.pick import parse
from sessiontap.trace.values import seconds, unpack_chunks

if TYPE_CHECKING:
    from sessiontap.part import Part

Record = Mapping[str, Any]

LONGEST = 20_000
"""Characters of a part's text that are told."""
_OF_HEADERS = ("set", "remove", "keep", "withhold")
MOST_BARS = 120
"""Stretches of time into which the chunks of a stream are summed."""


def headers(record: Record) -> list[dict[str, Any]]:
    """The request's headers in the order in which they went out, behind them those that did not.

    `asked` is the app's own value, `sent` the one that went out, None if there was none. `change` (`set`, `remove`,
    `keep`, `withhold`) and `rule` say what was done and by which rule, or why; `wished` is the value that a rule wished
    and that was not written.
    """
    changes = {
        str(name).lower(): (action, name, old, new, rule)
        for action, name, old, new, rule in record.get("changes") or ()
        if action in _OF_HEADERS
    }
    rows = []
    for name, value in record["request"].get("headers") or ():
        action, _, old, new, rule = changes.pop(name.lower(), (None,) * 5)
        rows.append(
            {
                "name": name,
                "asked": old if action == "set" else value,
                "sent": value,
                "change": action,
                "rule": rule,
                "wished": new if action in ("keep", "withhold") else None,
            }
        )
    for action, name, old, new, rule in changes.values():
        rows.append({"name": name, "asked": old, "sent": None, "change": action, "rule": rule, "wished": new})
    return rows


def timing(record: Record) -> dict[str, Any]:
    """Seconds since the call began: `first_byte`, `first_token`, `end`; None is unknown. `bars`: the bytes that came in
    each of so many stretches of the time from 0 to the end."""
    chunks = unpack_chunks((record.get("response") or {}).get("chunks") or ())
    end = record.get("duration")
    bars: list[int] = []
    if isinstance(end, int) and end > 0 and chunks:
        bars = [0] * MOST_BARS
        for arrived, size in chunks:
            bars[min(MOST_BARS - 1, arrived * MOST_BARS // end)] += size
    return {
        "first_byte": seconds(record.get("time_to_first_byte")),
        "first_token": seconds(record.get("time_to_first_token")),
        "end": seconds(end),
        "chunks": len(chunks),
        "bars": bars,
    }


def readable(kind: str, text: str | None) -> str | None:
    """The arguments of a tool's call, or a definition, laid out by their keys; None if the text is best as it is."""
    if text is None or kind not in ("tool_call", "tool_definition"):
        return None
    value, problem = parse(text)
    return "\n".join(outline(value)) if problem is None and isinstance(value, dict | list) else None


def told_parts(parts: Sequence[Part], start: int, limit: int, first_new: int | None = None) -> list[dict[str, Any]]:
    """Parts as plain values, from `start` on: `position`, and `is_new` if it is known which are."""
    return [
        {
            "position": start + at,
            "kind": part.kind,
            "role": part.role,
            "message": part.message,
            "name": part.name,
            "id": part.id,
            "error": part.error,
            "bytes": part.bytes,
            "lines": (part.text.count("\n") + 1) if part.text else 0,
            "text": part.text[:LONGEST] if part.text is not None else None,
            "shown": shown[:LONGEST] if (shown := readable(part.kind, part.text)) is not None else None,
            "is_cut": len(part.text or "") > LONGEST,
            "is_new": None if first_new is None else start + at >= first_new,
        }
        for at, part in enumerate(parts[start : start + limit])
    ]
