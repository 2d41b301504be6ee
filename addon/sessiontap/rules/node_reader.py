"""YAML nodes -> checked plain values, by a table of their kinds, such as that in `language.py`.

It reads PyYAML's nodes rather than loaded values: a node knows its line, and a scalar its text, so `name: No` is the
text "No" for a key that takes text. All problems of a file are found in one go. Values with a problem are left out of
the result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sessiontap.rules.kinds import (
    AnyJson,
    Choice,
    Either,
    Flag,
    Integer,
    Key,
    KeyMap,
    ListOf,
    MapOf,
    Ref,
    TextOf,
    ValueKind,
)
from sessiontap.rules.match_patterns import Pattern
from sessiontap.rules.problems import LONGEST_VALUE, MOST_PROBLEMS, BadValue, RulesProblem, closest, quoted, shown
from sessiontap.rules.template import Template, parse_template

STANDARD = "tag:yaml.org,2002:"
MERGE, NULL = STANDARD + "merge", STANDARD + "null"
MAX_DEPTH = 50
"""Lists and maps within each other."""
MAX_NODES = 200_000
"""Values of a file, its aliases written out."""

MOST_EXPRESSIONS = 15_000
"""Instructions of all regular expressions of a file together, as a call may have to be searched for each of them:
several hundred ordinary ones."""

PLAIN_JSON: tuple[tuple[str, Callable[[str], Any]], ...] = (
    (r"|~|null|Null|NULL", lambda text: None),
    (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    (r"[-+]?[0-9]{1,300}", int),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,2})?", float),
)
"""Unquoted scalars that are no text (YAML 1.2, core schema, as far as JSON has them)."""

INVALID: Any = object()


class ReadingEnds(Exception):
    """There are so many problems, or so many nodes, that reading goes no further."""


@dataclass
class RulesReader:
    """Reads one file's nodes; `problems` and `places` (key path -> line and column) fill as it goes."""

    filename: str
    definitions: Mapping[str, ValueKind] = field(default_factory=dict)
    """The kinds that a `Ref` names."""
    problems: list[RulesProblem] = field(default_factory=list)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    templates: dict[int, tuple[str, Template]] = field(default_factory=dict)
    """Identity of a template -> its key path, and the template."""
    defined: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Section of the file -> the names that it defines."""
    nodes: int = 0
    expressions: int = 0
    """Instructions of all regular expressions so far."""

    def problem(self, path: str, bad: BadValue, value: str | None = None, node: Node | None = None) -> None:
        """Add a problem at `node`, or at the place of `path`. Raises ReadingEnds after the last."""
        line, column = _place(node) if node is not None else self.places.get(path, (1, 1))
        value = value if value is None or len(value) <= LONGEST_VALUE else shown(value, LONGEST_VALUE)
        path = path if len(path) <= LONGEST_VALUE else shown(path, LONGEST_VALUE)
        problem = RulesProblem(self.filename, line, column, path, bad.what, value, bad.expected, bad.guess)
        self.problems.append(problem)
        if len(self.problems) >= MOST_PROBLEMS:
            raise ReadingEnds

    def _count(self, node: Node, path: str) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._refuse(node, path, BadValue(f"with its aliases the file has more than {MAX_NODES:,} values"))
            raise ReadingEnds

    def read_file(self, kind: KeyMap, root: Node) -> Any:
        """Return the value of a whole file, as `read`. Names that it defines may stand before their definition."""
        for key, value in root.value if isinstance(root, MappingNode) else ():
            if isinstance(key, ScalarNode) and isinstance(value, MappingNode):
                self.defined[key.value] = tuple(one.value for one, _ in value.value if isinstance(one, ScalarNode))
        return self.read(kind, root)

    def read(self, kind: ValueKind, node: Node, path: str = "", depth: int = 0) -> Any:
        """Return the value of `node`, or `INVALID` if it is not of this kind. Raises ReadingEnds."""
        self.places[path] = _place(node)
        self._count(node, path)
        if depth > MAX_DEPTH:  # aliases may nest what is not nested as written
            return self._refuse(node, path, BadValue(f"this is nested more than {MAX_DEPTH} deep"))
        if not node.tag.startswith(STANDARD):
            return self._refuse(node, path, BadValue(f"the tag {node.tag} means nothing here", "a plain value"))
        if isinstance(node, ScalarNode) and node.tag == NULL and not node.value and not isinstance(kind, AnyJson):
            return self._refuse(node, path, BadValue("nothing stands here", self._expected(kind)))
        match kind:
            case Ref(name):
                return self.read(self.definitions[name], node, path, depth)
            case TextOf(parse):
                return self._text(parse, node, path, kind)
            case Choice():
                return self._text(lambda text: _choose(self._options(kind), text), node, path, kind)
            case Flag():
                return self._text(_flag, node, path, kind)
            case Integer():
                return self._text(lambda text: _whole(kind, text), node, path, kind)
            case AnyJson():
                return self._json(node, path, depth)
            case ListOf():
                return self._list(kind, node, path, depth)
            case MapOf():
                return self._map(kind, node, path, depth)
            case KeyMap():
                return self._record(kind, node, path, depth)
            case Either(text, record):
                return self.read(record if isinstance(node, MappingNode) else text, node, path, depth)

    def _options(self, kind: Choice) -> Choice:
        """Return the choice with the names that the file defines."""
        names = self.defined.get(kind.section, ()) if kind.section is not None else ()
        return replace(kind, options=tuple(dict.fromkeys((*kind.options, *names)))) if names else kind

    def _refuse(self, node: Node, path: str, bad: BadValue) -> Any:
        self.problem(path, bad, node.value if isinstance(node, ScalarNode) else None, node)
        return INVALID

    def _text(self, parse: Any, node: Node, path: str, kind: ValueKind) -> Any:
        if not isinstance(node, ScalarNode):
            return self._refuse(node, path, BadValue(f"{_noun(node)} stands here", self._expected(kind)))
        if node.style in ("|", ">") and not node.value:
            what = "a block of text without text; a value that starts with > or | needs quotes"
            return self._refuse(node, path, BadValue(what, self._expected(kind)))
        try:
            value = parse(node.value)
        except BadValue as bad:
            return self._refuse(node, path, bad)
        if isinstance(value, Pattern) and value.size:
            before, self.expressions = self.expressions, self.expressions + value.size
            if before <= MOST_EXPRESSIONS < self.expressions:
                what = "from this one on, the regular expressions of the file are too large together"
                return self._refuse(node, path, BadValue(what, "globs, or fewer and smaller expressions"))
        if isinstance(value, Template):
            self.templates[id(value)] = (path, value)
        return value

    def _list(self, kind: ListOf, node: Node, path: str, depth: int) -> Any:
        if isinstance(node, ScalarNode) and isinstance(kind.item, Choice) and node.value in kind.item.alone:
            return node.value
        if isinstance(node, SequenceNode):
            if not node.value and not kind.may_be_empty:
                return self._refuse(node, path, BadValue("the list is empty", "at least one item"))
            items = [self.read(kind.item, item, f"{path}[{n}]", depth + 1) for n, item in enumerate(node.value)]
        elif kind.lone:
            items = [self.read(kind.item, node, path, depth)]
        else:
            return self._refuse(node, path, BadValue(f"{_noun(node)} stands here", self._expected(kind)))
        return tuple(item for item in items if item is not INVALID)

    def _map(self, kind: MapOf, node: Node, path: str, depth: int) -> Any:
        values: dict[str, Any] = {}
        for name, key, value in self._pairs(node, path, kind, kind.fold):
            try:
                if kind.key is not None:
                    kind.key(name)
            except BadValue as bad:
                self.problem(_join(path, name), bad, name, key)
                continue
            got = self.read(kind.value, value, _join(path, name), depth + 1)
            if got is not INVALID:
                values[name] = got
        return values

    def _record(self, kind: KeyMap, node: Node, path: str, depth: int) -> Any:
        values: dict[str, Any] = {}
        seen = set()
        for name, key, value in self._pairs(node, path, kind):
            known = kind.key(name)
            seen.add(name)
            if known is None:
                self.problem(_join(path, name), self._unknown(name, kind), name, key)
            elif (got := self.read(known.kind, value, _join(path, name), depth + 1)) is not INVALID:
                values[name] = got
        if isinstance(node, MappingNode):
            for missing in (known.name for known in kind.fields if known.required and known.name not in seen):
                self.problem(path, BadValue(f"the key {quoted(missing)} is missing"), None, node)
        return values

    def _pairs(self, node: Node, path: str, kind: ValueKind, fold: bool = False) -> list[tuple[str, ScalarNode, Node]]:
        """Keys and values of a map, merge keys worked in; duplicates are problems."""
        if not isinstance(node, MappingNode):
            self._refuse(node, path, BadValue(f"{_noun(node)} stands here", self._expected(kind)))
            return []
        own: dict[str, tuple[str, ScalarNode, Node]] = {}
        merged: dict[str, tuple[str, ScalarNode, Node]] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._refuse(key, path, BadValue(f"{_noun(key)} stands as a key", "a word"))
                continue
            if key.tag == MERGE:
                for name, pair in self._merged(value, path).items():
                    merged.setdefault(name.lower() if fold else name, pair)
                continue
            name = key.value.lower() if fold else key.value
            if name in own:
                what = f"the key {quoted(key.value)} stands here again, first in line {_place(own[name][1])[0]}"
                self._refuse(key, _join(path, key.value), BadValue(what))
                continue
            own[name] = (key.value, key, value)
        return list({**merged, **own}.values())

    def _merged(self, node: Node, path: str, above: tuple[Node, ...] = ()) -> dict[str, tuple[str, ScalarNode, Node]]:
        """The pairs that `<<: *anchor` or `<<: [*one, *two]` brings in: the first of several wins."""
        pairs: dict[str, tuple[str, ScalarNode, Node]] = {}
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(source, MappingNode) or source in above or len(above) > MAX_DEPTH:
                bad = BadValue(f"{_noun(source)} cannot be merged here", "an alias of a map")
                self._refuse(source, _join(path, "<<"), bad)
                continue
            inherited = []
            for key, value in source.value:
                self._count(key, path)
                if isinstance(key, ScalarNode) and key.tag == MERGE:
                    inherited.append(value)
                elif isinstance(key, ScalarNode):
                    pairs.setdefault(key.value, (key.value, key, value))
            for value in inherited:
                for name, pair in self._merged(value, path, (*above, source)).items():
                    pairs.setdefault(name, pair)
        return pairs

    def _json(self, node: Node, path: str, depth: int) -> Any:
        """JSON as YAML 1.2 reads it: `No` is text, and texts are templates."""
        if isinstance(node, SequenceNode):
            return [self.read(AnyJson(), item, f"{path}[{n}]", depth + 1) for n, item in enumerate(node.value)]
        if isinstance(node, MappingNode):
            return {
                name: self.read(AnyJson(), value, _join(path, name), depth + 1)
                for name, _, value in self._pairs(node, path, AnyJson())
            }
        if isinstance(node, ScalarNode) and not node.style:
            for pattern, value_of in PLAIN_JSON:
                if re.fullmatch(pattern, node.value):
                    value = value_of(node.value)
                    if value in (math.inf, -math.inf):
                        return self._refuse(node, path, BadValue(f"{quoted(node.value)} is too large a number"))
                    return value
        return self._text(parse_template, node, path, AnyJson()) if node.value.strip() else node.value

    def _expected(self, kind: ValueKind) -> str:
        match kind:
            case Choice():
                return _one_of(kind)
            case Flag():
                return "true or false"
            case Integer():
                return _integer(kind)
            case ListOf(item, lone):
                return self._expected(item) + ", or a list" if lone else "a list"
            case MapOf(noun=noun):
                return f"a map of {noun}s" if not noun.endswith("y") else f"a map of {noun[:-1]}ies"
            case KeyMap(fields):
                return "a map with " + ", ".join(known.name for known in fields)
            case Either():
                return "text or a map"
            case Ref(name):
                return self._expected(self.definitions[name])
            case _:
                return "text"

    def _unknown(self, name: str, kind: KeyMap) -> BadValue:
        if name in kind.refused:
            return BadValue(kind.refused[name])
        options = [known.name for known in kind.fields]
        guess = closest(name, options)
        if guess is None or guess.casefold() != name.casefold():
            # `name:` stands beside `session:` instead of in it.
            inside = [f"{outer.name}.{name}" for outer in kind.fields if self._has(outer, name)]
            guess = inside[0] if inside else guess
        return BadValue(f"unknown key {quoted(name)}", "one of " + ", ".join(options), guess)

    def _has(self, outer: Key, name: str) -> bool:
        inner = outer.kind
        while isinstance(inner, Ref | ListOf | Either):
            match inner:
                case Ref(named):
                    inner = self.definitions[named]
                case ListOf(item):
                    inner = item
                case Either(_, record):
                    inner = record
        return isinstance(inner, KeyMap) and inner.key(name) is not None


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _noun(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a map"
    return "a list" if isinstance(node, SequenceNode) else f"the value {quoted(node.value)}"


def _one_of(kind: Choice) -> str:
    return "one of " + ", ".join((*kind.options, *kind.alone))


def _integer(kind: Integer) -> str:
    return str(kind.only) if kind.only is not None else f"a whole number from {kind.least}"


def _choose(kind: Choice, text: str) -> str:
    if text in kind.options:
        return text
    if text in kind.alone:
        raise BadValue(f"{quoted(text)} stands alone, not in a list", "it without the brackets")
    if text in kind.later:
        raise BadValue(f"{quoted(text)} is not yet available in this version", _one_of(kind))
    raise BadValue(f"{quoted(text)} is unknown", _one_of(kind), closest(text, (*kind.options, *kind.alone)))


def _flag(text: str) -> bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    guess = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower())
    raise BadValue(f"{quoted(text)} is neither", "true or false", guess)


def _whole(kind: Integer, text: str) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
    if number is None or number < kind.least or (kind.only is not None and number != kind.only):
        raise BadValue(f"{quoted(text)} cannot stand here", _integer(kind))
    return number
