"""The kinds of value in a rules file: maps, lists, flags, and texts, each with how it is checked.

`match_keys.py`, `set_keys.py` and `language.py` build the language from them. `node_reader.py` reads YAML by them, and
`language.json_schema` describes them to editors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any

from sessiontap.header_edit import CONNECTION_HEADERS
from sessiontap.linear_regex import BytesRegex, RegexError
from sessiontap.llm.call import OPERATIONS
from sessiontap.push.target import holds_credential
from sessiontap.rules.match_patterns import Pattern, field_pattern, header_pattern, host_pattern, text_pattern
from sessiontap.rules.problems import BadValue, closest, quoted
from sessiontap.rules.template import Template, parse_template
from sessiontap.units import seconds


@dataclass(frozen=True, slots=True)
class TextOf:
    """A scalar taken as text, whatever YAML would make of it (`No`, `1.10`), turned into its value by `parse`.

    `parse` raises `BadValue`. `json` describes the text to editors.
    """

    parse: Callable[[str], Any]
    json: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words. `later`: known words that this version cannot do yet. `alone`: as an item of a list, further
    words that may stand instead of the whole list. `section`: the file's own section whose keys are options, too."""

    options: tuple[str, ...]
    later: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    section: str | None = None


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
    """Any keys with values of one kind. `key` checks a key (raises `BadValue`); `fold`: their case does not count."""

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
    """A map with these keys and no others. `refused`: a key that somebody may try here -> why it cannot stand here."""

    fields: tuple[Key, ...]
    refused: Mapping[str, str] = field(default_factory=dict)

    def key(self, name: str) -> Key | None:
        return next((one for one in self.fields if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Either:
    """Text, or a map for more."""

    text: TextOf
    record: KeyMap


@dataclass(frozen=True, slots=True)
class Ref:
    """A kind by its name in `language.DEFINITIONS`."""

    name: str


ValueKind = TextOf | Choice | Flag | Integer | AnyJson | ListOf | MapOf | KeyMap | Either | Ref

ID_SOURCES = {
    "auto": "native, then conversation if the process is a server, else process",
    "native": "the client's own id, from an agent's headers and fields",
    "conversation": "inferred from the messages",
    "process": "one per process",
    "process-tree": "one per script or app with its helpers",
    "connection": "one per client connection",
}


def word(text: str) -> str:
    if not text.strip():
        raise BadValue("nothing stands here", "a word")
    return text


def id_source(text: str) -> Template | str:
    """A source's name, a template, or a literal id, in which near misses of a source's name are refused."""
    if text in ID_SOURCES:
        return text
    if "$" in text:
        return parse_template(text)
    word(text)
    if text == "app":
        expected = "one of " + ", ".join(ID_SOURCES) + "; or nothing"
        raise BadValue("an id that the app itself sent always comes first", expected)
    if text == "join":
        raise BadValue("calls are joined by a value that they share", "join: with its templates, beside session")
    plain = text.casefold().replace("_", "-").replace(" ", "-")
    for source in ID_SOURCES:
        if SequenceMatcher(None, plain, source).ratio() >= 0.8:
            what = f"{quoted(text)} is no source of an id, and too near one to be taken as a literal id"
            raise BadValue(what, "one of " + ", ".join(ID_SOURCES) + ", a template or a literal id", source)
    return text


def operation_pattern(text: str) -> Pattern:
    pattern = text_pattern(text)
    if pattern.literal is not None and text not in OPERATIONS:
        raise BadValue(f"{quoted(text)} is no operation", "one of " + ", ".join(OPERATIONS), closest(text, OPERATIONS))
    return pattern


def header_name(text: str) -> str:
    """A field name of RFC 9110, 5.1. Raises `BadValue`."""
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", text) is None:
        raise BadValue(f"{quoted(text)} cannot be a header's name", "letters, digits and - without spaces")
    return text


def settable_header(text: str) -> str:
    if header_name(text).lower() in CONNECTION_HEADERS:
        raise BadValue(f"{quoted(text)} belongs to the connection, and calls break if it is changed")
    return text


def host_with_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if port.isdigit() and ":" not in host:
        if re.fullmatch("[0-9]{1,5}", port) is None or not 0 < int(port) < 65_536:
            raise BadValue(f"{quoted(port)} is no port", "a number from 1 to 65535")
        host_pattern(host)
    elif host_pattern(text).is_regex:
        raise BadValue(f"{quoted(text)} is a regular expression", "a host glob such as *.corp.example")
    return text.lower()


def header_glob(text: str) -> str:
    header_name(text.replace("?", "x"))
    header_pattern(text)
    return text


def one_header(text: str) -> str:
    if "*" in header_name(text):
        raise BadValue(f"{quoted(text)} is a glob", "a header's name in full")
    return text


def redacted(text: str) -> str:
    """`re:` and a regular expression, which is searched for in bytes, or plain text."""
    if text.startswith("re:"):
        try:
            found = next(BytesRegex(text.removeprefix("re:")).finditer(b"", 0, 0), None)
        except RegexError as error:
            raise BadValue(f"{quoted(text)} cannot be used: {error.what}", error.expected) from None
        if found is not None:
            raise BadValue(f"{quoted(text)} matches an empty text too, so it would redact everything", "a narrower one")
    return word(text)


def url(text: str) -> str:
    if re.fullmatch(r"https?://[^/\s?#]+[^\s?#]*", text) is None:
        raise BadValue(f"{quoted(text)} is no URL", "http://HOST or https://HOST, with a port and a path if needed")
    return text


PUSH_CREDENTIALS = "the variables of the target, or a private file: credentials: FILE"
"""The place of a push target's credentials."""


def push_endpoint(text: str) -> str:
    """A URL, or a folder. Credentials have no place in the file."""
    if "://" not in text:
        return word(text)
    if re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s?#]+", text) is None:
        raise BadValue(f"{quoted(text)} is no URL", "https://HOST, with a port and a path if needed")
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise BadValue("the address holds a user or a password", "the variables of the target, or credentials: FILE")
    return text.rstrip("/")


def push_header(text: str) -> str:
    if holds_credential(settable_header(text)):
        raise BadValue(f"{quoted(text)} holds a credential", PUSH_CREDENTIALS)
    return text


def dollars(text: str) -> Decimal:
    if re.fullmatch(r"([0-9]{1,9}(\.[0-9]{0,12})?|\.[0-9]{1,12})([eE]-[0-9]{1,2})?", text) is None:
        raise BadValue(f"{quoted(text)} is no price", "US dollars per million tokens, such as 0.15")
    return Decimal(text)


DURATION_SYNTAX = r"(?=[0-9])(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?"
DURATION_EXPECTED = "a duration such as 90s, 30m, 1h30m or 1d"
MOST_SECONDS = 3_650 * 86_400
"""Ten years: more is a slip, or past what a clock can add."""


def duration(text: str) -> float:
    """Seconds. Raises `BadValue` unless the units are in falling order, the sum above 0 and at most ten years."""
    length = seconds(text) if len(text) <= 60 and re.fullmatch(DURATION_SYNTAX, text) else None
    if length is None:
        guess = f"{text}s" if re.fullmatch("[0-9]{1,9}", text) and int(text) else None
        raise BadValue(f"{quoted(text)} is no duration", DURATION_EXPECTED, guess)
    if length == 0:
        raise BadValue("a duration of nothing", DURATION_EXPECTED)
    if length > MOST_SECONDS:
        raise BadValue(f"{quoted(text)} is longer than ten years", DURATION_EXPECTED)
    return length


def model_pattern(text: str) -> Pattern:
    return text_pattern(word(text))


GLOB_SCHEMA = {"description": "A glob with * and ?, or re: and a regular expression."}
FIELD_SCHEMA = {"description": "A glob with * and ?, re: and a regular expression, or a comparison such as >5."}
TEMPLATE_SCHEMA = {"description": "Text with ${variables}; ${name:-default} if a value may be missing."}

WORD = TextOf(word)
GLOB = Ref("glob")
TEMPLATE = Ref("template")
ID = TextOf(id_source, {"description": "A source of ids, a template or a literal id.", "examples": list(ID_SOURCES)})
DOLLARS = TextOf(dollars, {"type": "number", "minimum": 0, "description": "US dollars per million tokens."})
DURATION = TextOf(duration, {"pattern": f"^{DURATION_SYNTAX}$", "description": DURATION_EXPECTED})


def one_or_more(parse: Any, **json: Any) -> ListOf:
    """One pattern or a list of which any may match."""
    return ListOf(TextOf(parse, {**GLOB_SCHEMA, **json}), lone=True)


def fields_by(noun: str) -> MapOf:
    """A map of globs and comparisons, by the name of a `noun`."""
    return MapOf(ListOf(TextOf(field_pattern, FIELD_SCHEMA), lone=True), None, False, noun)


def globs_by(noun: str, key: Any = None, fold: bool = False) -> MapOf:
    """A map of globs, by the name of a `noun`."""
    return MapOf(GLOB, key, fold, noun)
