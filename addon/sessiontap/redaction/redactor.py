"""Credentials taken out of everything that is kept, before it reaches the disk.

A credential becomes `[redacted:KIND:DIGEST]`: the kind is that of its shape or the name that it stood under, the digest
is keyed by a secret outside the trace folder, so that equal credentials stay recognisable as equal and nobody can try
guesses against a log.

If a name says that a value is a credential, the whole value goes, whatever its shape: headers, query parameters,
environment variables (by_name.py), options of a command line (command_line.py). Elsewhere (bodies, paths, error texts,
other headers) replacer.py finds them. docs/redaction.md says what is not found.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sessiontap.linear_regex import BytesRegex, RegexError
from sessiontap.redaction import command_line
from sessiontap.redaction.by_name import HEADERS, Credential, Credentials, NameRedactor, needles
from sessiontap.redaction.memory_in_use import Used, untold
from sessiontap.redaction.names_and_values import given_credential, names_credential
from sessiontap.redaction.replacer import Replacer

_REMEMBERED = 2048
"""Values of headers, URLs and texts."""
_LONGEST_REMEMBERED = 1024
"""Characters. An app's calls repeat nearly all of their short values; long ones would take the memory."""
_CALLERS = 64
"""Sets of own credentials for which a redactor is kept."""
_REMEMBERED_OF_CALLER = 256
"""The same as `_REMEMBERED`, for each of these."""


def _remembered[T](find: Callable[[str], T], most: int) -> Callable[[str], T]:
    """Return `find` with a memory of its results for short texts."""
    remembered = lru_cache(most)(find)

    def found(text: str) -> T:
        return remembered(text) if len(text) <= _LONGEST_REMEMBERED else find(text)

    return found


def _remembered_by_name[T](find: Callable[[str, str], T], most: int) -> Callable[[str, str], T]:
    """Return `find`, of a name and a value, with a memory of its results for short ones."""
    remembered = lru_cache(most)(find)

    def found(name: str, value: str) -> T:
        short = len(name) + len(value) <= _LONGEST_REMEMBERED
        return remembered(name, value) if short else find(name, value)

    return found


class RedactionError(Exception):
    """One sentence that says what is wrong and where; `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Redactor:
    """Knows what a credential is. One for a process; bodies are for one thread at a time, the rest for any.

    `key`: the secret behind the digests, at most 64 bytes. `header_names`: more headers that hold credentials.
    `patterns`: more shapes, `re:...` a regular expression, anything else a literal text; if an expression has a
    group, that is the credential. Raises RedactionError for an expression that is none.
    """

    def __init__(self, key: bytes, header_names: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self._headers = HEADERS | {name.lower() for name in header_names}
        self._replacer = Replacer(key, map(_compiled, patterns))
        self._named = NameRedactor(self._headers, self._replacer.text, self._replacer.token)
        self._kept_header = _remembered_by_name(self._named.header, _REMEMBERED)
        self._kept_url = _remembered(self._named.url, _REMEMBERED)
        """Without a call's own credentials: the same for every call that has none of its own in the text."""
        self._remembered_redactor = lru_cache(_CALLERS)(self._with_credentials)
        self._remember(_REMEMBERED)

    def _remember(self, most: int) -> None:
        self.header = _remembered_by_name(self._any_header, most)
        self.named = _remembered_by_name(self._any_named, most)
        self.url = _remembered(self._any_url, most)
        self.text = _remembered(self._any_text, most)

    def with_credentials(
        self, headers: Iterable[tuple[str, str]], url: str = "", env: Mapping[str, str] | None = None
    ) -> Redactor:
        """Return a redactor that also finds the credentials of these request headers, URL and environment anywhere."""
        found: dict[Credential, None] = {}
        for name, value in headers:
            if named := self._kept_header(name, value)[1]:
                found.update(dict.fromkeys(named))
        found.update(dict.fromkeys(self._kept_url(url)[1]))
        for name, value in (env or {}).items():
            if value and names_credential(name):
                found[Credential(name.lower(), value.encode("utf-8", "surrogatepass"))] = None
        return self._remembered_redactor(tuple(found)) if found else self

    def _with_credentials(self, credentials: Credentials) -> Redactor:
        known = needles(credentials)
        if not known:
            return self
        other = copy.copy(self)
        other._replacer = self._replacer.with_credentials(known)
        other._named = NameRedactor(self._headers, other._replacer.text, other._replacer.token)
        other._remember(_REMEMBERED_OF_CALLER)
        return other

    def token(self, kind: str, secret: bytes) -> str:
        """Return the token that stands for `secret`."""
        return self._replacer.token(kind, secret)

    def body(self, data: bytes, used: Used = untold) -> bytes:
        """Return a body without its credentials; JSON stays JSON, frames of an AWS event stream stay such frames.

        `used` is told of the memory that it takes beside three times the body.
        """
        return self._replacer.body(data, used)

    def _any_header(self, name: str, value: str) -> str:
        """Return a header's value: whole credentials by name (scheme words and cookie names stay), else by shape."""
        find = self._named.header if self._replacer.holds_call_secret(value) else self._kept_header
        return self._replacer.without_call_secrets(find(name, value)[0])

    def _any_url(self, url: str) -> str:
        """Return a URL without its password, its credentials by name in the query, and known shapes anywhere."""
        find = self._named.url if self._replacer.holds_call_secret(url) else self._kept_url
        return self._replacer.without_call_secrets(find(url)[0])

    def _any_text(self, text: str) -> str:
        """Return a text without its credentials."""
        return self._replacer.without_call_secrets(self._replacer.text(text))

    def headers(self, fields: Iterable[tuple[str, str]]) -> list[list[str]]:
        """Return [name, redacted value] of each header."""
        return [[name, self.header(name, value)] for name, value in fields]

    def names_credential(self, header: str) -> bool:
        """Return True if a header of this lower-case name holds a credential."""
        return self._named.names_credential(header)

    def _any_named(self, name: str, value: str) -> str:
        """Return the value of a variable or a property, redacted: all of it if its name is a credential's."""
        if value and (names_credential(name) or given_credential(name, value)):
            return self._named.whole(name.lower(), value)
        return self.url(value) if "://" in value else self.text(value)

    def mapping(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return named values, redacted."""
        return {self.text(name): self.named(name, value) for name, value in values.items()}

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return a command line, redacted by its options and variables (command_line.py) and by shape."""
        return [before + self._argument(how, name, rest) for before, how, name, rest in command_line.read(argv)]

    def value(self, value: Any, name: str = "") -> Any:
        """Return any JSON value, redacted by the names of its keys and by shape."""
        if isinstance(value, str):
            return self.named(name, value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        return value

    def _argument(self, how: command_line.ArgumentKind, name: str, text: str) -> str:
        match how:
            case "text":
                return self.text(text)
            case "url":
                return self.url(text)
            case "named":
                return self.named(name, text)
            case "whole":
                return self._named.whole(name, text)
            case "header":
                return self.header(name, text)
            case "form":
                return self._named.query(text, [])


def _compiled(pattern: str) -> BytesRegex | re.Pattern[bytes]:
    if not pattern.startswith("re:"):
        return re.compile(re.escape(pattern).encode())
    try:
        return BytesRegex(pattern.removeprefix("re:"))
    except RegexError as error:
        raise RedactionError(
            f"the redaction pattern {pattern!r} cannot be used: {error.what}",
            f"Under `redact: patterns:` in the rules write {error.expected}.",
        ) from None
