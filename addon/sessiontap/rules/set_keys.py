"""The keys that a rule sets, as a table: the value that each takes, and the setting that it becomes.

The language (`language.py`), `compile.py`, `filling.py`, `decide.py` and `explain.py` read this table. To add a key: a
line in it, and a row in docs/rules.md. Its value for a call then stands under its name in `Decision.more`, or in
`FilledSettings.more` if it is filled in once the session is known.

A `Setting` is one key of one rule. Its content gives the value for a call, or None if a variable is missing. Its slot
is the unit of filling in: a slot that an earlier rule has filled is left alone, unless the setting adds to it.

Session paths look like `/Course-Plan/outline-gpt-4o`. The template's own slashes part the levels; a slash inside a
value (`openai/gpt-4o`) does not. In a level letters, digits and `_ . -` stay, and every run of others becomes one `-`.
A path starts with `/` and does not end with one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sessiontap import dialects, gateways
from sessiontap.limits import Threshold
from sessiontap.rules.decision import IdSource
from sessiontap.rules.facts import KnownFacts
from sessiontap.rules.kinds import (
    DURATION,
    ID,
    ID_SOURCES,
    TEMPLATE,
    WORD,
    AnyJson,
    Choice,
    Integer,
    ListOf,
    MapOf,
    TextOf,
    ValueKind,
    header_glob,
    header_name,
    settable_header,
)
from sessiontap.rules.own_dialects import ALONE
from sessiontap.rules.template import MAX_TEXT, Template, TemplateContext, printable
from sessiontap.rules.threshold_keys import threshold_keys

OTHERS = re.compile(r"[^\w.\-]+")


def slug(level: str) -> str:
    """Return one level of a path: `Course Plan` -> `Course-Plan`."""
    return OTHERS.sub("-", unicodedata.normalize("NFC", level))


def path_of(pieces: Iterable[tuple[str, bool]]) -> str:
    """Return the path of a template's rendered pieces, each with True if it is a value."""
    text = "".join(piece.replace("/", " ") if is_value else piece for piece, is_value in pieces)
    return "/" + "/".join(slug(level) for level in text.split("/") if level)


def default_path(known: KnownFacts) -> str:
    """Return `/main` or `/main/<subagent>` for an agent's call to a model, `/<operation>` for any other call."""
    if known.agent is None or known.operation == "other":
        return "/" + slug(known.operation or "other")
    return "/main" if not known.subagent else f"/main/{slug(known.subagent)}"


class Content(Protocol):
    """The value of a setting before a call is known. A missing variable renders to None."""

    def render(self, context: TemplateContext) -> Any: ...
    def templates(self) -> Iterator[Template]: ...


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any

    def render(self, context: TemplateContext) -> Any:
        return self.value

    def templates(self) -> Iterator[Template]:
        return iter(())


@dataclass(frozen=True, slots=True)
class TextLine:
    """A text on one line, without control characters."""

    template: Template

    def render(self, context: TemplateContext) -> str | None:
        text = self.template.render(context)
        return printable(text)[:MAX_TEXT].strip() or None if text is not None else None

    def templates(self) -> Iterator[Template]:
        yield self.template


@dataclass(frozen=True, slots=True)
class PathLine:
    template: Template

    def render(self, context: TemplateContext) -> str | None:
        pieces = self.template.pieces(context)
        return (path_of(pieces)[:MAX_TEXT].rstrip("/") or "/") if pieces is not None else None

    def templates(self) -> Iterator[Template]:
        yield self.template


@dataclass(frozen=True, slots=True)
class IdSources:
    """The sources of `session.id`. A template without its variables is left out; if none is left, the key is unset."""

    sources: tuple[Template | str, ...]

    def render(self, context: TemplateContext) -> tuple[IdSource, ...] | None:
        found = []
        for source in self.sources:
            if isinstance(source, Template):
                value = printable(source.render(context) or "").strip()
                if value:
                    found.append(IdSource("template", value))
            elif source in ID_SOURCES:
                found.append(IdSource(source))  # type: ignore[arg-type]
            else:
                found.append(IdSource("literal", source))
        return tuple(found) or None

    def templates(self) -> Iterator[Template]:
        return (source for source in self.sources if isinstance(source, Template))


