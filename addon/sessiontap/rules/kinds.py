"""The few kinds of value that a rules file is made of.

`schema.py` builds the language from them, `node_reader.py` reads YAML by them, `json_schema.py` describes them to
editors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TextOf:
    """A scalar taken as text, whatever YAML would make of it (`No`, `1.10`), turned into its value by `parse`.

    `parse` raises `Wrong`. `json` describes the text to editors.
    """

    parse: Callable[[str], Any]
    json: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words. `later`: known words that this version cannot do yet. `alone`: as an item of a list, further
    words that may stand instead of the whole list."""

    options: tuple[str, ...]
    later: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from `least`."""

    least: int
    only: int | None = None
    """The one number that is accepted."""


@dataclass(frozen=True, slots=True)
class AnyJson:
    """Any JSON value; texts in it are templates."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list. `lone`: a single item may stand for a list of one."""

    item: ValueKind
    lone: bool = False
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class MapOf:
    """Any keys with values of one kind. `key` checks a key (raises `Wrong`); `fold`: their case does not count."""

    value: ValueKind
    key: Callable[[str], Any] | None = None
    fold: bool = False
    noun: str = "name"


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    kind: ValueKind
    doc: str
    required: bool = False
    examples: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyMap:
    """A map with these keys and no others."""

    fields: tuple[Key, ...]

    def field(self, name: str) -> Key | None:
        return next((field for field in self.fields if field.name == name), None)


@dataclass(frozen=True, slots=True)
class Either:
    """Text, or a map for more."""

    text: TextOf
    record: KeyMap


@dataclass(frozen=True, slots=True)
class Ref:
    """A kind by its name in `schema.DEFINITIONS`."""

    name: str


ValueKind = TextOf | Choice | Flag | Integer | AnyJson | ListOf | MapOf | KeyMap | Either | Ref
