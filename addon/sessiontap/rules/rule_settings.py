"""The settings of a rule, compiled: each setting gives its value for a call, or None if a variable is missing.

`slot` is the unit of filling in: a slot that an earlier rule has filled is left alone, unless the setting adds to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sessiontap.rules.decision import IdSource
from sessiontap.rules.path import path_of
from sessiontap.rules.template import MAX_TEXT, Template, printable
from sessiontap.rules.template_variables import TemplateContext
from sessiontap.rules.text_values import ID_SOURCES


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
        """Its templates as written, for people."""
        return ", ".join(template.text for template in self.content.templates())
