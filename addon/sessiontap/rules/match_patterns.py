"""Globs and regular expressions, compiled once to one shape: text -> captures, or None if it does not match.

`*` and `?` stand for any characters. In paths and routes they stop at `/`, but `**` does not; `dir/**` also matches
`dir`, and `/**/` a single `/`. All else in a glob is literal. A regular expression (`re:`) is searched for in at most
`REGEX_LIMIT` characters.

Every pattern is matched in time that is linear in the text. A glob over text (`*error*` over a long prompt) is split
into literal chunks, which are found one after the other. All other patterns are `linear_regex`'s.
"""

from __future__ import annotations

import ipaddress
import operator
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote

from sessiontap.linear_regex import Regex, RegexError
from sessiontap.rules.problems import BadValue, quoted

REGEX_LIMIT = 64 * 1024

Captures = Mapping[str, str]
"""Template variable -> value: named groups by their names, segments of a route as `route.NAME`."""

NOTHING: Captures = MappingProxyType({})


class Comparison(NamedTuple):
    """`>5`: the sign and the number."""

    sign: str
    bound: int | float

    def holds(self, number: int | float) -> bool:
        return _SIGNS[self.sign](number, self.bound)


@dataclass(frozen=True, slots=True)
class Pattern:
    text: str
    """As written in the file."""
    find: Callable[[str], Captures | None]
    literal: str | None = None
    """Set if only this text matches."""
    groups: frozenset[str] = frozenset()
    """Template variables that a match gives."""
    prefix: str = ""
    """The start of every text that matches, as far as it is known."""
    suffix: str = ""
    """The end of every text that matches."""
    size: int = 0
    """Of a regular expression: its instructions, see `linear_regex.MAX_SIZE`."""
    comparison: Comparison | None = None
    """Set if it is no text that is looked for: the number is compared."""

    @property
    def is_regex(self) -> bool:
        return self.text.startswith("re:")


def text_pattern(text: str) -> Pattern:
    """Names, models, tools, prompts: case counts, `*` crosses `/`."""
    return _regex(text) if text.startswith("re:") else _glob(text, fold=False)


_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][-+]?[0-9]{1,2})?")


def number_of(text: str) -> int | float | None:
    """The number that a text is; None if it is none."""
    found = _NUMBER.fullmatch(text) if len(text) <= 300 else None
    if found is None:
        return None
    return float(text) if found[1] or found[2] else int(text)


def field_pattern(text: str) -> Pattern:
    """A field of JSON: a text, or a comparison such as `>5`."""
    given = re.fullmatch(r"(>=|<=|>|<) *(.*)", text, re.DOTALL)
    if given is None or not re.match(r"[-+]?\.?[0-9]", given[2]):
        return text_pattern(text)
    bound = number_of(given[2])
    if bound is None:
        what = f"{quoted(text)} compares with what is no number"
        expected = f"a number, such as {given[1]}5 or {given[1]}0.5; re: and an expression for the text itself"
        raise BadValue(what, expected)
    comparison = Comparison(given[1], bound)

    def find(value: str) -> Captures | None:
        number = number_of(value)
        return NOTHING if number is not None and comparison.holds(number) else None

    return Pattern(text, find, comparison=comparison)


def host_pattern(text: str) -> Pattern:
    """Host names: case does not count, `*` crosses dots. Raises `BadValue` if it is more than a host."""
    if text.startswith("re:"):
        return _regex(text, ignore_case=True)
    if text.startswith("[") and text.endswith("]"):
        return replace(host_pattern(text[1:-1]), text=text)  # an IPv6 address as URLs have it
    bare = re.sub(r"^[a-z+]+://", "", text, flags=re.IGNORECASE).partition("/")[0]
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    if bare != text or not text:
        what = f"{quoted(text)} is more than a host" if bare else f"{quoted(text)} is no host"
        raise BadValue(what, "a host name without scheme, port or path", bare or None)
    return _glob(text.rstrip("."), fold=True)


def header_pattern(text: str) -> Pattern:
    """Globs of header names, whose case does not count."""
    return _glob(text, fold=True)


def path_pattern(text: str) -> Pattern:
    """File system paths: `~` is the home folder."""
    if text.startswith("re:"):
        return _regex(text)
    whole = text.rstrip("/") or "/"
    prefix = ""
    if whole.startswith("~"):
        user, slash, rest = whole.partition("/")
        prefix, whole = os.path.expanduser(user), slash + rest
    if not any(mark in whole for mark in "*?"):
        return _equal(text, prefix + whole)
    start = prefix + _literal_start(whole)
    if whole.endswith("/**") and not any(mark in whole[:-3] for mark in "*?"):
        # The common case, without a regular expression.
        folder, inside = prefix + whole[:-3], prefix + whole[:-2]
        return Pattern(
            text, lambda value: NOTHING if value == folder or value.startswith(inside) else None, prefix=folder
        )
    return Pattern(text, _whole(text, re.escape(prefix) + _segments(whole), start), prefix=start)


