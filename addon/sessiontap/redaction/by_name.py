"""Credentials that their name tells: of a header, a cookie, a query parameter, a variable, an option.

If a name says that a value is a credential, the whole value goes, whatever its shape; scheme words and the names of
cookies stay. The rest goes by shape.

The credentials themselves are returned, too: a key without a known shape (Azure's, Cohere's, a cookie) is then found
(`needles`, `find_needles`) where a server repeats it in an error, a template puts it in a session's name, or a model
says it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from sessiontap.redaction.names_and_values import names_credential, strength
from sessiontap.redaction.shape_search import SHORTEST, CredentialHit
from sessiontap.redaction.shape_search import find as find_shapes

HEADERS = frozenset(
    {
        "authorization", "proxy-authorization", "x-api-key", "api-key", "apikey", "x-goog-api-key", "x-auth",
        "helicone-auth", "helicone-posthog-key", "x-functions-key", "cookie", "set-cookie",
    }
)  # fmt: skip
HEADER_ENDS = (
    "-token", "_token", "-api-key", "_api_key", "-apikey", "-secret", "-secret-key", "-access-key", "-auth-key",
    "-subscription-key", "-password", "-authorization", "-credential", "-credentials", "-jwt",
)  # fmt: skip
"""Endings of the names of headers that hold credentials: the vendors' own ones."""
_QUERY_NAMES = frozenset(
    {
        "key", "apikey", "token", "accesstoken", "refreshtoken", "idtoken", "authtoken", "sessiontoken", "sig",
        "signature", "secret", "clientsecret", "password", "passwd", "pwd", "auth", "authorization", "code",
        "xamzsignature", "xamzcredential", "xamzsecuritytoken", "xgoogsignature", "xgoogcredential", "accesskey",
        "secretkey", "subscriptionkey", "ocpapimsubscriptionkey", "awsaccesskeyid", "jwt", "assertion", "credential",
    }
)  # fmt: skip
"""Query parameters whose value is a credential, in lower case, without `_` and `-`."""
_SCHEME = re.compile(r"(Bearer|Basic|Token|Digest|ApiKey|Negotiate|GenieKey)\s+(.+)", re.IGNORECASE | re.DOTALL)
_DONE = re.compile(r"\[redacted:[\w.*-]{1,80}:[0-9a-f]{10}\]")
URL = re.compile(r"([a-z][a-z0-9+.-]*://)(?:([^/?#@]*)@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.I | re.S)

_SHORTEST_NEEDLE = 16
"""Bytes. A shorter text, or one without digit or letter, may be a word that stands elsewhere with good reason."""
_MOST_NEEDLES = 16
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


Credentials = tuple[Credential, ...]
FoundCredentials = list[Credential]


class NameRedactor:
    """Takes out what is a credential by its name. `headers`: lower-case names of those that hold credentials; `text`
    returns a text without what has a credential's shape, `token` the token for a credential of a kind."""

    def __init__(self, headers: frozenset[str], text: Callable[[str], str], token: Callable[[str, bytes], str]) -> None:
        self._headers = headers
        self._text = text
        self._token = token

    def names_credential(self, header: str) -> bool:
        """A header of this lower-case name holds a credential."""
        return header in self._headers or header.endswith(HEADER_ENDS) or strength(header) in ("password", "key")

    def header(self, name: str, value: str) -> tuple[str, Credentials]:
        """A header's value without its credentials, and these."""
        lower = name.lower()
        if "://" in value and not self.names_credential(lower):
            return self.url(value)
        found: FoundCredentials = []
        return self._header_value(lower, value, found), tuple(found)

    def _header_value(self, name: str, value: str, found: FoundCredentials) -> str:
        if name in ("cookie", "set-cookie"):
            first, *others = value.split(";")
            if name == "cookie":
                others = [self._cookie(name, other, found) for other in others]
            return ";".join([self._cookie(name, first, found), *others])
        if self.names_credential(name):
            if value.startswith("AWS4-"):
                return self._text(value)
            if scheme := _SCHEME.fullmatch(value):
                return f"{scheme[1]} {self.whole(name, scheme[2], found)}"
            return self.whole(name, value, found)
        return self._text(value)

    def url(self, url: str) -> tuple[str, Credentials]:
        """A URL without its credentials, and these."""
        found: FoundCredentials = []
        return self._url_text(url, found), tuple(found)

    def _url_text(self, url: str, found: FoundCredentials) -> str:
        parts = URL.fullmatch(url)
        if parts is None:
            path, mark, query = url.partition("?")
            return self._text(path) + (mark + self.query(query, found) if mark else "")
        scheme, user, host, path, query, fragment = parts.groups()
        if user is not None:
            name, colon, password = user.partition(":")
            user = self._text(name) + colon + (self.whole("password", password, found) if password else "")
        return (
            scheme
            + (f"{user}@" if user is not None else "")
            + self._text(host)
            + self._text(path)
            + (f"?{self.query(query, found)}" if query is not None else "")
            + (f"#{self.query(fragment, found)}" if fragment is not None else "")
        )

    def _cookie(self, header: str, pair: str, found: FoundCredentials) -> str:
        name, equals, value = pair.partition("=")
        return f"{name}={self.whole(header, value, found)}" if equals else self.whole(header, pair, found)

    def query(self, query: str, found: FoundCredentials) -> str:
        """A query, a fragment or a form; its credentials go into `found`."""
        return "&".join(self._parameter(parameter, found) for parameter in query.split("&"))

    def _parameter(self, parameter: str, found: FoundCredentials) -> str:
        name, equals, value = parameter.partition("=")
        plain = unquote_to_bytes(name).decode("utf-8", "replace").lower()
        glued = plain.translate({ord("_"): None, ord("-"): None})
        if value and (glued in _QUERY_NAMES or names_credential(plain)):
            return f"{name}={self.whole(plain, value, found, unquote_to_bytes(value))}"
        return self._text(name) + equals + self._text(value)

    def whole(self, name: str, value: str, found: FoundCredentials | None = None, secret: bytes | None = None) -> str:
        """The token for a value that is a credential from end to end; its kind is its shape's, else the name's.

        It goes into `found`, too.
        """
        stripped = value.strip()
        if not stripped or _DONE.fullmatch(stripped):
            return value
        data = stripped.encode("utf-8", "surrogatepass") if secret is None else secret
        kind = re.sub(r"[^\w.-]", "-", name)[:80]
        for hit in find_shapes(data) if len(data) >= SHORTEST else ():
            if (hit.start, hit.end) == (0, len(data)):
                kind = hit.kind
                break
        if found is not None:
            found.append(Credential(kind, data))
        return self._token(kind, data)


def needles(credentials: Iterable[Credential]) -> tuple[Needle, ...]:
    """The texts to look for, longest first: each credential as it is, in a URL, and as some JSON writers escape it."""
    found: dict[bytes, Needle] = {}
    for credential in list(credentials)[:_MOST_NEEDLES]:
        for one in (credential, *_inside(credential)):
            if len(one.secret) >= _SHORTEST_NEEDLE and _TELLING.fullmatch(one.secret):
                for text in _written(one.secret):
                    found.setdefault(text, Needle(text, one))
    return tuple(sorted(found.values(), key=lambda needle: -len(needle.text)))


def find_needles(text: bytes, known: tuple[Needle, ...], start: int, end: int) -> Iterator[CredentialHit]:
    """Yield the places of known credentials that begin in text[start:end]."""
    for needle in known:
        until = end + len(needle.text) - 1
        at = text.find(needle.text, start, until)
        while at >= 0:
            yield CredentialHit(at, at + len(needle.text), needle.credential.kind, needle.credential.secret)
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
