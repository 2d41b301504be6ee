"""One change to a message's headers, planned before it is carried out; and carrying it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_FRAMING = """
    host content-length transfer-encoding content-encoding connection keep-alive te trailer upgrade expect
    proxy-connection proxy-authorization proxy-authenticate http2-settings
    sec-websocket-key sec-websocket-version sec-websocket-extensions sec-websocket-protocol sec-websocket-accept
"""
CONNECTION_HEADERS = frozenset(_FRAMING.split())
"""Headers, in lower case, that frame the message or belong to one connection: changing them breaks the call."""


@dataclass(frozen=True, slots=True)
class Edit:
    """`set` gives `header` the one value `new`; `remove` takes it out; `keep`, `withhold`: nothing was done."""

    action: Literal["set", "remove", "keep", "withhold"]
    header: str
    old: str | None = None
    """The value that the app sent; several fields of one name are joined by `, `."""
    new: str | None = None
    """The value that is written, or (`keep`, `withhold`) would have been."""
    rule: str | None = None
    """The label of the rule that wished it, or a short reason."""


def apply(edits: Iterable[Edit], fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """`fields` with the edits carried out; all others keep their order and case. A header that is set and was there
    stays in its place and under its name, another one comes last.
    """
    result = list(fields)
    for edit in edits:
        if edit.action not in ("set", "remove"):
            continue
        name = edit.header.lower()
        places = [at for at, (key, _) in enumerate(result) if key.lower() == name]
        if edit.action == "set" and edit.new is not None:
            if places:
                at = places.pop(0)
                result[at] = (result[at][0], edit.new)
            else:
                result.append((edit.header, edit.new))
        for at in reversed(places):
            del result[at]
    return result


def changes(edits: Iterable[Edit]) -> list[list[str | None]]:
    """The edits as a call's record keeps them: `[action, header, old, new, rule]`."""
    return [[edit.action, edit.header, edit.old, edit.new, edit.rule] for edit in edits]
