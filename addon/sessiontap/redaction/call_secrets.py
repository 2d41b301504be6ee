"""The credentials of one call: what its headers and URL show by name is looked for in all else that it leaves.

So a key without a known shape (Azure's, Cohere's, a cookie) is found where a server repeats it in an error, a template
puts it in a session's name, or a model says it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from sessiontap.redaction.patterns import Hit

SHORTEST = 16
"""Bytes. A shorter text, or one without digit or letter, may be a word that stands elsewhere with good reason."""
MOST = 16
_TELLING = re.compile(rb"(?=.*[0-9])(?=.*[A-Za-z])[!-~]+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential and what it is called."""

    kind: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class Needle:
    """A way to write a credential."""

    text: bytes
    credential: Credential


def needles(credentials: Iterable[Credential]) -> tuple[Needle, ...]:
    """The texts to look for, longest first: each credential as it is, in a URL, and as some JSON writers escape it."""
    found: dict[bytes, Needle] = {}
    for credential in list(credentials)[:MOST]:
        for one in (credential, *_inside(credential)):
            if len(one.secret) >= SHORTEST and _TELLING.fullmatch(one.secret):
                for text in _written(one.secret):
                    found.setdefault(text, Needle(text, one))
    return tuple(sorted(found.values(), key=lambda needle: -len(needle.text)))


def find(text: bytes, known: tuple[Needle, ...], start: int, end: int) -> Iterator[Hit]:
    """Those that begin in text[start:end]."""
    for needle in known:
        until = end + len(needle.text) - 1
        at = text.find(needle.text, start, until)
        while at >= 0:
            yield Hit(at, at + len(needle.text), needle.credential.kind, needle.credential.secret)
            at = text.find(needle.text, at + len(needle.text), until)


def _inside(credential: Credential) -> Iterator[Credential]:
    """User name and password of basic authentication: the password alone."""
    try:
        decoded = base64.b64decode(credential.secret, validate=True)
    except binascii.Error:
        return
    _, colon, password = decoded.partition(b":")
    if colon:
        yield Credential("password", password)


def _written(secret: bytes) -> set[bytes]:
    text = secret.decode("latin-1")
    escaped = text.replace("/", "\\/").replace('"', '\\"')
    return {secret, quote(text, safe="").encode(), escaped.encode("latin-1")}
