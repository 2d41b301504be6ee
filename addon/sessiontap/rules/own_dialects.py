"""Dialects that a rules file defines: a template for each header, of what any dialect may say of a call.

    dialects: {acme: {X-Acme-Session: "${session.id}", X-Acme-Path: "${session.path}"}}

A header whose template has a variable without a value is not written. A value is written as ASCII, and cut to 1,024
characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sessiontap import dialects
from sessiontap.dialects import Dialect, ProposedHeader, SessionInfo
from sessiontap.dialects.header_text import header_text
from sessiontap.rules.kinds import MapOf, TextOf, settable_header
from sessiontap.rules.problems import BadValue, closest, quoted
from sessiontap.rules.template import Placeholder, Template, parse_template
from sessiontap.span_ids import span_id, trace_id

ALONE = ("none", "auto")
"""The words of `send` that name no dialect."""
_PROPERTY = "properties."

VARIABLES: Mapping[str, tuple[str, Callable[[SessionInfo], str | None]]] = {
    "session.id": ("session.id", lambda info: info.id),
    "session.name": ("session.name", lambda info: info.name),
    "session.path": ("session.path", lambda info: info.path),
    "session.step": ("session.id", lambda info: str(info.step)),
    "user": ("user", lambda info: info.user),
    "tags": ("tags", lambda info: ",".join(info.tags)),
    "call.id": ("send", lambda info: info.call),
    "trace.id": ("send", lambda info: trace_id(info.turn or info.call) if info.call else None),
    "span.id": ("send", lambda info: span_id(info.call) if info.call else None),
}
"""Name -> the rules' field that the value comes from, and the value. `properties.NAME` is one more."""


def dialect_template(text: str) -> Template:
    """Raises `BadValue` for what is no template of these variables."""
    template = parse_template(text)
    for one in template.values():
        if one.options:
            raise BadValue(f"{quoted(one.name)} cannot stand in a dialect", "a property whose value it is")
        if one.name not in VARIABLES and not one.name.startswith(_PROPERTY):
            known = (*VARIABLES, "properties.NAME")
            what = f"{quoted(one.name)} is no variable of a dialect"
            expected = "one of " + ", ".join(known) + "; set a property in a rule to say more"
            raise BadValue(what, expected, closest(one.name, VARIABLES))
    return template


def dialect_name(text: str) -> str:
    """Raises `BadValue` for a name that means something already, or that nobody could write in a list."""
    if text in dialects.WRITTEN or text in ALONE:
        raise BadValue(f"{quoted(text)} has a meaning already", "another name")
    if not text.isprintable() or not text.strip() or "," in text:
        raise BadValue(f"{quoted(text)} is no name", "a word")
    return text


HEADERS = MapOf(
    TextOf(dialect_template, {"description": "Text with ${session.id}, ${session.path}, ${properties.NAME}, ..."}),
    settable_header,
    fold=True,
    noun="header",
)
OWN_DIALECTS = MapOf(HEADERS, dialect_name, noun="dialect")


def own_dialect(name: str, headers: Mapping[str, Template]) -> Dialect:
    """Return the dialect that a file defines: header -> template."""
    fields = {header: _field(template) for header, template in headers.items()}

    def request_headers(info: SessionInfo) -> Iterator[ProposedHeader]:
        for header, template in headers.items():
            text = _rendered(template, info)
            if text is not None:
                value, cut = header_text(text)
                yield ProposedHeader(header, value, fields[header], cut)

    return Dialect(name, request_headers)


def _field(template: Template) -> str:
    """Return the field of the first variable: if a rule set it, `existing: replace` replaces the app's own header."""
    for one in template.values():
        return one.name if one.name.startswith(_PROPERTY) else VARIABLES[one.name][0]
    return "send"


def _rendered(template: Template, info: SessionInfo) -> str | None:
    texts: list[str] = []
    for part in template.parts:
        text = part if isinstance(part, str) else _value(part, info)
        if text is None:
            return None
        texts.append(text)
    return "".join(texts)


def _value(part: Placeholder, info: SessionInfo) -> str | None:
    if part.name.startswith(_PROPERTY):
        value = info.properties.get(part.name.removeprefix(_PROPERTY))
    else:
        value = VARIABLES[part.name][1](info)
    return value or (_rendered(part.default, info) if part.default is not None else None)
