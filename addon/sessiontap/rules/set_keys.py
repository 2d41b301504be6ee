"""The keys that a rule sets, as a table: what may stand there, and how it becomes settings.

The schema and the reader (`schema.py`), `compile.py`, `decide.py` and `explain` read this table. To add a key: a line
in it, and a row in docs/rules.md. Its value for a call then stands under its name in `Decision.more`, or in
`Labels.more` if it is filled in once the session is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sessiontap import dialects, gateways
from sessiontap.rules.kinds import AnyJson, Choice, Integer, ListOf, MapOf, TextOf, ValueKind
from sessiontap.rules.rule_settings import (
    Constant,
    Content,
    IdSources,
    JsonValue,
    PathLine,
    Setting,
    TextLine,
)
from sessiontap.rules.text_values import DURATION, ID, TEMPLATE, WORD, header_glob, header_name, settable_header


@dataclass(frozen=True, slots=True)
class SetKey:
    """One key of a rule that sets something. A dot stands in the name of a key within a map of keys."""

    name: str
    kind: ValueKind
    doc: str
    """For editors: what it sets."""
    content: Callable[[Any], Content]
    """Takes the checked value. Returns what gives its value for a call."""
    late: bool = False
    """It is filled in once the session is known, and may use it."""
    each: Literal["value", "key", "item"] = "value"
    """`key`: each key of its map is a setting of its own; `item`: the items of several rules add up."""
    is_more: bool = True
    """Its value stands in `more`, since neither `Decision` nor `Labels` has a field for it."""
    examples: tuple[Any, ...] = ()

    def settings(self, value: Any) -> Iterator[Setting]:
        """The settings that a checked value makes."""
        fold = isinstance(self.kind, MapOf) and self.kind.fold
        match self.each:
            case "value":
                yield self._setting(self.name, self.content(value))
            case "key":
                for name, item in value.items():
                    yield self._setting(f"{self.name}.{name}", self.content(item), fold=fold)
            case "item":
                for item in value:
                    yield self._setting(self.name, self.content(item), adds=True)

    def _setting(self, field: str, content: Content, *, adds: bool = False, fold: bool = False) -> Setting:
        secret = any(template.is_secret for template in content.templates())
        return Setting(field, content, self.late, adds, secret, field.lower() if fold else field)


Send = tuple[str, ...] | Literal["auto"]


def send_of(given: tuple[str, ...] | str) -> Send:
    """The dialects that `send` names, each once; `none` is the empty tuple."""
    if isinstance(given, tuple):
        return tuple(dict.fromkeys(given))
    return "auto" if given == "auto" else ()


SEND = ListOf(Choice(tuple(dialects.WRITTEN), dialects.LATER, alone=("none", "auto")), lone=True, may_be_empty=True)
GATEWAY_KINDS = tuple(gateways.KINDS)

SET_KEYS: tuple[SetKey, ...] = (
    SetKey("session.name", TEMPLATE,
           "The session's name. Default: the agent's, else the process's, else proxy user or host.", TextLine,
           is_more=False),
    SetKey("session.id", ListOf(ID, lone=True),
           "The source of the id, or several: the first that yields an id is used.", IdSources, is_more=False,
           examples=("process", ["${env.RUN_ID}", "native", "process"])),
    SetKey("session.path", TEMPLATE, "The call's place in the session: levels parted by slashes.", PathLine, late=True,
           is_more=False, examples=("/plan/${model}",)),
    SetKey("session.idle", DURATION, "For generated ids: after this long without a call the next starts a new session.",
           Constant, is_more=False),
    SetKey("session.max_calls", Integer(1), "For generated ids: after this many calls the next starts a new session.",
           Constant, is_more=False),
    SetKey("user", TEMPLATE, "The user's id.", TextLine, late=True, is_more=False),
    SetKey("properties", MapOf(TEMPLATE, header_name, True, "property"), "Custom properties.", TextLine, late=True,
           each="key", is_more=False),
    SetKey("tags", ListOf(TEMPLATE, lone=True), "Tags; those of several rules add up.", TextLine, late=True,
           each="item", is_more=False),
    SetKey("state", MapOf(AnyJson(), None, False, "key"), "TraceForge state: JSON, at most 10,240 bytes.", JsonValue,
           late=True, each="key", is_more=False),
    SetKey("headers.set", MapOf(TEMPLATE, settable_header, True, "header"), "Request headers to set.", TextLine,
           late=True, each="key", is_more=False),
    SetKey("headers.remove", ListOf(TextOf(header_glob), lone=True), "Request headers to remove: names with * and ?.",
           Constant, late=True, each="item", is_more=False),
    SetKey("send", SEND, "Dialects to write; none: record only; auto: what the destination is known to read.",
           lambda given: Constant(send_of(given)), is_more=False),
    SetKey("existing", Choice(("keep", "replace")), "What becomes of a session header that the app sent itself.",
           Constant, is_more=False),
    SetKey("gateway", WORD, f"Reroute the call: {', '.join(GATEWAY_KINDS)}, or one named under gateways.", Constant,
           is_more=False, examples=GATEWAY_KINDS),
    SetKey("capture", Choice(("full", "metadata", "none")), "How much of the call is recorded.", Constant,
           is_more=False),
)  # fmt: skip

SECTIONS = {
    "session": "The session that the call belongs to: the wish to send it.",
    "headers": "Any other request header.",
}
"""The maps of keys."""

MORE_EARLY = tuple(key for key in SET_KEYS if key.is_more and not key.late)
MORE_LATE = tuple(key for key in SET_KEYS if key.is_more and key.late)
