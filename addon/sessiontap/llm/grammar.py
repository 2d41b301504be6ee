"""What a WebSocket's frames mean, family by family: which begin and end a turn, and what a turn's request asks for.

Sources: developers.openai.com/api/docs/guides/websocket-mode, platform.openai.com/docs/api-reference/realtime.
"""

from __future__ import annotations

from typing import Any

from sessiontap.llm.family import SocketGrammar
from sessiontap.llm.pick import dig, parse, text, written

_ITEM = "conversation.item.create"


def settings_line(settings: dict[str, Any]) -> bytes:
    """Settings as the client's frame that makes them."""
    return (written({"type": "session.update", "session": settings}) or "{}").encode() + b"\n"


def merged(before: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Settings with those that `new` gives in place of their own; the others stay."""
    settings = dict(before)
    for key, value in new.items():
        known = settings.get(key)
        settings[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return settings


def asking(lines: bytes, grammar: SocketGrammar) -> dict[str, Any] | None:
    """What a turn's request asks for as one JSON object: the frame that asks; None where none does.

    Where a socket has settings, it is that frame with these as `session` and with the items that were added before it
    as `input`; there a request may do without an asking frame.
    """
    found: dict[str, Any] | None = None
    session: dict[str, Any] = {}
    items: list[Any] = []
    for line in lines.splitlines():
        value, _ = parse(line)
        if not isinstance(value, dict):
            continue
        kind = text(value, "type")
        if kind in grammar.starts:
            found = value
        elif kind == grammar.settings and isinstance(given := value.get("session"), dict):
            session = merged(session, given)
        elif kind == _ITEM:
            items.append(value.get("item"))
    if grammar.settings is None:
        return found
    instead = dig(found, "response", "input")
    return {**(found or {}), "session": session, "input": instead if isinstance(instead, list) else items}