@dataclass(frozen=True, slots=True)
class JoinValue:
    """The value that ties calls to one session: of the first template that gives one."""

    candidates: tuple[Template, ...]

    def render(self, context: TemplateContext) -> IdSource | None:
        for rank, template in enumerate(self.candidates):
            if value := printable(template.render(context) or "").strip():
                return IdSource("join", value, rank)
        return None

    def templates(self) -> Iterator[Template]:
        return iter(self.candidates)


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A JSON value whose texts are templates. `render` wraps it: a null is a value, not a missing one."""

    value: Any

    def render(self, context: TemplateContext) -> tuple[Any] | None:
        try:
            return (_filled(self.value, context),)
        except LookupError:
            return None

    def templates(self) -> Iterator[Template]:
        yield from _templates(self.value)


def _filled(value: Any, context: TemplateContext) -> Any:
    """Raises `LookupError` if a variable is missing."""
    if isinstance(value, Template):
        text = value.render(context)
        if text is None:
            raise LookupError(value.text)
        return text.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {key: _filled(item, context) for key, item in value.items()}
    return [_filled(item, context) for item in value] if isinstance(value, list) else value


def _templates(value: Any) -> Iterator[Template]:
    if isinstance(value, Template):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _templates(item)


@dataclass(frozen=True, slots=True)
class Setting:
    field: str
    """As people know it: `session.name`, `properties.mode`."""
    content: Content
    late: bool = False
    """Filled in once the session is known."""
    adds: bool = False
    secret: bool = False
    """Its value comes from the proxy's own environment."""
    slot: str = ""

    @property
    def text(self) -> str:
        """Its templates as written."""
        return ", ".join(template.text for template in self.content.templates())

    def names(self, family: str) -> set[str]:
        """Return the names of a family of variables that its templates use: `names("env")`."""
        return {name for template in self.content.templates() for name in template.names(family)}

    def shown(self, value: Any) -> Any:
        """Return its value for a call as plain JSON; of a secret its templates."""
        if self.secret:
            return self.text
        match self.content:
            case JsonValue():
                return value[0]
            case IdSources():
                return [source.text for source in value]
            case JoinValue():
                return value.value[:MAX_TEXT]
        return value.text if isinstance(value, Threshold) else value


@dataclass(frozen=True, slots=True)
class SetKey:
    """One key of a rule that sets something. A dot stands in the name of a key within a map of keys."""

    name: str
    kind: ValueKind
    doc: str
    """The field that it sets, for editors."""
    content: Callable[[Any], Content]
    """Takes the checked value. Returns what gives its value for a call."""
    late: bool = False
    """It is filled in once the session is known, and may use it."""
    each: Literal["value", "key", "item"] = "value"
    """`key`: each key of its map is a setting of its own; `item`: the items of several rules add up."""
    is_more: bool = True
    """Its value stands in `more`, since neither `Decision` nor `FilledSettings` has a field for it."""
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


SEND = ListOf(
    Choice(tuple(dialects.WRITTEN), dialects.LATER, alone=ALONE, section="dialects"), lone=True, may_be_empty=True
)
GATEWAY_KINDS = tuple(gateways.KINDS)
FAIL = Choice(("open", "closed"))
AT_HAND = tuple(name for name, kind in gateways.KINDS.items() if not kind.needs_url)
"""The gateways that a rule can set without an item of `gateways:`."""

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
    SetKey("join", ListOf(TEMPLATE, lone=True),
           "Calls of one process or proxy user that give the same value are one session: the first that has one.",
           JoinValue, is_more=False, examples=("${body.metadata.job}",)),
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
    SetKey("existing", Choice(("keep", "replace")), "Keep or replace a session header that the app sent itself.",
           Constant, is_more=False),
    SetKey("gateway", WORD, f"Reroute the call: {', '.join(AT_HAND)}, or one named under gateways.", Constant,
           is_more=False, examples=AT_HAND),
    SetKey("fail", FAIL, "If the gateway fails, the call goes to its own host (open, the default) or fails (closed).",
           Constant),
    SetKey("capture", Choice(("full", "metadata", "none")), "How much of the call is recorded.", Constant,
           is_more=False),
    SetKey("alert", ListOf(threshold_keys("alert"), lone=True),
           "Tell when a count is reached, once for each crossing. Those of several rules add up.", Constant,
           each="item", examples=({"cost_usd": 1.5, "calls": 200}, [{"cost_usd": 0.5, "within": "10m", "per": "day"}])),
    SetKey("limit", ListOf(threshold_keys("limit"), lone=True),
           "Refuse calls once a count is reached. Those of several rules add up.", Constant, each="item",
           examples=({"cost_usd": 5},)),
)  # fmt: skip

SECTIONS = {
    "session": "The session that the call belongs to. Without this key nothing is added to the request.",
    "headers": "Any other request header.",
}
"""The maps of keys."""

MORE_EARLY = tuple(key for key in SET_KEYS if key.is_more and not key.late)
MORE_LATE = tuple(key for key in SET_KEYS if key.is_more and key.late)