def route_pattern(text: str) -> Pattern:
    """`[METHOD ]/path`, matched against `METHOD /path`; `{name}` captures one segment as `route.name`.

    Without a method the prefix is the path's.
    """
    if text.startswith("re:"):
        return _route_regex(text)
    parts = re.fullmatch(r"(?:([A-Za-z]+) +)?([/*]\S*)", text)
    if parts is None:
        raise BadValue(f"{quoted(text)} is no route", "a path or METHOD /path, such as POST /v1/chat/completions")
    method, path = parts.groups()
    names = re.findall(r"\{([^{}]*)\}", path)
    for name in names:
        if not name.isidentifier() or names.count(name) > 1:
            raise BadValue(f"{{{name}}} in {quoted(text)}", "a different word in each pair of braces")
    if set(re.sub(r"\{[^{}]*\}", "", path)) & set("{}"):
        raise BadValue(f"{quoted(text)} has a brace without its partner", "{name} for each captured segment")
    verb = method.upper() if method else "[^ ]*"
    start = _literal_start(path)
    search = _whole(text, f"{verb} {_segments(path, captures=True)}", f"{verb} {start}" if method else "")
    if method:
        start = f"{verb} {start}"
    if not names:
        return Pattern(text, search, prefix=start)

    def find(value: str) -> Captures | None:
        found = search(value)
        return None if found is None else {f"route.{name}": unquote(found[name]) for name in names}

    return Pattern(text, find, groups=frozenset(f"route.{name}" for name in names), prefix=start)


def client_pattern(text: str) -> Pattern:
    """An address, or a network as `10.0.0.0/8`."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValue(f"{quoted(text)} is no address", "an IP address or a network such as 10.0.0.0/8") from None
    if "/" in text and str(network.network_address) != str(ipaddress.ip_interface(text).ip):
        raise BadValue(f"{quoted(text)} has bits beyond its network", "an IP address or a network", str(network))

    def find(value: str) -> Captures | None:
        address = parse_address(value)
        return NOTHING if address is not None and address in network else None

    return Pattern(text, find)


@lru_cache(maxsize=1024)
def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IPv4 address inside IPv6 is that IPv4 address; a zone (`%eth0`) is left out. None if it is no address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _equal(text: str, literal: str, fold: bool = False) -> Pattern:
    if fold:
        literal = literal.lower()
        return Pattern(text, lambda value: NOTHING if value.lower() == literal else None, literal)
    return Pattern(text, lambda value: NOTHING if value == literal else None, literal)


def _glob(text: str, fold: bool) -> Pattern:
    if not any(mark in text for mark in "*?"):
        return _equal(text, text, fold)
    if "?" in text:
        parts = (".*" if part.startswith("*") else re.escape(part).replace(r"\?", ".") for part in _runs(text))
        return Pattern(text, _whole(text, "".join(parts), ignore_case=fold))

    # The common case, without a regular expression.
    head, *chunks, tail = (text.lower() if fold else text).split("*")
    chunks = [chunk for chunk in chunks if chunk]
    shortest = len(head) + len(tail)

    def find(value: str) -> Captures | None:
        if fold:
            value = value.lower()
        if len(value) < shortest or not value.startswith(head) or not value.endswith(tail):
            return None
        position, end = len(head), len(value) - len(tail)
        for chunk in chunks:
            position = value.find(chunk, position, end)
            if position < 0:
                return None
            position += len(chunk)
        return NOTHING

    return Pattern(text, find, prefix=head, suffix=tail)


def _runs(glob: str) -> list[str]:
    """A glob's runs of stars, and what stands between them."""
    return [run for run in re.split(r"(\*+)", glob) if run]


def _whole(text: str, source: str, start: str = "", *, ignore_case: bool = False) -> Callable[[str], Captures | None]:
    """The search for texts that `source`, made from the glob `text`, matches as a whole. Raises `BadValue`.

    All of these texts begin with `start`.
    """
    try:
        search = Regex(rf"\A(?s:{source})\z", ignore_case=ignore_case).search
    except RegexError:
        raise BadValue(f"{quoted(text)} is too long for a glob", "a shorter one, with fewer * and ?") from None
    return (lambda value: search(value) if value.startswith(start) else None) if start else search


def _literal_start(glob: str) -> str:
    """The start of every match of a glob over segments; `dir/**` may be `dir`."""
    start = re.split(r"[*?{]", glob, maxsplit=1)[0]
    return start.rstrip("/") if glob.startswith("**", len(start)) else start


def _segments(glob: str, captures: bool = False) -> str:
    """A glob over `/`-separated segments as a regular expression."""
    out: list[str] = []
    position = 0
    while position < len(glob):
        rest = glob[position:]
        at_start = position == 0 or glob[position - 1] == "/"
        if rest == "/**":
            out.append("(?:/.*)?")
            break
        if at_start and rest.startswith("**/"):
            out.append("(?:.*/)?")
            position += 3
        elif rest.startswith("**"):
            out.append(".*")
            position += 2
        elif captures and rest.startswith("{"):
            name = rest[1 : rest.index("}")]
            out.append(f"(?P<{name}>[^/]+)")
            position += len(name) + 2
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(rest[0]) or re.escape(rest[0]))
            position += 1
    return "".join(out)


def compile_regex(text: str, *, ignore_case: bool = False) -> Regex:
    """`re:...` compiled. Raises `BadValue`."""
    try:
        return Regex(text.removeprefix("re:"), ignore_case=ignore_case)
    except RegexError as error:
        raise BadValue(f"{quoted(text)} cannot be used: {error.what}", error.expected) from None


def _regex(text: str, *, ignore_case: bool = False) -> Pattern:
    pattern = compile_regex(text, ignore_case=ignore_case)
    search = pattern.search
    return Pattern(text, lambda value: search(value[:REGEX_LIMIT]), groups=frozenset(pattern.groups), size=pattern.size)


def _route_regex(text: str) -> Pattern:
    """Searched for in the path; its groups are `NAME` and `route.NAME`."""
    inner = _regex(text)

    def find(value: str) -> Captures | None:
        found = inner.find(value.partition(" ")[2])
        return found and {**found, **{f"route.{name}": got for name, got in found.items()}}

    groups = inner.groups | {f"route.{name}" for name in inner.groups}
    return Pattern(text, find, groups=groups, size=inner.size)
