r"""The search for credentials of a known shape in text of any size.

One RE2 expression (`BEGINNINGS`) finds all places at which some shape (shapes.py) may begin; RE2 searches for its
hundred and more beginnings at once, in 1 to 2 ms a megabyte. At each place the shapes that begin with its first byte
are tried in full.

No letter, digit, `_`, `-` or `+` stands before a shape with a fixed beginning, so that no run of base64 holds one; the
escapes `\n`, `\u0026` and `%3D` end in letters and count as borders. It ends at a border too and is of sane length. No
shape's match holds a quote or half an escape: JSON stays JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import re2

from sessiontap.redaction.names_and_values import is_placeholder
from sessiontap.redaction.shapes import OTHERS, PREFIXES

SHORTEST = 12
"""No known shape is shorter."""
LOOK_BACK = 512
"""Bytes that a shape sees before the place at which it is found."""
_BORDER = r"(?:(?<![A-Za-z0-9_+-])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2}))"
"""No word runs into what begins here."""
_DFA_MEMORY = 32 << 20
"""Bytes. With less, text made for it would have RE2 build its states again and again."""


@dataclass(frozen=True, slots=True)
class CredentialHit:
    """A credential in a text."""

    start: int
    end: int
    kind: str
    secret: bytes | None = None
    """The whole credential, if this is a part of it; a part whose kind is empty just goes."""
    instead: bytes = b""
    """The text in the place of a part that goes."""


class _ShapesOfByte(NamedTuple):
    """The shapes that begin with one byte. A credential begins `backs` bytes before its group."""

    pattern: re.Pattern[bytes]
    kinds: tuple[str, ...]
    backs: tuple[int, ...]


def linear_search(pattern: bytes) -> Any:
    """Compile an expression that RE2 searches for in bytes, in time that is linear in their number."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _DFA_MEMORY
    return re2.compile(pattern, options)


def _beginning(head: str, rest: str) -> str:
    """Return a shape's fixed beginning and up to eight bytes of the rest, for RE2: `sk-` alone is in many words."""
    letters = re.match(r"(?:\(\?=[^)]*\))?(\[[^\]]*\])\{(\d+)", rest)
    return re.escape(head) + (f"{letters[1]}{{{min(int(letters[2]), 8)}}}" if letters else "")


class _Shapes(dict[int, _ShapesOfByte | None]):
    """The shapes by their first byte. Those of a byte are compiled when a text first has it."""

    def __init__(self, compiled: Callable[[int], _ShapesOfByte | None]) -> None:
        super().__init__()
        self._compiled = compiled

    def __missing__(self, first: int) -> _ShapesOfByte | None:
        shapes = self[first] = self._compiled(first)
        return shapes


def _words_of(first: int) -> _ShapesOfByte | None:
    """Compile the shapes of PREFIXES that begin with this byte. None: there is none."""
    found = [(kind, f"({re.escape(head)}{rest})") for kind, head, rest in PREFIXES if ord(head[0]) == first]
    if not found:
        return None
    return _ShapesOfByte(
        re.compile(f"{_BORDER}(?:{'|'.join(pattern for _, pattern in found)})(?![A-Za-z0-9_-])".encode()),
        tuple(kind for kind, _ in found),
        (0,) * len(found),
    )


def _others_of(first: int) -> _ShapesOfByte | None:
    """Compile the shapes of OTHERS whose rare part begins with this byte. None: there is none."""
    found = [row for row in OTHERS if ord(row[1].lstrip("\\")[0]) == first]
    if not found:
        return None
    return _ShapesOfByte(
        re.compile("|".join(pattern for _, _, pattern, _ in found).encode()),
        tuple(kind for kind, _, _, _ in found),
        tuple(back for _, _, _, back in found),
    )


_RUN_ON = (b"eyJ", b"-----BEGIN")
"""The beginnings of tokens and private keys, of up to 16 KB."""
BEGINNINGS = "|".join(
    dict.fromkeys([*(_beginning(head, rest) for _, head, rest in PREFIXES), *(part for _, part, _, _ in OTHERS)])
).encode()
"""An expression for RE2: all places at which some shape may begin."""
_WORDS, _OTHERS = _Shapes(_words_of), _Shapes(_others_of)
_SENTRY = re.compile(rb"://([0-9a-f]{32})@")
"""A data source name, whose user is a key."""
_USERINFO = re.compile(rb"://[^\s/:@\"'\\<>]{0,128}:(?!\[redacted:)([^\s/@\"'\\<>]{1,256})@")


@cache
def _beginnings() -> Any:
    return linear_search(BEGINNINGS)


def find(text: bytes) -> list[CredentialHit]:
    """All credentials of a known shape in a text."""
    finder, beginnings = ShapeFinder(text, len(text)), _beginnings()
    place = beginnings.search(text)
    while place is not None:
        finder.try_at(place.start())
        place = beginnings.search(text, place.start() + 1)
    return [*finder.hits(), *find_in_urls(text, 0, len(text))]


class ShapeFinder:
    """Finds the credentials of a known shape that begin at places of a text; a match may run on to `reach`.

    What is found at a place depends on `LOOK_BACK` bytes before it, and on whether the text begins there. Within a
    match the shapes of the same first byte are not tried again.
    """

    def __init__(self, text: bytes, reach: int) -> None:
        self._text = text
        self._reach = reach
        self._words = _Hits(_WORDS)
        self._others = _Hits(_OTHERS)
        self.may_run_on = False
        """A shape began that cannot be told before its end, which may be far."""

    def try_at(self, at: int) -> None:
        """Try the shapes at a place, each later than the one before."""
        if self._text.startswith(_RUN_ON, at):
            self.may_run_on = True
        self._words.add(self._text, at, self._reach)
        self._others.add(self._text, at, self._reach)

    def hits(self) -> list[CredentialHit]:
        """All that was found, the more telling kinds first."""
        return self._words.found + self._others.found


class _Hits:
    def __init__(self, shapes: _Shapes) -> None:
        self.found: list[CredentialHit] = []
        self._shapes = shapes
        self._ends: dict[int, int] = {}

    def add(self, text: bytes, at: int, reach: int) -> None:
        first = text[at]
        shapes = self._shapes[first]
        if shapes is None or at < self._ends.get(first, 0):
            return
        if (match := shapes.pattern.match(text, at, reach)) is not None:
            group = match.lastindex or 1
            start = match.start(group) - shapes.backs[group - 1]
            self.found.append(CredentialHit(start, match.end(group), shapes.kinds[group - 1]))
            self._ends[first] = match.end()


def find_in_urls(text: bytes, start: int, end: int) -> Iterator[CredentialHit]:
    """Passwords between `://` and the first `@` behind it, if that is in text[start:end]."""
    at, before = text.find(b"@", start, end), -1
    while at >= 0:
        scheme = text.rfind(b"://", max(0, at - 400), at)
        if scheme > before:
            before = scheme
            if user := _USERINFO.match(text, scheme, at + 1):
                if not is_placeholder(user[1], "password"):
                    yield CredentialHit(user.start(1), user.end(1), "password")
            elif user := _SENTRY.match(text, scheme, at + 1):
                yield CredentialHit(user.start(1), user.end(1), "sentry-key")
        at = text.find(b"@", at + 1, end)
